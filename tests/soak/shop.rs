//! The shop under test: its processes, the database they reach through the proxy, and the providers in this process, whose
//! book is evidence and must survive everything.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use database::MIGRATOR;
use domain::ProductId;
use harness::{Addresses, Buyer, Operator, stock_up};
use sandbox::Sandbox;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use toss::{Toss, TossSettings};

use crate::postgres::Server;
use crate::proxy::Proxy;
use crate::roles::{ROLES, Roles};

/// What is for sale; the last one is soon sold out.
pub(crate) const CATALOGUE: [(&str, i64, i32); 6] = [
    ("mug", 15_000, 1_000_000),
    ("shirt", 39_000, 1_000_000),
    ("poster", 9_000, 1_000_000),
    ("lamp", 54_000, 1_000_000),
    ("book", 18_500, 1_000_000),
    ("rare", 120_000, 25),
];

/// The watchdog and Toss are in a hurry, and nobody minds how often one address comes.
const HASTE: [(&str, &str); 2] = [("WATCHDOG_AGE", "10s"), ("RATE_WEBHOOK", "1000000/1s")];

/// How long a minute is until Toss sends a webhook again.
const WEBHOOK_MINUTE: Duration = Duration::from_millis(500);

pub(crate) struct Shop {
    pub(crate) server: Server,
    /// Past the proxy: what looks on is not disturbed, except when the server itself is killed.
    pub(crate) db: PgPool,
    pub(crate) proxy: Proxy,
    pub(crate) sandbox: Sandbox,
    pub(crate) gateway: Toss,
    pub(crate) roles: Roles,
    /// Where the processes write their log.
    pub(crate) log: PathBuf,
    pub(crate) storefronts: [String; 2],
    /// The workers for stock, push and dead letters.
    pub(crate) workers: [String; 3],
    sandbox_url: String,
    products: Arc<HashMap<&'static str, ProductId>>,
}

impl Shop {
    /// Opens it with its files in `home`.
    pub(crate) async fn open(home: &Path, seed: u64) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("service-process");
        anyhow::ensure!(program.exists(), "{} is not built: cargo build -p jumun-tests --bins", program.display());
        let [server_port] = free_ports()?;
        let server = Server::start(&home.join("postgres"), server_port).await?;
        let url = |port| format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        let db = PgPool::connect(&url(server_port)).await?;
        MIGRATOR.run(&db).await?;
        let products = Arc::new(stock_up(&db, &CATALOGUE).await);
        let proxy = Proxy::start(server_port).await?;

        let urls = free_ports::<{ ROLES.len() }>()?.map(|port| format!("http://127.0.0.1:{port}"));
        let [storefront, other, _, stock, push, letters] = urls.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let sandbox_url = format!("http://{}", listener.local_addr()?);
        let sandbox = Sandbox::new(sandbox::Settings {
            public_url: sandbox_url.clone(),
            webhook_url: Some(format!("{storefront}/api/webhooks/toss")),
            webhook_minute: WEBHOOK_MINUTE,
            ..Default::default()
        });
        tokio::spawn(sandbox::run(sandbox.clone(), listener, CancellationToken::new()));
        let key = sandbox.settings().secret_key.clone().into();
        let gateway = Toss::new(TossSettings { base_url: format!("{sandbox_url}/toss"), ..TossSettings::new(key) })?;

        let log = home.join("services.log");
        let workers = [stock, push, letters];
        let addresses = Addresses {
            database: url(proxy.port()),
            sandbox: sandbox_url.clone(),
            fcm_account: sandbox.service_account_json(),
            workers: workers.clone(),
            log: Some(log.clone()),
            engine: HASTE.map(|(name, value)| (name, value.to_owned())).to_vec(),
        };
        let roles = Roles::start(program, addresses, urls, seed)?;
        roles.ready().await.with_context(|| format!("see {}", log.display()))?;
        let storefronts = [storefront, other];
        Ok(Self { server, db, proxy, sandbox, gateway, roles, log, storefronts, workers, sandbox_url, products })
    }

    pub(crate) fn buyer(&self) -> Buyer {
        Buyer::new(&self.storefronts[0], &self.sandbox_url, Arc::clone(&self.products))
    }

    pub(crate) fn operator(&self) -> Operator {
        Operator::new(&self.storefronts[0], &self.sandbox_url, &self.sandbox.settings().secret_key)
    }

    /// Does something that the database may just be too dead for.
    pub(crate) async fn try_execute(&self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql)).execute(&self.db).await.ok();
    }

    /// Keeps all waiting times short, for ever. Leases, retries and checks are rows with a due time, and a lease may run out
    /// under whoever holds it at any moment anyway; one that was just made is left alone.
    pub(crate) async fn hurry(&self) {
        loop {
            for (table, column, condition, seconds) in [
                ("payments", "next_check_at", "status = 'confirming' AND next_check_at > now() + interval '3 s'", 3),
                ("refunds", "next_check_at", "next_check_at > now() + interval '3 s'", 3),
                ("outbox", "claimed_until", "published_at IS NULL AND claimed_until > now() + interval '2 s'", 2),
                ("outbox", "look_at", "look_at > now() + interval '10 s'", 10),
                ("deliveries", "due_at", "due_at > now() + interval '3 s'", 3),
                // A lease of a minute, which also tells who holds it; and retries, which come sooner or much later.
                ("push_attempts", "due_at", IN_THE_WAY, 1),
                ("webhook_inbox", "due_at", IN_THE_WAY, 1),
            ] {
                // Whoever locks a row does not wait for this, nor this for whoever.
                self.try_execute(&format!(
                    "WITH late AS (SELECT ctid FROM {table} WHERE {condition} LIMIT 1000 FOR UPDATE SKIP LOCKED)
                     UPDATE {table} SET {column} = now() + interval '{seconds} s' FROM late WHERE {table}.ctid = late.ctid"
                ))
                .await;
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
}

const IN_THE_WAY: &str =
    "due_at > now() + interval '2 s' AND due_at NOT BETWEEN now() + interval '55 s' AND now() + interval '61 s'";

/// Ports that nobody listens at, below those that the kernel gives to connections: whoever dies finds its port free again.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut listeners = Vec::new(); // all open at once, so that they differ
    while listeners.len() < N {
        listeners.extend(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, rand::random_range(10_000..30_000))));
    }
    let ports: Result<Vec<_>, _> = listeners.iter().map(|it| it.local_addr().map(|address| address.port())).collect();
    ports?.try_into().map_err(|_| anyhow::anyhow!("as many ports as were asked for"))
}
