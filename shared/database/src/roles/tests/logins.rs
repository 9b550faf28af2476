//! Who may migrate, on a server where nobody has migrated before: roles belong to the server.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use postgres::{Cluster, ClusterSettings};
use sqlx::migrate::MigrateError;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{Role, as_role};

/// The address of a database, for a login of that name.
fn address(cluster: &Cluster, login: &str, database: &str) -> String {
    cluster.url(database).replacen("postgres@", &format!("{login}@"), 1)
}

async fn migrate(url: &str) -> Result<(), MigrateError> {
    crate::MIGRATOR.run(&mut PgConnection::connect(url).await.unwrap()).await
}

async fn execute(admin: &mut PgConnection, statements: &str) {
    for statement in statements.split(';').filter(|it| !it.trim().is_empty()) {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *admin).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_migrates_makes_the_roles_or_hears_what_an_administrator_has_to_do() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap(); // PostgreSQL may be somebody else
    let settings = ClusterSettings { data_dir: home.path().join("data"), port: None, durable: false };
    let cluster = Cluster::start(settings).await.unwrap();
    let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let logins = "CREATE ROLE tenant LOGIN; CREATE DATABASE rented OWNER tenant;
        CREATE ROLE maker LOGIN CREATEROLE; CREATE DATABASE own OWNER maker";
    execute(&mut admin, logins).await;

    let (rented, own) = (address(&cluster, "tenant", "rented"), address(&cluster, "maker", "own"));
    let told = migrate(&rented).await.unwrap_err().to_string();
    let (_, told) = told.split_once("Have an administrator of the server run: ").expect(&told);
    let (order, _) = told.split_once(". Then migrate again").expect(told);

    migrate(&own).await.unwrap();
    for role in Role::ALL {
        as_role(&own, role).await.close().await;
    }
    execute(&mut admin, "DROP DATABASE own").await;
    for role in Role::ALL {
        execute(&mut admin, &format!("DROP ROLE {}", role.name())).await;
    }

    execute(&mut admin, order).await;
    migrate(&rented).await.unwrap();
    for role in Role::ALL {
        as_role(&rented, role).await.close().await;
    }
    // And whoever comes second finds the roles made.
    execute(&mut admin, "CREATE DATABASE second").await;
    migrate(&cluster.url("second")).await.unwrap();
}
