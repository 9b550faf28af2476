//! The shop's processes, and somebody who starts again whatever has ended.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as StdMutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use harness::{Addresses, Role, ServiceProcess};
use messaging::topology::Worker;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Every role. Storefronts run the loops as well: three relays, brokers and reconcilers, any of which may be dead or frozen.
pub(crate) const ROLES: [Role; 6] = [
    Role::Storefront,
    Role::Storefront,
    Role::Loops,
    Role::Worker(Worker::Stock),
    Role::Worker(Worker::Push),
    Role::Worker(Worker::DeadLetter),
];

/// A service that is told to stop has this long, a little more than what it takes to cut the last connections.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// What ends by itself is started again after this: it may have nothing to live on yet, such as a database.
const REST: Duration = Duration::from_millis(300);

pub(crate) struct Roles {
    program: PathBuf,
    addresses: Addresses,
    slots: Vec<Slot>,
    counts: Counts,
    /// Decides who dies where.
    rng: StdMutex<StdRng>,
    /// The named points that somebody has died at.
    died_at: StdMutex<BTreeSet<&'static str>>,
    /// Nobody is to die any more.
    peace: CancellationToken,
}

struct Slot {
    role: Role,
    url: String,
    running: Mutex<Running>,
}

struct Running {
    process: ServiceProcess,
    /// Where it will die by itself, if it comes there.
    point: Option<&'static str>,
}

/// What was done to processes.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: AtomicU64,
    /// Of these, at a named point of the code.
    pub(crate) kills_at_points: AtomicU64,
    pub(crate) freezes: AtomicU64,
    pub(crate) replacements: AtomicU64,
    /// Ended without being asked to: one that starts while the database is away does.
    pub(crate) ended: AtomicU64,
    /// Were told to stop and did not.
    pub(crate) stuck: AtomicU64,
}

impl Roles {
    /// Starts one process for each role, at `urls`.
    pub(crate) fn start(
        program: PathBuf,
        addresses: Addresses,
        urls: [String; ROLES.len()],
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut slots = Vec::new();
        for (role, url) in ROLES.into_iter().zip(urls) {
            let process = ServiceProcess::spawn(&program, &addresses, role, &url, None)?;
            slots.push(Slot { role, url, running: Mutex::new(Running { process, point: None }) });
        }
        Ok(Self {
            program,
            addresses,
            slots,
            counts: Counts::default(),
            rng: StdMutex::new(StdRng::seed_from_u64(seed)),
            died_at: StdMutex::default(),
            peace: CancellationToken::new(),
        })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The named points that nobody has died at.
    pub(crate) fn points_left(&self) -> Vec<&'static str> {
        let died_at = self.died_at.lock().unwrap_or_else(PoisonError::into_inner);
        crash::POINTS.iter().copied().filter(|point| !died_at.contains(point)).collect()
    }

    /// SIGKILL, and a successor after `pause`. Nothing if it is being dealt with already.
    pub(crate) async fn kill(&self, index: usize, pause: Duration) -> anyhow::Result<()> {
        let slot = &self.slots[index];
        let Ok(mut running) = slot.running.try_lock() else { return Ok(()) };
        if running.process.has_ended()? {
            return Ok(()); // already, for a reason of its own
        }
        running.process.signal(Signal::KILL)?;
        running.process.end().await?;
        count(&self.counts.kills);
        sleep(pause).await;
        *running = self.spawn(slot)?;
        Ok(())
    }

    /// SIGSTOP, and SIGCONT after `time`: as if the machine had been paused.
    pub(crate) async fn freeze(&self, index: usize, time: Duration) -> anyhow::Result<()> {
        let Ok(running) = self.slots[index].running.try_lock() else { return Ok(()) };
        running.process.signal(Signal::STOP)?;
        count(&self.counts.freezes);
        sleep(time).await;
        running.process.signal(Signal::CONT).context("thaw")
    }

    /// SIGTERM, and a successor once it has stopped: a deployment.
    pub(crate) async fn replace(&self, index: usize) -> anyhow::Result<()> {
        let slot = &self.slots[index];
        let Ok(mut running) = slot.running.try_lock() else { return Ok(()) };
        running.process.signal(Signal::TERM)?;
        if tokio::time::timeout(STOP_DEADLINE, running.process.end()).await.is_err() {
            count(&self.counts.stuck);
            running.process.signal(Signal::KILL)?;
            running.process.end().await?;
        }
        count(&self.counts.replacements);
        *running = self.spawn(slot)?;
        Ok(())
    }

    /// Starts what has ended by itself again, for ever.
    pub(crate) async fn look_after(&self) -> anyhow::Result<()> {
        loop {
            for slot in &self.slots {
                let Ok(mut running) = slot.running.try_lock() else { continue };
                if !running.process.has_ended()? {
                    continue;
                }
                let killed = running.process.end().await? == Some(Signal::KILL.as_raw());
                match running.point.filter(|_| killed) {
                    Some(point) => {
                        count(&self.counts.kills);
                        count(&self.counts.kills_at_points);
                        self.died_at.lock().unwrap_or_else(PoisonError::into_inner).insert(point);
                    }
                    None => count(&self.counts.ended),
                }
                sleep(REST).await;
                *running = self.spawn(slot)?;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// From now on nobody dies. Whoever was still to die at a point is replaced.
    pub(crate) async fn make_peace(&self) -> anyhow::Result<()> {
        self.peace.cancel();
        for (index, slot) in self.slots.iter().enumerate() {
            while slot.running.lock().await.point.is_some() {
                self.replace(index).await?;
            }
        }
        self.ready().await
    }

    /// Waits until all of them listen.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        for slot in self.slots.iter().filter(|slot| slot.role != Role::Loops) {
            while !slot.running.lock().await.process.listens().await {
                anyhow::ensure!(Instant::now() < deadline, "{:?} does not listen", slot.role);
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// Every other process is to die at a point of its own choice, sooner or later.
    fn spawn(&self, slot: &Slot) -> anyhow::Result<Running> {
        let plan = {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            let points: Vec<_> = crash::POINTS.iter().filter(|point| leads_to(slot.role, point)).collect();
            let point = if self.peace.is_cancelled() { None } else { points.choose(&mut rng) };
            // Few letters come in the life of a process.
            let hits = if slot.role == Role::Worker(Worker::DeadLetter) { 3 } else { 30 };
            point.filter(|_| rng.random_bool(0.5)).map(|point| (**point, rng.random_range(1..=hits)))
        };
        let crash = plan.map(|(point, hit)| format!("{point}@{hit}:kill"));
        let process = ServiceProcess::spawn(&self.program, &self.addresses, slot.role, &slot.url, crash.as_deref())?;
        Ok(Running { process, point: plan.map(|(point, _)| point) })
    }
}

/// Whether a process of that role can come to a point.
fn leads_to(role: Role, point: &str) -> bool {
    match point.split_once('.').map_or(point, |(begin, _)| begin) {
        "st" => role == Role::Worker(Worker::Stock),
        "pn" => role == Role::Worker(Worker::Push),
        "dl" => role == Role::Worker(Worker::DeadLetter),
        "co" => role == Role::Storefront,
        _ => matches!(role, Role::Storefront | Role::Loops),
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
