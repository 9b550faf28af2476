use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool};

use crate::{Role, schema};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: SecretString,
    /// The most connections this process opens.
    pub max_connections: u32,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// What it may do there; `None`: all that whoever it logs in as may.
    pub role: Option<Role>,
}

/// Opens a pool whose connections defend themselves.
///
/// * Time limits live in the session, on the server's side: a client-side timeout around a query would drop a
///   future that the database has not finished with.
/// * It acts under its program's role from the first statement on. Whoever it logs in as must be a member of that role.
/// * A connection that comes back is rolled back. sqlx 0.9 can return one inside an open transaction, without
///   knowing it, when the future that began it was dropped; the next caller's acknowledged write would vanish with it.
///
/// Who acts under a role works with the schema and does not make it: one of an older release is refused.
///
/// # Errors
/// When the URL does not parse, the first connection fails, or the schema is older than this release.
pub async fn connect(settings: &PoolSettings) -> sqlx::Result<PgPool> {
    let options: PgConnectOptions = settings.url.expose_secret().parse()?;
    let options = options.application_name(&settings.application_name).options([
        // Nobody can put a table or an operator of their own before ours.
        ("search_path", "public"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // One plan for each statement, by index: planning anew would cost as much as a small batch, and a plan made
        // while a table is small would read all of it until somebody analyzes.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        // A queue's index is full of rows that are done with. Only a plain scan marks them, so that the next one skips them.
        ("enable_bitmapscan", "off"),
        ("jit", "off"),
    ]);
    let options = options.options(settings.role.map(|role| ("role", role.name())));
    let db = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false) // a round trip per acquire; callers repeat what a dead connection lost
        .after_release(|connection, _| {
            Box::pin(async move {
                // One trip. Outside a transaction it does nothing, and unlike a bare ROLLBACK it does not fill the
                // server's log with warnings. Inside one it rolls back, or fails, and then the connection is closed.
                connection.execute("BEGIN; ROLLBACK").await?;
                Ok(true)
            })
        })
        .connect_with(options)
        .await?;
    if settings.role.is_some() {
        schema::expect(&db).await?;
    }
    Ok(db)
}

/// Whether the database answers.
pub async fn ping(db: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("SELECT 1 AS one").fetch_one(db).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens when a handler is dropped while its transaction begins. Without the hook some writes vanish.
    #[tokio::test]
    async fn an_abandoned_begin_swallows_nobodys_write() {
        let (_, url) = postgres::fresh_url(&crate::MIGRATOR).await;
        let settings =
            PoolSettings { url: url.into(), max_connections: 3, application_name: "test".into(), role: None };
        let db = connect(&settings).await.unwrap();
        db.execute("CREATE TABLE kept (n bigint PRIMARY KEY)").await.unwrap();
        for n in 0..300 {
            let abandoned = tokio::time::timeout(Duration::from_micros(n % 150), db.begin());
            drop(abandoned.await);
            let n = i64::try_from(n).unwrap();
            sqlx::query("INSERT INTO kept VALUES ($1)").bind(n).execute(&db).await.unwrap();
        }
        db.close().await;
        let db = connect(&settings).await.unwrap();
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&db).await.unwrap();
        assert_eq!(kept, 300);
    }
}
