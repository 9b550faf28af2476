//! Google's Pub/Sub emulator: one per test process, and more for tests that kill it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fs, io, thread};

use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A cold Java on a busy machine takes a while.
const START_UP: Duration = Duration::from_mins(1);

/// A running emulator.
pub struct Emulator {
    jar: PathBuf,
    port: u16,
    pid: Mutex<u32>,
}

impl Emulator {
    /// The one that all tests of this process share; each has a project of its own there. `None` when there is none on
    /// this machine, which is said aloud, unless `CI` is set and Google's package is installed.
    pub async fn shared() -> Option<Arc<Self>> {
        static SHARED: OnceCell<Option<Arc<Emulator>>> = OnceCell::const_new();
        static SKIPPED: AtomicU32 = AtomicU32::new(0);
        let shared = SHARED.get_or_init(Self::start).await.clone();
        if shared.is_none() {
            let skipped = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
            // Not `eprintln!`, which the test runner keeps to itself when a test passes.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED {skipped} tests so far: no Pub/Sub emulator here. Install Google's package \
                 google-cloud-cli-pubsub-emulator and Java, or set PUBSUB_EMULATOR_JAR."
            );
        }
        shared
    }

    /// Another one, to be killed. `None` as with [`shared`](Self::shared).
    pub async fn start() -> Option<Arc<Self>> {
        let jar = jar()?;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener); // the emulator takes the port over
        let emulator = Self { jar, port, pid: Mutex::default() };
        match emulator.run().await {
            Ok(()) => Some(Arc::new(emulator)),
            Err(error) if env::var_os("CI").is_some() => {
                panic!("the emulator is installed and does not start: {error}")
            }
            Err(_) => None,
        }
    }

    /// What `PUBSUB_EMULATOR_HOST` is set to.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL. It forgets everything.
    pub async fn kill(&self) {
        let pid = *self.pid.lock().unwrap();
        let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        assert!(killed.expect("a kill command").success());
        while self.answers().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it again, empty, at the same address.
    pub async fn restart(&self) {
        self.run().await.expect("an emulator");
    }

    async fn run(&self) -> io::Result<()> {
        let mut java = Command::new("setpriv");
        // A signal on the parent's death comes when the thread ends that started the child: so that one stays.
        java.args(["--pdeathsig", "KILL", "--", "java", "-Xmx256m", "-XX:+UseSerialGC", "-jar"]).arg(&self.jar);
        java.args(["--host=127.0.0.1", &format!("--port={}", self.port)]);
        java.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (started, child) = tokio::sync::oneshot::channel();
        thread::spawn(move || match java.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id()));
                let _ = child.wait();
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        });
        let pid = child.await.expect("an answer")?;
        *self.pid.lock().unwrap() = pid;
        let deadline = Instant::now() + START_UP;
        while !self.answers().await {
            if Instant::now() > deadline || !Path::new(&format!("/proc/{pid}/exe")).exists() {
                return Err(io::Error::other("it does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn answers(&self) -> bool {
        let client = Client::builder().no_proxy().build().expect("a client");
        client.get(format!("http://{}/", self.host())).send().await.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Google's package keeps it in its own place; `PUBSUB_EMULATOR_JAR` is for all others.
fn jar() -> Option<PathBuf> {
    if let Some(jar) = env::var_os("PUBSUB_EMULATOR_JAR") {
        return Some(jar.into());
    }
    let listed = Command::new("dpkg").args(["-L", "google-cloud-cli-pubsub-emulator"]).output().ok();
    let listed = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let packaged = listed.lines().map(PathBuf::from);
    let home = env::home_dir().unwrap_or_default().join("google-cloud-sdk/platform/pubsub-emulator/lib");
    let unpacked = fs::read_dir(home).into_iter().flatten().flatten().map(|it| it.path());
    packaged.chain(unpacked).find(|it| it.extension().is_some_and(|it| it == "jar"))
}
