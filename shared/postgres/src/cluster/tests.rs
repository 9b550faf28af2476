use std::env;
use std::os::unix::fs::PermissionsExt as _;

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::*;

const HOME_OF_THE_CHILD: &str = "JUMUN_POSTGRES_TEST_HOME";

/// A folder that a server may live in, even if it must not run as us.
fn home() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn throw_away(home: &Path) -> ClusterSettings {
    ClusterSettings { data_dir: home.to_owned(), port: None, durable: false }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres")).await.unwrap()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(POLL).await;
    }
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_one_kept() {
    let home = home();
    let durable = ClusterSettings { durable: true, ..throw_away(home.path()) };
    let cluster = Cluster::start(durable.clone()).await.unwrap();
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE cups AS SELECT 3 AS n").execute(&mut connection).await.unwrap();
    assert!(matches!(Cluster::start(durable.clone()).await, Err(StartError::InUse(_))), "two owners");
    cluster.stop().await.unwrap();
    assert!(sqlx::raw_sql("SELECT 1").execute(&mut connection).await.is_err(), "it still answers");

    let cluster = Cluster::start(durable).await.unwrap();
    let mut connection = connect(&cluster).await;
    let cups: i32 = sqlx::query_scalar("SELECT n FROM cups").fetch_one(&mut connection).await.unwrap();
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await.unwrap();
    assert_eq!((cups, fsync.as_str()), (3, "on"));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let home = home();
    let cluster = Cluster::start(throw_away(home.path())).await.unwrap();
    let postmaster = cluster.postmaster;
    let data = cluster.data.clone();
    drop(cluster);
    assert!(!postmaster.runs(&data), "it still runs");
}

#[tokio::test]
async fn a_server_that_is_killed_is_missed() {
    let home = home();
    let cluster = Cluster::start(throw_away(home.path())).await.unwrap();
    assert!(timeout(POLL, cluster.ended()).await.is_err(), "it runs");
    rustix::process::kill_process(cluster.postmaster.pid, rustix::process::Signal::KILL).unwrap();
    timeout(Duration::from_secs(30), cluster.ended()).await.unwrap();
    assert!(cluster.log().is_file());
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_said() {
    let home = home();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = Some(taken.local_addr().unwrap().port());
    let refused = Cluster::start(ClusterSettings { port, ..throw_away(home.path()) }).await.unwrap_err();
    assert!(matches!(&refused, StartError::Failed { output, .. } if output.contains("listen")), "{refused}");
}

/// What a child process of the tests below does; without them it is nothing.
#[tokio::test]
async fn child_that_keeps_a_server() {
    if let Some(home) = env::var_os(HOME_OF_THE_CHILD) {
        let _cluster = Cluster::start(throw_away(Path::new(&home))).await.unwrap();
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_killed_parent_takes_its_server_along() {
    let home = home();
    let data = home.path().join("data");
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cluster::tests::child_that_keeps_a_server"])
        .env(HOME_OF_THE_CHILD, home.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("it never started", || Postmaster::read(&data).is_some_and(|server| server.is_ready(&data))).await;
    let server = Postmaster::read(&data).unwrap();
    assert!(server.runs(&data));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("it outlived its parent", || !server.runs(&data)).await;
    Cluster::start(throw_away(home.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn the_file_of_a_dead_server_is_not_believed() {
    let home = home();
    Cluster::start(throw_away(home.path())).await.unwrap().stop().await.unwrap();
    let data = home.path().join("data");
    // Killed, and its process id is ours by now.
    let lines = format!("{}\n{}\n1700000000\n5432\n\n127.0.0.1\n0\nready\n", std::process::id(), data.display());
    fs::write(data.join("postmaster.pid"), lines).unwrap();
    Cluster::start(throw_away(home.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_parent_is_replaced_even_while_it_is_ending() {
    let home = home();
    Cluster::start(throw_away(home.path())).await.unwrap().stop().await.unwrap();
    let data = home.path().join("data");
    let (programs, account) = (programs::folder().unwrap(), Account::of_server().unwrap());
    let server = Server { programs, home: home.path(), data: &data, account };
    // Started without the lock: as if whoever held it had been killed on a machine without setpriv.
    let start = || keep(server.postgres(free_port().unwrap(), false).unwrap()).unwrap();
    for is_ending in [false, true] {
        let (orphan, _keeper, _ended) = start();
        eventually("it never started", || Postmaster::read(&data).is_some_and(|it| it.is_ready(&data))).await;
        if is_ending {
            Postmaster::read(&data).unwrap().interrupt().unwrap();
        }
        let heir = Cluster::start(throw_away(home.path())).await.unwrap();
        assert_ne!(heir.postmaster.pid, orphan);
        connect(&heir).await;
        heir.stop().await.unwrap();
        assert!(!data.join("postmaster.pid").exists());
    }
}
