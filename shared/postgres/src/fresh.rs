//! A database of its own for each test.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, process};

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

use crate::{Cluster, ClusterSettings};

/// A database that nobody uses is left behind by a test that ended; this long after, none still runs.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(1);

/// Held while a database is made: PostgreSQL copies a template for one at a time. Any number will do.
const TEMPLATE_LOCK: i64 = 0x006a_756d_756e;

const FOLDER_PREFIX: &str = "jumun-test-";

/// An empty, migrated database that nobody else uses. It lives on the server of `DATABASE_URL`, else on a
/// throw-away server that this process starts once.
///
/// # Panics
/// When there is no database to be had: a test cannot do anything about it.
pub async fn fresh(migrator: &'static Migrator) -> PgPool {
    fresh_url(migrator).await.0
}

/// As [`fresh`], filled by a script.
///
/// # Panics
/// When there is no database to be had, or the script fails.
pub async fn fresh_with(migrator: &'static Migrator, script: &'static str) -> PgPool {
    let pool = fresh(migrator).await;
    match sqlx::raw_sql(script).execute(&pool).await {
        Ok(_) => pool,
        Err(error) => panic!("the script fails: {error}"),
    }
}

/// As [`fresh`], with the address, for tests that start other processes.
///
/// # Panics
/// When there is no database to be had.
pub async fn fresh_url(migrator: &'static Migrator) -> (PgPool, String) {
    match make(migrator).await {
        Ok(made) => made,
        Err(error) => panic!("no database for this test: {error}"),
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn make(migrator: &Migrator) -> Result<(PgPool, String), Error> {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    let server = SERVER.get_or_try_init(Server::start).await?;
    let mut admin = server.admin.connect().await?;
    // Released with the connection. Other test processes may use the same server.
    sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await?;
    let template = server.template(&mut admin, migrator).await?;
    let name = unique_name()?;
    run(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
    admin.close().await?;
    let options = server.admin.clone().database(&name);
    let url = options.to_url_lossy().into();
    let pool = PgPoolOptions::new().max_connections(20).connect_with(options).await?;
    Ok((pool, url))
}

/// The server of this process's tests.
struct Server {
    admin: PgConnectOptions,
    /// Ends with the process: nothing drops what is static.
    _cluster: Option<Cluster>,
}

impl Server {
    async fn start() -> Result<Self, Error> {
        if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
            let server = Self { admin: url.parse()?, _cluster: None };
            server.forget_old_databases().await?;
            return Ok(server);
        }
        remove_folders_of_the_dead(&env::temp_dir())?;
        let data_dir = env::temp_dir().join(format!("{FOLDER_PREFIX}{}", process::id()));
        let cluster = Cluster::start(ClusterSettings { data_dir, port: None, durable: false }).await?;
        Ok(Self { admin: cluster.url("postgres").parse()?, _cluster: Some(cluster) })
    }

    /// A database with the schema, made once per server and schema.
    async fn template(&self, admin: &mut PgConnection, migrator: &Migrator) -> Result<String, Error> {
        let name = template_name(migrator);
        let exists = sqlx::query_scalar::<_, bool>("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)");
        if exists.bind(&name).fetch_one(&mut *admin).await? {
            return Ok(name);
        }
        // Under another name until it is complete.
        let draft = format!("{name}_draft");
        run(admin, format!("DROP DATABASE IF EXISTS {draft}")).await?;
        run(admin, format!("CREATE DATABASE {draft}")).await?;
        let mut connection = self.admin.clone().database(&draft).connect().await?;
        migrator.run(&mut connection).await?;
        connection.close().await?;
        run(admin, format!("ALTER DATABASE {draft} RENAME TO {name}")).await?;
        Ok(name)
    }

    async fn forget_old_databases(&self) -> Result<(), Error> {
        let mut admin = self.admin.connect().await?;
        let before = now()?.saturating_sub(FORGOTTEN_AFTER).as_secs().to_string();
        let forgotten: Vec<String> = sqlx::query_scalar(
            "SELECT datname::text FROM pg_database
             WHERE datname ~ '^jumun_test_[0-9]+_' AND split_part(datname, '_', 3)::bigint < $1::bigint
                 AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = pg_database.datname)",
        )
        .bind(before)
        .fetch_all(&mut admin)
        .await?;
        for name in forgotten {
            // Another test process may be doing the same.
            run(&mut admin, format!("DROP DATABASE IF EXISTS {name}")).await?;
        }
        Ok(admin.close().await?)
    }
}

/// Takes text because a database's name cannot be a parameter; the names are made here.
async fn run(admin: &mut PgConnection, statement: String) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.map(drop)
}

fn template_name(migrator: &Migrator) -> String {
    // The checksums are SHA-384, so another schema has another name.
    let schema = migrator.iter().filter_map(|migration| migration.checksum.first_chunk::<16>());
    format!("jumun_template_{:032x}", schema.fold(0, |all, checksum| all ^ u128::from_be_bytes(*checksum)))
}

fn now() -> Result<Duration, Error> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

fn unique_name() -> Result<String, Error> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let n = MADE.fetch_add(1, Ordering::Relaxed);
    // The seconds come first: that is how an old one is told.
    Ok(format!("jumun_test_{}_{}_{n}", now()?.as_secs(), process::id()))
}

/// A killed test process leaves its server's folder behind.
fn remove_folders_of_the_dead(parent: &Path) -> io::Result<()> {
    for entry in parent.read_dir()?.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(FOLDER_PREFIX)?.parse().ok());
        let Some(owner) = owner.and_then(rustix::process::Pid::from_raw) else { continue };
        if rustix::process::test_kill_process(owner) == Err(rustix::io::Errno::SRCH) {
            // Two new test processes may both be at it.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::SqlSafeStr as _;
    use sqlx::migrate::{Migration, MigrationType};

    use super::*;

    fn one_table() -> &'static Migrator {
        let sql = "CREATE TABLE cups (id int PRIMARY KEY)".into_sql_str();
        let migration = Migration::new(1, Cow::Borrowed("cups"), MigrationType::Simple, sql, false);
        Box::leak(Box::new(Migrator::with_migrations(vec![migration])))
    }

    async fn cups(db: &PgPool) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM cups").fetch_one(db).await.unwrap()
    }

    #[tokio::test]
    async fn what_one_test_writes_no_other_sees() {
        let schema = one_table();
        let ((mine, url), yours) = tokio::join!(fresh_url(schema), fresh(schema));
        sqlx::query("INSERT INTO cups VALUES (1)").execute(&mine).await.unwrap();
        let by_address = PgPool::connect(&url).await.unwrap();
        assert_eq!((cups(&mine).await, cups(&by_address).await, cups(&yours).await), (1, 1, 0));
    }

    #[test]
    fn the_folders_of_dead_processes_go() {
        let parent = tempfile::tempdir().unwrap();
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let folder = |owner: &str| parent.path().join(format!("{FOLDER_PREFIX}{owner}"));
        let (dead, ours, other) =
            (folder(&child.id().to_string()), folder(&process::id().to_string()), folder("report"));
        for path in [&dead, &ours, &other] {
            fs::create_dir_all(path.join("data")).unwrap();
        }
        remove_folders_of_the_dead(parent.path()).unwrap();
        assert_eq!((dead.exists(), ours.exists(), other.exists()), (false, true, true));
    }
}
