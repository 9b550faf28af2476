//! A server of our own: made, started, stopped.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Pid;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::account::Account;
use crate::postmaster::Postmaster;
use crate::programs;

/// Recovery after a crash included.
const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// As long as whoever only drops it is held up; a server that takes longer is waited for by whoever starts the next one.
const DROP_DEADLINE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// What the server said since its last start.
const LOG: &str = "server.log";

/// What kind of server.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// A folder for the server's files and its log; made if it does not exist, used again if it does.
    pub data_dir: PathBuf,
    /// A free port when there is none.
    pub port: Option<u16>,
    /// A shop's data survives a power cut. A test's need not, and costs less.
    pub durable: bool,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing to start.
    #[error("PostgreSQL is not installed: apt-get install -y --no-install-recommends postgresql")]
    NotInstalled,
    /// Two servers on one data directory would destroy it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// A private folder lies above it.
    #[error("{folder} cannot be reached by user {user}, whom PostgreSQL must run as because it refuses root")]
    Unreachable {
        /// The data directory.
        folder: PathBuf,
        /// Who cannot reach it.
        user: String,
    },
    /// One of its programs failed.
    #[error("{program} ended with {status}: {output}")]
    Failed {
        /// `initdb` or `postgres`.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// It runs and takes no connections.
    #[error("PostgreSQL is not ready after {START_DEADLINE:?}, see {log}")]
    NotReady {
        /// What it said meanwhile.
        log: PathBuf,
    },
    /// The machine did not let us.
    #[error("the data directory could not be used")]
    Io(#[from] io::Error),
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    postmaster: Postmaster,
    data: PathBuf,
    log: PathBuf,
    /// Taken by whoever asks how it ended.
    keeper: Option<Keeper>,
    /// Closed when it has ended.
    ended: watch::Receiver<()>,
    _lock: File,
}

impl Cluster {
    /// Starts the server of a data directory, which is made first if need be. A server that outlived
    /// its parent, or is about to follow it, is stopped first.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(settings: ClusterSettings) -> Result<Self, StartError> {
        let home = std::path::absolute(&settings.data_dir)?;
        let account = Account::of_server()?;
        if let Some(account) = account.as_ref().filter(|account| !account.reaches(&home)) {
            return Err(StartError::Unreachable { folder: home, user: account.name.clone() });
        }
        fs::create_dir_all(&home)?;
        let lock = lock(&home)?;
        let data = home.join("data");
        end_leftover(&data).await?;
        let programs = programs::folder().ok_or(StartError::NotInstalled)?;
        let server = Server { programs, home: &home, data: &data, account };
        if !data.exists() {
            server.create().await?;
        }
        let port = settings.port.map_or_else(free_port, Ok)?;
        let (pid, keeper, ended) = keep(server.postgres(port, settings.durable)?)?;
        let postmaster = Postmaster { pid, port };
        Self { postmaster, data, log: home.join(LOG), keeper: Some(keeper), ended, _lock: lock }.ready().await
    }

    /// What it said since it was started.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it has ended, whoever ended it.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.postmaster.port
    }

    /// The address of one of its databases; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port())
    }

    /// Stops it and waits until it has.
    ///
    /// # Errors
    /// When it still runs after 20 seconds.
    pub async fn stop(self) -> io::Result<()> {
        self.interrupt();
        timeout(STOP_DEADLINE, self.ended()).await.map_err(|_| did_not_stop())
    }

    async fn ready(mut self) -> Result<Self, StartError> {
        let deadline = Instant::now() + START_DEADLINE;
        while !self.postmaster.is_ready(&self.data) {
            if let Some(keeper) = self.keeper.take_if(|keeper| keeper.is_finished()) {
                let status = keeper.join().map_err(|_| io::Error::other("the thread of postgres panicked"))??;
                return Err(StartError::Failed { program: "postgres", status, output: last_lines(&self.log) });
            }
            if Instant::now() > deadline {
                return Err(StartError::NotReady { log: self.log.clone() });
            }
            sleep(POLL).await;
        }
        Ok(self)
    }

    fn runs(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| !keeper.is_finished())
    }

    fn interrupt(&self) {
        if self.runs() {
            // It may end between the look and the signal; then there is nothing left to stop.
            self.postmaster.interrupt().ok();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.interrupt();
        // Whoever gave up, for whatever reason, leaves no dying server behind for the next start to stumble over.
        let deadline = Instant::now() + DROP_DEADLINE;
        while self.runs() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

fn did_not_stop() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL did not stop")
}

/// Held as long as the file is open, and given back by the kernel whatever happens to us.
fn lock(home: &Path) -> Result<File, StartError> {
    let file = File::create(home.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(home.to_owned())),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Stops a server that is still running although its parent is gone: it may be about to follow, so that nobody can rely
/// on it. The file that one left behind when it was killed is removed: the server itself would believe it if the process
/// id is somebody else's by now.
async fn end_leftover(data: &Path) -> io::Result<()> {
    let Some(found) = Postmaster::read(data) else { return Ok(()) };
    let deadline = Instant::now() + STOP_DEADLINE;
    if found.runs(data) {
        // It may end between the look and the signal.
        found.interrupt().ok();
    }
    while found.runs(data) {
        if Instant::now() > deadline {
            return Err(did_not_stop());
        }
        sleep(POLL).await;
    }
    // Without /proc nothing was learnt about the process; the server then judges by itself.
    if Path::new("/proc/self").exists() {
        match fs::remove_file(data.join("postmaster.pid")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

struct Server<'a> {
    programs: PathBuf,
    home: &'a Path,
    data: &'a Path,
    account: Option<Account>,
}

impl Server<'_> {
    /// Made under another name first: a data directory that was interrupted half-way is none.
    async fn create(&self) -> Result<(), StartError> {
        let draft = self.home.join("data.new");
        if draft.exists() {
            fs::remove_dir_all(&draft)?;
        }
        DirBuilder::new().mode(0o700).create(&draft)?;
        if let Some(account) = &self.account {
            account.owns(&draft)?;
        }
        let mut initdb = self.command(self.programs.join("initdb"));
        // Nobody but this machine reaches 127.0.0.1, which is all that the server listens on.
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"]).arg(&draft);
        let output = tokio::process::Command::from(initdb).kill_on_drop(true).output().await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(StartError::Failed { program: "initdb", status: output.status, output: said });
        }
        Ok(fs::rename(draft, self.data)?)
    }

    fn postgres(&self, port: u16, durable: bool) -> io::Result<Command> {
        let program = self.programs.join("postgres");
        let mut command = match programs::setpriv() {
            Some(setpriv) => {
                let mut command = self.command(setpriv);
                command.args(["--pdeathsig", "INT", "--"]).arg(program);
                command
            }
            None => self.command(program),
        };
        command.arg("-D").arg(self.data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        command.args(["-c", "unix_socket_directories=", "-c", "shared_buffers=128MB"]);
        command.args(if durable {
            &["-c", "max_connections=100"][..]
        } else {
            &[
                "-c",
                "max_connections=300",
                "-c",
                "fsync=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "full_page_writes=off",
            ]
        });
        let log = File::create(self.home.join(LOG))?;
        // A group of its own: Ctrl-C in the terminal is for us, and we stop the server last.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C.UTF-8").current_dir(self.home);
        if let Some(account) = &self.account {
            account.becomes(&mut command);
        }
        command
    }
}

/// A thread that lives as long as the server: the kernel's "parent died" signal means the thread that
/// started it, not the process.
type Keeper = JoinHandle<io::Result<ExitStatus>>;

fn keep(mut command: Command) -> io::Result<(Pid, Keeper, watch::Receiver<()>)> {
    let (started, starts) = mpsc::channel();
    let (running, ended) = watch::channel(());
    let keeper = thread::Builder::new().name("postgres".into()).spawn(move || {
        let _running = running;
        let mut child = command.spawn()?;
        // Whoever asked waits for it in the next statement.
        started.send(Pid::from_child(&child)).ok();
        child.wait()
    })?;
    match starts.recv() {
        Ok(pid) => Ok((pid, keeper, ended)),
        Err(_) => Err(match keeper.join() {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => io::Error::other("postgres was not started"),
        }),
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

#[cfg(test)]
mod tests;
