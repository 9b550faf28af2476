//! chromedriver: one for all tests of the run.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io};

use harness::mortal::{self, free_port};
use tokio::sync::OnceCell;

const INSTALL: &str = "no browser here. Install it: \
     apt-get install -y --no-install-recommends chromium chromium-driver fonts-noto-cjk";

static SHARED: OnceCell<Option<String>> = OnceCell::const_new();

/// Whether there is a browser. Without one a test is skipped, which is said aloud; where `CI` is set it fails.
pub(crate) async fn is_there() -> bool {
    static SKIPPED: AtomicU32 = AtomicU32::new(0);
    let there = address().await.is_some();
    if !there {
        assert!(env::var_os("CI").is_none(), "{INSTALL}");
        let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
        // Not `eprintln!`, which the test runner keeps to itself when a test passes.
        drop(writeln!(io::stderr(), "SKIPPED {skipped} tests so far: {INSTALL}"));
    }
    there
}

/// Where chromedriver listens.
pub(crate) async fn address() -> Option<&'static str> {
    let started = SHARED.get_or_init(async || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).find(|folder| fs::exists(folder.join("chromedriver")).is_ok_and(|it| it))?;
        let port = free_port().await;
        let address = format!("http://127.0.0.1:{port}");
        let mut chromedriver = Command::new("chromedriver");
        chromedriver.arg(format!("--port={port}"));
        mortal::start(&chromedriver, &format!("{address}/status")).await.expect("chromedriver to start");
        Some(address)
    });
    started.await.as_deref()
}
