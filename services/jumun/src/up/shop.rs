//! The parts of the shop: opened together, stopped in the order in which they hand work to each other.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use database::products;
use fcm::Fcm;
use messaging::engine::Engine;
use messaging::google::Access;
use messaging::topology::Worker;
use messaging::worker::WorkerSettings;
use sandbox::Sandbox;
use secrecy::{ExposeSecret as _, SecretString};
use service::Env;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::home::{Addresses, Home};
use crate::listen::{self, Open};
use crate::seed;
use crate::store::Store;
use crate::variables::Variables;

use super::topology::Topology;

/// How long all parts together may take to stop.
const CLOSE_DEADLINE: Duration = Duration::from_secs(25);

/// What the parts are told, each by the environment that it would read as a process of its own.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) api: checkout_api::Settings,
    stock: WorkerSettings,
    push: push_worker::Settings,
    letters: WorkerSettings,
    /// `SANDBOX_PORT`
    sandbox_port: u16,
}

impl Settings {
    /// Reads them all; what is wrong is refused by `env.finish()`.
    pub(crate) fn read(env: &mut Env) -> Self {
        let settings = Self {
            api: checkout_api::Settings::read(env),
            stock: WorkerSettings::read(env, Worker::Stock),
            push: push_worker::Settings::read(env),
            letters: WorkerSettings::read(env, Worker::DeadLetter),
            sandbox_port: env.or("SANDBOX_PORT", 8090, "port of the sandbox, on 127.0.0.1"),
        };
        if settings.api.is_live() && settings.takes_unproven_pushes() {
            env.refuse("PUSH_AUTH", "must be token with live keys");
        }
        settings
    }

    fn takes_unproven_pushes(&self) -> bool {
        [&self.stock, &self.push.worker, &self.letters].iter().any(|it| it.auth.is_loopback())
    }

    fn messages(&self) -> String {
        let engine = match &self.api.engine {
            Engine::Embedded => "embedded".to_owned(),
            Engine::Google(Access { project, emulator: None }) => format!("Pub/Sub, project {project}"),
            Engine::Google(Access { project, emulator: Some(host) }) => {
                format!("Pub/Sub emulator at {host}, project {project}")
            }
        };
        let unproven =
            if self.takes_unproven_pushes() { "; anybody on this machine may push to the workers" } else { "" };
        engine + unproven
    }

    fn of(variables: &Variables) -> anyhow::Result<Self> {
        let mut env = variables.env();
        let settings = Self::read(&mut env);
        env.finish()?;
        Ok(settings)
    }
}

/// A running shop.
pub(crate) struct Shop {
    addresses: Addresses,
    /// The message engine, and whom its workers believe.
    messages: String,
    /// Where the private server keeps its files.
    folder: Option<PathBuf>,
    /// In the order in which they stop: whoever gives work to others first.
    roles: Vec<Role>,
    ends: mpsc::UnboundedReceiver<&'static str>,
    pools: Pools,
    store: Store,
}

impl Shop {
    /// Starts everything. A shop that takes real money gets nothing that it was not told of: neither a sandbox nor
    /// goods nor a database.
    pub(crate) async fn open(mut variables: Variables, home: &Home) -> anyhow::Result<Self> {
        authenticate_pushes(&mut variables);
        // What is wrong with them is said before anything is started.
        let mut usual = variables.clone();
        usual.reach_no_worker();
        let usual = Settings::of(&usual)?;

        let store = Store::open(&variables, home).await?;
        store.migrate().await?;
        let db = store.connect(1, None).await?;
        if !usual.api.is_live() && products::list(&db).await?.is_empty() {
            seed::fill(&db).await?;
        }
        db.close().await;
        variables.set_default("DATABASE_URL", store.url().expose_secret());

        // Every address must be known before the first part is told about the others.
        let doors = Doors::open(&usual).await?;
        let sandbox = doors.tell(&mut variables);
        let settings = Settings::of(&variables)?;
        let fcm = Arc::new(settings.push.fcm.client()?);
        let addresses = Addresses {
            shop: settings.api.public_url.clone(),
            sandbox: doors.sandbox.as_ref().map(|door| door.open.url()),
            database: store.is_private().then(|| store.url().expose_secret().to_owned()),
            stock_worker: doors.stock.url(),
            push_worker: doors.push.url(),
            dead_letter_worker: doors.letters.url(),
        };
        let folder = if store.is_private() { Some(home.cluster()?) } else { None };
        let messages = settings.messages();
        let topology = Topology::set_up(&settings.api.engine, settings.api.broker().endpoints).await?;
        let (ended, ends) = mpsc::unbounded_channel();
        let pools = Pools::open(&settings).await.context("cannot reach the database")?;
        home.note(&addresses)?;
        // From here on nothing fails, and so nobody is left behind.
        let mut roles = start(settings, doors, sandbox, fcm, &pools, &ended);
        roles.extend(topology.map(|it| {
            Role::start("topology", &ended, |stop| async {
                it.keep(stop).await;
                Ok(())
            })
        }));
        Ok(Self { addresses, messages, folder, roles, ends, pools, store })
    }

    /// Where it is.
    pub(crate) fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The message engine, and whom its workers believe.
    pub(crate) fn messages(&self) -> &str {
        &self.messages
    }

    /// The private server: its address, and where it keeps its files.
    pub(crate) fn private_database(&self) -> Option<(&SecretString, &PathBuf)> {
        Some((self.store.url(), self.folder.as_ref()?))
    }

    /// Waits for a part to end although nobody stopped it, names it, and says where to read why.
    pub(crate) async fn fallen(&mut self) -> String {
        tokio::select! {
            log = self.store.ended() => format!("PostgreSQL ended by itself; {} says why", log.display()),
            Some(name) = self.ends.recv() => format!("{name} ended by itself; the log says why"),
        }
    }

    /// Stops everything that was started.
    pub(crate) async fn close(self, home: &Home) -> anyhow::Result<()> {
        let parts = async {
            for role in self.roles {
                role.stop.cancel();
                if let Err(panic) = role.task.await {
                    error!(%panic, "{} ended badly", role.name);
                }
            }
            self.pools.close().await;
        };
        if timeout(CLOSE_DEADLINE, parts).await.is_err() {
            warn!("Some parts of the shop would not stop");
        }
        self.store.close().await?;
        Ok(home.forget()?)
    }
}

/// The embedded broker and its workers share a key; it lives as long as they do, unless the user has one. The emulator does
/// not sign what it pushes.
fn authenticate_pushes(variables: &mut Variables) {
    match Engine::read(&mut variables.env()) {
        Engine::Embedded => {
            variables.set_default("PUSH_KEY", format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()));
        }
        Engine::Google(Access { emulator: Some(_), .. }) => variables.set_default("PUSH_AUTH", "loopback"),
        Engine::Google(Access { emulator: None, .. }) => {}
    }
}

/// The database, to each part as far as it may use it.
#[derive(Clone)]
struct Pools {
    api: PgPool,
    stock: PgPool,
    push: PgPool,
    letters: PgPool,
}

impl Pools {
    async fn open(settings: &Settings) -> sqlx::Result<Self> {
        Ok(Self {
            api: database::connect(&settings.api.pool()).await?,
            stock: database::connect(&settings.stock.pool).await?,
            push: database::connect(&settings.push.worker.pool).await?,
            letters: database::connect(&settings.letters.pool).await?,
        })
    }

    async fn close(&self) {
        for pool in [&self.api, &self.stock, &self.push, &self.letters] {
            pool.close().await;
        }
    }
}

/// The listeners, open before anything answers on them.
struct Doors {
    api: Open,
    stock: Open,
    push: Open,
    letters: Open,
    /// Where real money is taken there is none.
    sandbox: Option<SandboxDoor>,
}

/// Where the sandbox is reached.
struct SandboxDoor {
    open: Open,
    /// Those that the shop was given.
    keys: sandbox::Settings,
}

impl Doors {
    async fn open(usual: &Settings) -> anyhow::Result<Self> {
        let open = async |address: SocketAddr| {
            listen::at_or_beside(address).await.with_context(|| format!("cannot listen on {address}"))
        };
        let api = open(usual.api.bind).await?;
        let sandbox = if usual.api.is_live() {
            None
        } else {
            let open = open((Ipv4Addr::LOCALHOST, usual.sandbox_port).into()).await?;
            Some(SandboxDoor::new(open, &usual.api, &api))
        };
        Ok(Self {
            api,
            stock: open(usual.stock.bind).await?,
            push: open(usual.push.worker.bind).await?,
            letters: open(usual.letters.bind).await?,
            sandbox,
        })
    }

    /// Tells the parts about each other, and about the sandbox, if there is one.
    fn tell(&self, variables: &mut Variables) -> Option<Sandbox> {
        variables.set_default("PUBLIC_URL", format!("http://localhost:{}", self.api.address.port()));
        variables.set_default("STOCK_WORKER_URL", self.stock.url());
        variables.set_default("PUSH_WORKER_URL", self.push.url());
        variables.set_default("DEAD_LETTER_WORKER_URL", self.letters.url());
        self.sandbox.as_ref().map(|door| door.tell(variables))
    }
}

impl SandboxDoor {
    fn new(open: Open, told: &checkout_api::Settings, api: &Open) -> Self {
        let keys = sandbox::Settings {
            secret_key: told.toss_secret_key.expose_secret().to_owned(),
            client_key: told.toss_client_key.clone(),
            public_url: open.url(),
            webhook_url: Some(format!("{}/api/webhooks/toss", api.url())),
            webhook_secret: told.toss_webhook_secret.as_ref().map(|it| it.expose_secret().to_owned()),
            ..sandbox::Settings::default()
        };
        Self { open, keys }
    }

    /// Has the sandbox answer for Toss, FCM and an identity provider where the user named none.
    fn tell(&self, variables: &mut Variables) -> Sandbox {
        let (sandbox, url) = (Sandbox::new(self.keys.clone()), self.open.url());
        variables.set_default("TOSS_BASE_URL", format!("{url}/toss"));
        variables.set_default("TOSS_SDK_URL", format!("{url}/toss/v2/standard"));
        // A provider of the shop's own brings its own secret, or none.
        if variables.get("OIDC_ISSUER").is_none() {
            variables.set_default("OIDC_ISSUER", format!("{url}/oidc"));
            variables.set_default("OIDC_CLIENT_ID", &*self.keys.oidc_client_id);
            variables.set_default("OIDC_CLIENT_SECRET", &*self.keys.oidc_client_secret);
        }
        variables.set_default("FCM_BASE_URL", format!("{url}/fcm"));
        if variables.get("FIREBASE_CONFIG").is_none() {
            variables.set_default("FIREBASE_CONFIG", sandbox::FIREBASE_CONFIG);
            variables.set_default("FIREBASE_VAPID_KEY", sandbox::FIREBASE_VAPID_KEY);
            variables.set_default("FIREBASE_SDK_URL", format!("{url}/fcm/web"));
        }
        variables.set_default("FCM_SERVICE_ACCOUNT", sandbox.service_account_json());
        sandbox
    }
}

/// One part that runs until it is told to stop.
struct Role {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Says that a part has ended, even if it panicked.
struct End(&'static str, mpsc::UnboundedSender<&'static str>);

impl Drop for End {
    fn drop(&mut self) {
        // While the shop closes nobody listens.
        self.1.send(self.0).ok();
    }
}

impl Role {
    fn start<F>(
        name: &'static str,
        ended: &mpsc::UnboundedSender<&'static str>,
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let (role, end) = (run(stop.clone()), End(name, ended.clone()));
        let task = tokio::spawn(async move {
            let _end = end;
            if let Err(error) = role.await {
                error!(error = format!("{error:#}"), "{name} failed");
            }
        });
        Self { name, stop, task }
    }
}

fn start(
    settings: Settings,
    doors: Doors,
    sandbox: Option<Sandbox>,
    fcm: Arc<Fcm>,
    pools: &Pools,
    ended: &mpsc::UnboundedSender<&'static str>,
) -> Vec<Role> {
    let Settings { api, stock, push, letters, .. } = settings;
    let Pools { api: for_api, stock: for_stock, push: for_push, letters: for_letters } = pools.clone();
    let mut roles = vec![
        Role::start("checkout-api", ended, |stop| checkout_api::run(api, for_api, Some(doors.api.listener), stop)),
        Role::start("stock-worker", ended, |stop| async {
            stock_worker::run(stock, for_stock, doors.stock.listener, stop).await;
            Ok(())
        }),
        Role::start("push-worker", ended, |stop| async {
            push_worker::run(push, for_push, fcm, doors.push.listener, stop).await;
            Ok(())
        }),
        Role::start("dead-letter-worker", ended, |stop| async {
            dead_letter_worker::run(letters, for_letters, doors.letters.listener, stop).await;
            Ok(())
        }),
    ];
    if let (Some(sandbox), Some(door)) = (sandbox, doors.sandbox) {
        roles.push(Role::start("sandbox", ended, |stop| async {
            sandbox::run(sandbox, door.open.listener, stop).await;
            Ok(())
        }));
    }
    roles
}

#[cfg(test)]
mod tests;
