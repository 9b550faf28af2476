//! Google's Pub/Sub emulator: one per test process, and more for tests that kill it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, fmt, fs, io};

use tokio::sync::OnceCell;

use crate::mortal::{self, free_port};

/// A running emulator.
pub struct Emulator {
    jar: PathBuf,
    port: u16,
    pid: Mutex<u32>,
}

/// Why there is no emulator.
#[derive(Debug)]
pub enum NoEmulator {
    /// There is none on this machine.
    NotInstalled,
    /// There is one.
    DoesNotStart(io::Error),
}

impl fmt::Display for NoEmulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str(
                "no Pub/Sub emulator here. Install Google's package google-cloud-cli-pubsub-emulator and Java, or set \
                 PUBSUB_EMULATOR_JAR",
            ),
            Self::DoesNotStart(error) => write!(f, "the Pub/Sub emulator is installed and does not start: {error}"),
        }
    }
}

/// What a test does that needs an emulator.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is left out, with these words.
    Skip(String),
    /// It fails, with these.
    Fail(String),
}

impl NoEmulator {
    /// A developer's machine need not have an emulator, and is told what was left out. Where it decides whether a change is
    /// good (`ci`), one that is there must work.
    fn verdict(&self, ci: bool, skipped: u32) -> Verdict {
        match self {
            Self::DoesNotStart(_) if ci => Verdict::Fail(self.to_string()),
            Self::NotInstalled | Self::DoesNotStart(_) => {
                Verdict::Skip(format!("SKIPPED {skipped} tests so far: {self}."))
            }
        }
    }

    /// Skips the test that asks, aloud; or fails it.
    fn skip(&self) {
        static SKIPPED: AtomicU32 = AtomicU32::new(0);
        match self.verdict(env::var_os("CI").is_some(), SKIPPED.fetch_add(1, Ordering::Relaxed) + 1) {
            // Not `eprintln!`, which the test runner keeps to itself when a test passes.
            Verdict::Skip(words) => drop(writeln!(io::stderr(), "{words}")),
            Verdict::Fail(words) => panic!("{words}"),
        }
    }
}

impl Emulator {
    /// The one that all tests of this process share; each has a project of its own there. `None`: the test is skipped.
    pub async fn shared() -> Option<Arc<Self>> {
        static SHARED: OnceCell<Result<Arc<Emulator>, NoEmulator>> = OnceCell::const_new();
        let shared = SHARED.get_or_init(Self::start).await;
        shared.as_ref().inspect_err(|missing| missing.skip()).ok().cloned()
    }

    /// Another one, to be killed. `None` as with [`shared`](Self::shared).
    pub async fn of_its_own() -> Option<Arc<Self>> {
        Self::start().await.inspect_err(NoEmulator::skip).ok()
    }

    /// Starts one.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start() -> Result<Arc<Self>, NoEmulator> {
        let jar = jar().ok_or(NoEmulator::NotInstalled)?;
        let emulator = Self { jar, port: free_port().await, pid: Mutex::default() };
        emulator.run().await.map_err(NoEmulator::DoesNotStart)?;
        Ok(Arc::new(emulator))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        *self.pid.lock().unwrap()
    }

    /// What `PUBSUB_EMULATOR_HOST` is set to.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL. It forgets everything.
    pub async fn kill(&self) {
        let killed = Command::new("kill").args(["-KILL", &self.pid().to_string()]).status();
        assert!(killed.expect("a kill command").success());
        while mortal::answers(&self.address()).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it again, empty, at the same address.
    pub async fn restart(&self) {
        self.run().await.expect("an emulator");
    }

    async fn run(&self) -> io::Result<()> {
        let mut java = Command::new("java");
        java.args(["-Xmx256m", "-XX:+UseSerialGC", "-jar"]).arg(&self.jar);
        java.args(["--host=127.0.0.1", &format!("--port={}", self.port)]);
        *self.pid.lock().unwrap() = mortal::start(&java, &self.address()).await?;
        Ok(())
    }

    fn address(&self) -> String {
        format!("http://{}/", self.host())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_changes_are_judged_a_broken_emulator_is_a_failure_and_a_skip_is_never_silent() {
        let broken = NoEmulator::DoesNotStart(io::Error::other("no Java"));
        assert!(matches!(broken.verdict(true, 1), Verdict::Fail(words) if words.contains("no Java")));
        for (missing, ci) in [(&broken, false), (&NoEmulator::NotInstalled, false), (&NoEmulator::NotInstalled, true)] {
            let Verdict::Skip(words) = missing.verdict(ci, 7) else { panic!("{missing} fails, ci: {ci}") };
            assert!(words.starts_with("SKIPPED 7 tests so far: ") && words.contains(&missing.to_string()), "{words}");
        }
    }

    #[tokio::test]
    async fn what_does_not_run_is_said_not_to_start() {
        let nonsense = Emulator { jar: "/no/such.jar".into(), port: 1, pid: Mutex::default() };
        assert!(nonsense.run().await.unwrap_err().to_string().contains("does not answer"));
    }
}
