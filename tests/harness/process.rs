//! Services as processes, for tests that kill them.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use messaging::topology::Worker;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{Buyer, OpenShop};

/// Where the parts of a shop are: what its services are told by their environment.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `DATABASE_URL`.
    pub database: String,
    /// The sandbox, standing in for the providers.
    pub sandbox: String,
    /// What the push worker signs in to FCM with.
    pub fcm_account: String,
    /// The workers for stock, push and dead letters, in this order.
    pub workers: [String; 3],
    /// Where processes write their warnings; `None`: errors, where this one does.
    pub log: Option<PathBuf>,
    /// `JUMUN_MESSAGING` and the like, where it is not the embedded engine; and what else the test has to say.
    pub engine: Vec<(&'static str, String)>,
}

/// Tests are in a hurry: nobody is held to a limit unless that is what the test is about.
const UNHURRIED: [(&str, &str); 5] = [
    ("PROVIDER_PAUSE", "20ms"),
    ("RATE_CREATE", "1000000/1s"),
    ("RATE_CONFIRM", "1000000/1s"),
    ("RATE_POLL", "1000000/1s"),
    ("OPEN_ORDERS_PER_BUYER", "1000000"),
];

/// What a process of a shop does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers buyers, and runs the loops.
    Storefront,
    /// Runs the loops and answers nobody: relay, broker, reconciler.
    Loops,
    /// A worker.
    Worker(Worker),
}

impl Addresses {
    /// The environment of a storefront that is to be reached at `url`.
    pub fn storefront(&self, url: &str) -> Vec<(&'static str, String)> {
        let [stock, push, letters] = self.workers.clone();
        let provider = sandbox::Settings::default();
        let mut environment = vec![
            ("PUBLIC_URL", url.to_owned()),
            ("CHECKOUT_BIND", address(url).to_owned()),
            ("DATABASE_URL", self.database.clone()),
            ("TOSS_BASE_URL", format!("{}/toss", self.sandbox)),
            ("TOSS_SDK_URL", format!("{}/toss/v2/standard", self.sandbox)),
            ("STOCK_WORKER_URL", stock),
            ("PUSH_WORKER_URL", push),
            ("DEAD_LETTER_WORKER_URL", letters),
            ("CONFIRM_WAIT", "2s".to_owned()),
            ("OIDC_ISSUER", format!("{}/oidc", self.sandbox)),
            ("OIDC_CLIENT_ID", provider.oidc_client_id),
            ("OIDC_CLIENT_SECRET", provider.oidc_client_secret),
            ("ADMIN_TOKEN", crate::ADMIN_TOKEN.to_owned()),
        ];
        environment.extend(UNHURRIED.map(|(name, value)| (name, value.to_owned())));
        environment.extend(self.engine.clone());
        environment
    }

    fn environment(&self, role: Role, url: &str) -> Vec<(&'static str, String)> {
        let (name, mut environment) = match role {
            Role::Storefront => ("checkout-api", self.storefront(url)),
            Role::Loops => ("checkout-api", [self.storefront(url), vec![("CHECKOUT_SERVE", "false".into())]].concat()),
            Role::Worker(worker) => {
                let bind = match worker {
                    Worker::Stock => "STOCK_WORKER_BIND",
                    Worker::Push => "PUSH_WORKER_BIND",
                    Worker::DeadLetter => "DEAD_LETTER_WORKER_BIND",
                };
                let environment = vec![
                    (bind, address(url).to_owned()),
                    ("DATABASE_URL", self.database.clone()),
                    ("FCM_BASE_URL", format!("{}/fcm", self.sandbox)),
                    ("FCM_SERVICE_ACCOUNT", self.fcm_account.clone()),
                    ("PUSH_POLL", "50ms".to_owned()),
                    ("PUSH_AUTH", "loopback".to_owned()),
                ];
                (worker.name(), [environment, self.engine.clone()].concat())
            }
        };
        let level = if self.log.is_some() { "warn" } else { "error" };
        environment.extend([("ROLE", name.to_owned()), ("LOG_LEVEL", level.to_owned())]);
        environment
    }
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// Runs the command `jumun` beside the shop, as somebody who operates it would, and waits for its end.
pub async fn jumun(shop: &OpenShop, program: &str, arguments: &[&str]) -> Output {
    let mut environment = shop.addresses.storefront(&shop.url);
    // No shop was ever opened there.
    environment.extend([("ROLE", "jumun".to_owned()), ("JUMUN_DATA_DIR", "/nonexistent/jumun".to_owned())]);
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.expect("a process")
}

/// A service in a process of its own. It is killed when this is dropped.
pub struct ServiceProcess {
    /// Where it listens, if it does.
    pub url: String,
    child: Child,
}

impl ServiceProcess {
    /// Starts `program`, the tests' `service-process`, in a role. `crash` says where it dies; see the crate `crash`.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn spawn(
        program: &Path,
        addresses: &Addresses,
        role: Role,
        url: &str,
        crash: Option<&str>,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.env_clear().envs(addresses.environment(role, url)).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(crash) = crash {
            command.env("CRASH", crash);
        }
        if let Some(log) = &addresses.log {
            let log = fs::OpenOptions::new().append(true).create(true).open(log)?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        Ok(Self { url: url.to_owned(), child: command.spawn()? })
    }

    /// Starts a process beside the shop's own services, and waits until it listens.
    pub async fn start(shop: &OpenShop, program: &str, role: Role, crash: Option<&str>) -> Self {
        Self::start_told(shop, &shop.addresses, program, role, crash).await
    }

    /// The same, of a process that is told other addresses than the shop's own.
    pub async fn start_told(
        shop: &OpenShop,
        addresses: &Addresses,
        program: &str,
        role: Role,
        crash: Option<&str>,
    ) -> Self {
        let (listener, url) = crate::listen().await;
        drop(listener); // the process takes the port over
        let process = Self::spawn(program.as_ref(), addresses, role, &url, crash).expect("a process");
        if role != Role::Loops {
            shop.eventually("the process to listen", async || process.listens().await).await;
        }
        process
    }

    /// Whether it answers its door.
    pub async fn listens(&self) -> bool {
        TcpStream::connect(address(&self.url)).await.is_ok()
    }

    /// A buyer who has just opened the first page of this storefront.
    pub async fn visitor(&self, shop: &OpenShop) -> Buyer {
        let buyer = shop.nobody().at(&self.url);
        buyer.page("/").await;
        buyer
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// Its number, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for its end, and returns the signal that ended it.
    ///
    /// # Errors
    /// When the system cannot say.
    pub async fn end(&mut self) -> io::Result<Option<i32>> {
        Ok(self.child.wait().await?.signal())
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Sends it a signal; none if it has ended.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    /// Whether all of it stands still: SIGSTOP has arrived.
    pub fn is_frozen(&self) -> bool {
        let stat = self.child.id().map(|id| fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default());
        // After the name in parentheses comes the state.
        stat.is_some_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    }
}
