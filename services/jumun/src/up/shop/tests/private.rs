//! The shop on a PostgreSQL of its own.

use std::fs::{Permissions, read_to_string, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::*;

fn told(folder: &Path, more: &[(&str, &str)]) -> (Variables, Home) {
    let mut variables = Variables::default();
    for (name, value) in more {
        variables.set_default(name, *value);
    }
    variables.set_default("JUMUN_DATA_DIR", folder.to_str().unwrap());
    for bind in ["CHECKOUT_BIND", "STOCK_WORKER_BIND", "PUSH_WORKER_BIND", "DEAD_LETTER_WORKER_BIND"] {
        variables.set_default(bind, "127.0.0.1:0");
    }
    variables.set_default("SANDBOX_PORT", "0");
    let home = Home::read(&mut variables.env());
    (variables, home)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_leaves_nothing_behind_and_a_server_that_dies_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    // As root the server runs as somebody else, who must get there.
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let postmaster = folder.path().join("postgres/data/postmaster.pid");

    let (variables, home) = told(folder.path(), &[("CHECKOUT_BIND", "nowhere")]);
    let refused = format!("{:#}", Shop::open(variables, &home).await.err().unwrap());
    assert!(refused.contains("CHECKOUT_BIND: expected") && !folder.path().join("postgres").exists(), "{refused}");

    let not_ours = ("CHECKOUT_BIND", "192.0.2.1:8080");
    let (variables, home) = told(folder.path(), &[not_ours]);
    let refused = format!("{:#}", Shop::open(variables, &home).await.err().unwrap());
    assert!(refused.contains("cannot listen on 192.0.2.1:8080"), "{refused}");
    assert!(!postmaster.exists(), "the next start would meet a server that is about to end");

    let (variables, home) = told(folder.path(), &[]);
    let mut shop = Shop::open(variables, &home).await.unwrap();
    let pid = read_to_string(&postmaster).unwrap().lines().next().unwrap().to_owned();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let fallen = timeout(PATIENCE, shop.fallen()).await.unwrap();
    assert!(fallen.starts_with("PostgreSQL ended by itself; ") && fallen.contains("server.log"), "{fallen}");
    shop.close(&home).await.unwrap();
}
