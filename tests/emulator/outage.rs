//! Purchases through an emulator that is killed: nothing may be lost.

use std::fs::{self, File};
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::Emulator;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::{Child, Command};

use crate::{Folder, say, sibling};

/// How much is sold, and what happens meanwhile.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many purchases.
    #[arg(long, default_value_t = 10_000)]
    orders: usize,
    /// How often the emulator is killed.
    #[arg(long, default_value_t = 2)]
    kills: usize,
    /// How long it stays away, in seconds.
    #[arg(long, default_value_t = 5)]
    down: u64,
    /// How many buyers at once.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
}

/// So many purchases begin together, and are delivered before the next do: a payment window is open for ten minutes, and
/// what the emulator's two pushes at a time leave behind for longer than the watchdog waits would be published again.
const WAVE: usize = 500;

/// How long the shop may take to open.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the shop is told. Its limits are for strangers; the watchdog comes sooner than in ten minutes.
const SETTINGS: [(&str, &str); 9] = [
    ("JUMUN_MESSAGING", "pubsub"),
    ("PUBSUB_PROJECT_ID", "outage"),
    ("WATCHDOG_AGE", "60s"),
    ("CHECKOUT_BIND", "127.0.0.1:0"),
    ("STOCK_WORKER_BIND", "127.0.0.1:0"),
    ("PUSH_WORKER_BIND", "127.0.0.1:0"),
    ("DEAD_LETTER_WORKER_BIND", "127.0.0.1:0"),
    ("SANDBOX_PORT", "0"),
    ("HTTP_CONNECTIONS", "2048"),
];

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let emulator = Emulator::start().await.map_err(|missing| anyhow::anyhow!("{missing}"))?;
    let folder = Folder::new()?;
    let jumun = |command: &[&str]| -> anyhow::Result<Command> {
        let mut jumun = Command::new(sibling("jumun")?);
        jumun.args(command).envs(SETTINGS).env("PUBSUB_EMULATOR_HOST", emulator.host());
        jumun.env_remove("DATABASE_URL").env("JUMUN_DATA_DIR", &folder.0).kill_on_drop(true);
        Ok(jumun)
    };
    let log = File::create(folder.0.join("up.log"))?;
    let mut shop = jumun(&["up"])?.stdout(log.try_clone()?).stderr(log).spawn()?;
    let addresses = addresses(&folder.0, &mut shop).await?;
    let address = |name: &str| addresses[name].as_str().context("an address");
    let db = PgPool::connect(address("database")?).await?;

    let load = |orders: usize| -> anyhow::Result<Child> {
        let mut load = Command::new(sibling("load")?);
        load.args(["--shop", address("shop")?, "--sandbox", address("sandbox")?, "--database", address("database")?]);
        let concurrency = arguments.concurrency;
        for (option, value) in
            [("--orders", orders), ("--concurrency", concurrency), ("--products", 20), ("--devices", 1)]
        {
            load.args([option, &value.to_string()]);
        }
        Ok(load.stdout(Stdio::null()).kill_on_drop(true).spawn()?)
    };

    let begun = Instant::now();
    let waves = arguments.orders.div_ceil(WAVE);
    let fatal: Vec<usize> = (1..=arguments.kills).map(|kill| waves * kill / (arguments.kills + 1)).collect();
    for wave in 0..waves {
        let orders = WAVE.min(arguments.orders - wave * WAVE);
        let mut load = load(orders)?;
        for _ in fatal.iter().filter(|it| **it == wave) {
            let paid = i64::try_from(wave * WAVE + orders / 2)?;
            while count(&db, "SELECT count(*) FROM orders WHERE status = 'paid'").await? < paid {
                ensure!(load.try_wait()?.is_none(), "the load ended too soon; the shop's log: {}", tail(&folder.0));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            kill(&emulator, &db, Duration::from_secs(arguments.down)).await?;
        }
        ensure!(load.wait().await?.success(), "not everything was delivered; the shop's log: {}", tail(&folder.0));
    }
    // A webhook that overtook its confirm is looked into two seconds later.
    while count(&db, "SELECT count(*) FROM webhook_inbox WHERE due_at IS NOT NULL").await? > 0 {
        ensure!(shop.try_wait()?.is_none(), "the shop has ended: {}", tail(&folder.0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    say(&format!("all sold and delivered {:.0} s after the first visit", begun.elapsed().as_secs_f64()));

    let verified = jumun(&["verify", "--drained"])?.stderr(Stdio::inherit()).status().await?;
    db.close().await;
    if let Some(pid) = shop.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        kill_process(pid, Signal::TERM)?;
    }
    ensure!(shop.wait().await?.success(), "the shop did not close: {}", tail(&folder.0));
    Ok(if verified.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills the emulator, and starts it again, empty, at the same address.
async fn kill(emulator: &Emulator, db: &PgPool, down: Duration) -> anyhow::Result<()> {
    emulator.kill().await;
    let forgotten = "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM inbox WHERE event_id = outbox.id AND consumer = 'checkout-stock')";
    let forgotten = count(db, forgotten).await?;
    let paid = count(db, "SELECT count(*) FROM orders WHERE status = 'paid'").await?;
    tokio::time::sleep(down).await;
    let waiting = count(db, "SELECT count(*) FROM outbox WHERE published_at IS NULL").await?;
    emulator.restart().await;
    say(&format!(
        "killed with {paid} paid: it had taken {forgotten} events that the stock worker has not seen, and forgot them; \
         {waiting} more wait in the outbox {} s later, when it is back, empty",
        down.as_secs()
    ));
    Ok(())
}

/// Where the shop is, as soon as it says so.
async fn addresses(folder: &Path, shop: &mut Child) -> anyhow::Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(note) = fs::read(folder.join("up.json")) {
            return Ok(serde_json::from_slice(&note)?);
        }
        let gone = shop.try_wait()?.is_some() || Instant::now() > deadline;
        ensure!(!gone, "the shop did not open: {}", tail(folder));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn tail(folder: &Path) -> String {
    let log = fs::read_to_string(folder.join("up.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

async fn count(db: &PgPool, sql: &'static str) -> sqlx::Result<i64> {
    sqlx::query_scalar(sql).fetch_one(db).await
}
