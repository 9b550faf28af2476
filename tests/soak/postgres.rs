//! A PostgreSQL of the run's own, that can be killed with everything it has started.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use postgres::{Cluster, ClusterSettings, StartError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The server. Every durability setting is on, as in a shop's; even so this shows what it survives when its processes
/// are killed, and nothing about a power cut, which would take what the kernel holds as well.
pub(crate) struct Server {
    home: PathBuf,
    port: u16,
    /// `None` only while it is being restarted.
    cluster: Mutex<Option<Cluster>>,
}

impl Server {
    pub(crate) async fn start(home: &Path, port: u16) -> anyhow::Result<Self> {
        let cluster = Cluster::start(settings(home, port)).await?;
        Ok(Self { home: home.to_owned(), port, cluster: Mutex::new(Some(cluster)) })
    }

    /// SIGKILL to the postmaster and all its children, then a start with crash recovery. Returns `false` if that is under
    /// way already.
    pub(crate) async fn kill_and_restart(&self) -> anyhow::Result<bool> {
        let Ok(mut cluster) = self.cluster.try_lock() else { return Ok(false) };
        let file = fs::read_to_string(self.home.join("data/postmaster.pid")).context("postmaster.pid")?;
        let postmaster = file.lines().next().and_then(pid).context("a process id")?;
        // Stopped first, so that it starts no child that would be missed, and would go on writing.
        kill_process(postmaster, Signal::STOP)?;
        let children = children(postmaster)?;
        for child in &children {
            kill_process(*child, Signal::KILL).ok(); // it may just have ended
        }
        kill_process(postmaster, Signal::KILL)?;
        drop(cluster.take());
        // One that is still dying would be taken for a server that runs.
        while children.iter().chain([&postmaster]).any(|process| runs(*process)) {
            sleep(Duration::from_millis(5)).await;
        }
        *cluster = Some(self.recover().await?);
        Ok(true)
    }

    /// A process that is being started elsewhere holds on to the data directory's lock until it is its own program.
    async fn recover(&self) -> Result<Cluster, StartError> {
        let mut tries = 0;
        loop {
            match Cluster::start(settings(&self.home, self.port)).await {
                Err(StartError::InUse(_)) if tries < 100 => tries += 1,
                started => return started,
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        if let Some(cluster) = self.cluster.lock().await.take() {
            cluster.stop().await?;
        }
        Ok(())
    }
}

fn settings(home: &Path, port: u16) -> ClusterSettings {
    ClusterSettings { data_dir: home.to_owned(), port: Some(port), durable: true }
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(i32::from_str(text).ok()?)
}

fn children(parent: Pid) -> anyhow::Result<Vec<Pid>> {
    let parent = parent.as_raw_nonzero().to_string();
    let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| pid(entry.file_name().to_str()?));
    Ok(processes.filter(|process| stat(*process).is_some_and(|[_, of]| of == parent)).collect())
}

/// Whether it still holds on to anything: a zombie does not.
fn runs(process: Pid) -> bool {
    stat(process).is_some_and(|[state, _]| state != "Z")
}

/// A process's state, and its parent: what follows the name in parentheses.
fn stat(process: Pid) -> Option<[String; 2]> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    let mut fields = stat.rsplit(") ").next()?.split(' ').map(str::to_owned);
    Some([fields.next()?, fields.next()?])
}
