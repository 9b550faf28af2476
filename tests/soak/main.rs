//! Soak: a whole shop, each role a process of its own, whose processes and database are killed, frozen and replaced while
//! buyers buy, and whose providers and connections fail; and then the books are checked.

mod buyers;
mod faults;
mod letters;
mod postgres;
mod proxy;
mod report;
mod rest;
mod roles;
mod second_thoughts;
mod shop;
mod told;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use service::serve::shutdown_signal;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::buyers::Visit;
use crate::faults::{Counts, DATABASE_KILLED, Schedule};
use crate::report::{Report, say};
use crate::shop::Shop;
use crate::told::{Fault, Told};

/// Sells while everything breaks, and checks the books.
///
/// Two storefronts, a process of loops and three workers, each a process of its own on a PostgreSQL of the run's own, sell to
/// buyers who click twice, pay in two windows, close tabs, lie about amounts and ask for their money back. Every now and then
/// something is killed, frozen, replaced, cut off, spoilt, repeated or forged. Then all is made whole again: the queues drain,
/// the deadlines of unpaid orders pass, every event is published once more, and after each of these every invariant of
/// `jumun verify --drained` must hold, Toss's book must agree to the won, and nobody may have been told what is not so.
///
/// The exit code is 0 if all of that is so. Otherwise the violations are printed with the seed and the histories of the
/// orders in question, and the files of the run are kept.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How many buyers come
    #[arg(long, default_value_t = 2_000)]
    orders: u32,
    /// Over how many minutes they come; the run takes longer by what it takes to serve and to check
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// What the schedule of faults and the buyers' choices are made from; printed first if it is chosen here. The same seed
    /// breaks the same things at the same moments; which request is hit depends on timing
    #[arg(long)]
    seed: Option<u64>,
    /// A run with fewer kills than this proves too little, and fails
    #[arg(long, default_value_t = 0)]
    kills: u64,
    /// Milliseconds between two faults, on average
    #[arg(long, default_value_t = 550)]
    pause: u64,
    /// The most buyers in the shop at the same time; the others queue outside
    #[arg(long, default_value_t = 200)]
    at_once: usize,
    /// Where the run keeps its files: the database, the services' log. A new folder among the temporary files if not given
    #[arg(long)]
    home: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    say(&format!("seed {seed}: {} buyers in {} minutes", arguments.orders, arguments.minutes));
    let home = arguments.home.clone();
    let home = home.unwrap_or_else(|| std::env::temp_dir().join(format!("jumun-soak-{seed}-{}", std::process::id())));
    fs::create_dir_all(&home)?;
    let shop = Arc::new(Shop::open(&home, seed).await?);
    let told = Arc::new(Told::default());
    // Whoever ends the run ends its processes.
    let Some(faults) = shutdown_signal()?.run_until_cancelled(soak(&shop, &told, &arguments, seed)).await else {
        shop.server.stop().await?;
        say(&format!("stopped, with seed {seed}; the files of the run are in {}", home.display()));
        return Ok(ExitCode::FAILURE);
    };
    let faults = faults?;
    if faults.is_empty() {
        shop.server.stop().await?;
        fs::remove_dir_all(&home)?;
        say(&format!("zero violations with seed {seed}"));
        return Ok(ExitCode::SUCCESS);
    }
    for (order, what) in &faults {
        say(&format!("VIOLATION {} {what}", order.as_deref().unwrap_or_default()));
    }
    say(&shop.histories(&faults, &told).await?);
    shop.server.stop().await?;
    say(&format!("{} violations with seed {seed}; the files of the run are in {}", faults.len(), home.display()));
    Ok(ExitCode::FAILURE)
}

async fn soak(shop: &Arc<Shop>, told: &Arc<Told>, arguments: &Arguments, seed: u64) -> anyhow::Result<Vec<Fault>> {
    let counts = Arc::new(Counts::default());
    let mut background = JoinSet::new();
    background.spawn({
        let shop = Arc::clone(shop);
        async move { shop.hurry().await }
    });
    background.spawn({
        let shop = Arc::clone(shop);
        async move {
            if let Err(error) = shop.roles.look_after().await {
                say(&format!("nobody looks after the processes any more: {error:#}"));
            }
        }
    });
    let mut report = Report::begin();
    // The buyers share a thread: their futures borrow in a way that the compiler cannot see to be `Send`.
    let mut faults = LocalSet::new().run_until(sell(shop, told, &counts, arguments, seed)).await?;
    report.sold();

    say("healed; waiting for the queues to drain");
    faults.extend(shop.drain(say).await?);
    report.drained();
    faults.extend(shop.faults(told).await?);
    say("the deadlines of unpaid orders pass");
    shop.let_deadlines_pass().await?;
    faults.extend(shop.drain(say).await?);
    faults.extend(shop.undecided().await?);
    faults.extend(shop.faults(told).await?);
    say("every event is published once more");
    shop.remember().await?;
    shop.repeat_everything().await;
    faults.extend(shop.drain(say).await?);
    faults.extend(shop.changes().await?);
    faults.extend(shop.faults(told).await?);
    faults.sort();
    faults.dedup();

    report.print(shop, told, &counts).await?;
    let roles = shop.roles.counts();
    let stuck = roles.stuck.load(Ordering::Relaxed);
    if stuck > 0 {
        faults.push((None, format!("{stuck} services did not stop when they were told to")));
    }
    let kills = roles.kills.load(Ordering::Relaxed) + counts.of(DATABASE_KILLED);
    if kills < arguments.kills {
        faults.push((None, format!("only {kills} kills, {} were asked for", arguments.kills)));
    }
    background.shutdown().await;
    Ok(faults)
}

/// Serves all buyers while things break, and has everything made whole again.
async fn sell(
    shop: &Arc<Shop>,
    told: &Arc<Told>,
    counts: &Arc<Counts>,
    arguments: &Arguments,
    seed: u64,
) -> anyhow::Result<Vec<Fault>> {
    let (begun, heal) = (Instant::now(), CancellationToken::new());
    let (sight, mut sights) = tokio::sync::mpsc::unbounded_channel();
    let watch = tokio::spawn({
        let (shop, heal) = (Arc::clone(shop), heal.clone());
        let report = move |fault: Fault| {
            say(&format!("VIOLATION {}", fault.1));
            sight.send(fault).ok(); // nobody is left to be told only when the run is over
        };
        async move { heal.run_until_cancelled(shop.watch(report)).await }
    });
    let schedule =
        tokio::spawn(Schedule::new(Arc::clone(shop), arguments.pause, seed, Arc::clone(counts)).run(heal.clone()));

    let (room, mut visits, mut faults) = (Arc::new(Semaphore::new(arguments.at_once)), JoinSet::new(), Vec::new());
    let mut leave = |visit: Result<anyhow::Result<()>, _>| {
        let problem = match visit {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("a buyer gave up: {error:#}"),
            Err(error) => format!("a buyer fell over: {error}"),
        };
        faults.push((None, problem));
    };
    for n in 0..arguments.orders {
        let due = arguments.minutes * 60.0 * f64::from(n) / f64::from(arguments.orders);
        sleep_until(begun + Duration::from_secs_f64(due)).await;
        let place = Arc::clone(&room).acquire_owned().await?;
        let visit = Visit::new(Arc::clone(shop), Arc::clone(told), seed.wrapping_add(u64::from(n) + 1));
        visits.spawn_local(async move {
            let visit = visit.run().await;
            drop(place);
            visit
        });
        while let Some(visit) = visits.try_join_next() {
            leave(visit);
        }
        if n > 0 && n % 500 == 0 {
            say(&format!("{n} buyers after {:.0} s; {}", begun.elapsed().as_secs_f64(), report::kills(shop, counts)));
        }
    }
    // The last buyers are served while things still break.
    while let Some(visit) = visits.join_next().await {
        leave(visit);
    }
    heal.cancel();
    faults.extend(schedule.await?.into_iter().map(|error| (None, error)));
    watch.await?;
    while let Ok(fault) = sights.try_recv() {
        faults.push(fault);
    }
    Ok(faults)
}
