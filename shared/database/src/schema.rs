//! The schema: the migrations that this release knows of, and whether a database has them.

use std::sync::LazyLock;

use sqlx::PgPool;
use sqlx::migrate::Migrator;

/// The schema. Migrations only expand: the previous release keeps working while the next one starts, and again when that is
/// taken back. So those of a later release are none of our business.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../../migrations");
    migrator.set_ignore_missing(true);
    migrator
});

/// The database is of an older release than the program.
#[derive(Debug, thiserror::Error)]
#[error(
    "the schema lacks migration {0} and maybe others: run `jumun migrate` of this release first, logged in as the schema's owner"
)]
struct TooOld(i64);

/// Looks whether all migrations that we know of were run. A schema that has more is welcome.
///
/// # Errors
/// [`sqlx::Error::Configuration`] says what to do about an older one.
pub(crate) async fn expect(db: &PgPool) -> sqlx::Result<()> {
    // Without the macro: sqlx makes this table, not our migrations.
    let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(db).await;
    let applied: Vec<i64> = match applied {
        Ok(applied) => applied,
        // Nothing was ever migrated, or not so far that we may look.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "42501")) => Vec::new(),
        Err(error) => return Err(error),
    };
    if let Some(lacks) = MIGRATOR.iter().map(|it| it.version).find(|version| !applied.contains(version)) {
        return Err(sqlx::Error::Configuration(TooOld(lacks).into()));
    }
    if let Some(newest) = applied.into_iter().max().filter(|newest| !MIGRATOR.version_exists(*newest)) {
        tracing::info!(newest, "The schema is of a later release than this program, which works with it all the same");
    }
    Ok(())
}
