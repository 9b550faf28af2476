//! How fast events are published and pushed, and what each costs, beside a client and an endpoint that do nothing: each pair
//! in one run, on the same emulator.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::get;
use domain::{EventEnvelope, EventId, EventPublisher as _, EventType, OrderId};
use futures_util::future::join_all;
use harness::tokens::{KeyRing, PUSHER};
use harness::{Addresses, Emulator, Push, Role, ServiceProcess, cpu_time};
use messaging::google::{Access, GooglePublisher};
use messaging::topology::{SUBSCRIPTIONS, Subscription, Worker};
use postgres::{Cluster, ClusterSettings};
use pubsub_setup::{Setup, Wanted};
use reqwest::Client;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::{Folder, say, sibling};

/// How much is measured.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Messages of each measurement.
    #[arg(long, default_value_t = 5_000)]
    messages: usize,
    /// How often each is repeated, after one round that only warms up.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// As many as the relay takes.
const BATCH: usize = 200;

/// Pushes at once, where the emulator with its two is not in the way.
const AT_ONCE: usize = 64;

/// What is sold, spread so that no row is everybody's.
const PRODUCTS: usize = 500;

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench::open(arguments.messages).await?;
    say(&format!(
        "{} messages each; CPU in ms per message, PostgreSQL's beside it; load average {}",
        bench.messages,
        load()
    ));
    for round in 0..=arguments.rounds {
        say(if round == 0 { "\nwarming up" } else { "\nround" });
        bench.round(round).await?;
    }
    say(&format!("\nload average {}", load()));
    Ok(())
}

/// Answers 204 to everything, and to `GET /` how often it did.
pub(crate) async fn do_nothing(port: u16) -> anyhow::Result<()> {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let take = async |_: Bytes| {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        StatusCode::NO_CONTENT
    };
    let router = Router::new().route("/", get(async || TAKEN.load(Ordering::Relaxed).to_string())).fallback(take);
    Ok(axum::serve(TcpListener::bind(("127.0.0.1", port)).await?, router).await?)
}

/// What a measurement found.
struct Figure {
    rate: f64,
    cpu: f64,
}

struct Bench {
    messages: usize,
    emulator: std::sync::Arc<Emulator>,
    cluster_pid: u32,
    database: String,
    db: PgPool,
    keys: &'static KeyRing,
    jwks_url: String,
    noop: Child,
    noop_url: String,
    client: Client,
    /// Dropped last.
    _cluster: Cluster,
    _folder: Folder,
}

impl Bench {
    async fn open(messages: usize) -> anyhow::Result<Self> {
        let emulator = Emulator::start().await.map_err(|missing| anyhow::anyhow!("{missing}"))?;
        let folder = Folder::new()?;
        let data_dir = folder.0.join("postgres");
        let cluster = Cluster::start(ClusterSettings { data_dir: data_dir.clone(), port: None, durable: true }).await?;
        let note = std::fs::read_to_string(data_dir.join("data/postmaster.pid"))?;
        let cluster_pid = note.lines().next().context("a process id")?.trim().parse()?;
        let database = cluster.url("postgres");
        let db = PgPool::connect(&database).await?;
        database::MIGRATOR.run(&db).await?;
        sqlx::raw_sql(include_str!("../../shared/database/fixtures/shop.sql")).execute(&db).await?;
        let shelves = "SELECT shop_product(10000000) FROM generate_series(1, $1)";
        sqlx::query(shelves).bind(i32::try_from(PRODUCTS)?).execute(&db).await?;

        let keys: &'static KeyRing = Box::leak(Box::default());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let jwks_url = format!("http://{}/certs", listener.local_addr()?);
        let certs = Router::new().route("/certs", get(async move || keys.publish()));
        tokio::spawn(async move { axum::serve(listener, certs).await });

        let port = free_port()?;
        let noop =
            Command::new(std::env::current_exe()?).args(["noop", &port.to_string()]).kill_on_drop(true).spawn()?;
        let noop_url = format!("http://127.0.0.1:{port}");
        listens(&noop_url).await?;
        let client = Client::builder().no_proxy().pool_max_idle_per_host(AT_ONCE).build()?;
        Ok(Self {
            messages,
            emulator,
            cluster_pid,
            database,
            db,
            keys,
            jwks_url,
            noop,
            noop_url,
            client,
            _cluster: cluster,
            _folder: folder,
        })
    }

    async fn round(&self, round: usize) -> anyhow::Result<()> {
        let [nothing, ours] = ["nothing", "ours"].map(|name| self.access(&format!("rates-{round}-{name}")));
        for access in [&nothing, &ours] {
            self.set_up(access, None).await?;
        }
        let client = self.publish_plainly(&nothing).await?;
        let (relay, postgres) = self.publish_by_relay(&ours).await?;
        compare("publish", ("client", &client), ("relay", &relay), postgres);
        let endpoint = self.push_to_nothing(&nothing).await?;
        let (worker, postgres) = self.push_to_worker(&ours).await?;
        compare("push, by the emulator", ("no-op", &endpoint), ("stock-worker", &worker), postgres);
        let endpoint = self.post_to_nothing().await?;
        let (worker, postgres) = self.post_to_worker(&ours).await?;
        compare("push, signed, 64 at once", ("no-op", &endpoint), ("stock-worker", &worker), postgres);
        Ok(())
    }

    fn access(&self, project: &str) -> Access {
        Access { project: project.to_owned(), emulator: Some(self.emulator.host()) }
    }

    /// Topics, and the stock worker's subscription: pushed to this worker, or waiting to be asked.
    async fn set_up(&self, access: &Access, worker: Option<&str>) -> anyhow::Result<()> {
        let workers: HashMap<_, _> = worker.iter().map(|url| (Worker::Stock, (*url).to_owned())).collect();
        let setup = Setup::new(Wanted { access: access.clone(), workers, service_account: None, policy: None }).await?;
        setup.apply(&setup.survey().await?).await?;
        if worker.is_none() {
            let url = format!("http://{}/v1/{}", self.emulator.host(), stock().resource(&access.project));
            // The emulator cannot change when a subscription expires.
            let subscription = json!({"topic": access.topic(stock().topic), "expirationPolicy": {}});
            self.client.put(url).json(&subscription).send().await?.error_for_status()?;
        }
        Ok(())
    }

    async fn publish_plainly(&self, access: &Access) -> anyhow::Result<Figure> {
        let publisher = GooglePublisher::new(access).await?;
        let events: Vec<_> = (0..self.messages).map(|_| event()).collect();
        let meter = Meter::start(&[std::process::id()]);
        for batch in events.chunks(BATCH) {
            let answers = publisher.publish(batch).await;
            ensure!(answers.iter().all(Result::is_ok), "not everything was published");
        }
        Ok(meter.stop(self.messages).0)
    }

    async fn publish_by_relay(&self, access: &Access) -> anyhow::Result<(Figure, f64)> {
        let relay = self.process(Role::Loops, access, &[])?;
        let pid = relay.pid().context("a process")?;
        tokio::time::sleep(Duration::from_secs(2)).await; // it starts, and finds nothing
        self.sell().await?;
        let meter = Meter::start(&[pid, self.cluster_pid]);
        self.until("SELECT count(*) = 0 FROM outbox WHERE published_at IS NULL").await?;
        let figures = meter.stop(self.messages);
        relay.kill().await;
        Ok(figures)
    }

    async fn push_to_nothing(&self, access: &Access) -> anyhow::Result<Figure> {
        let enough = self.taken().await? + self.messages;
        let meter = Meter::start(&[self.noop.id().context("a process")?]);
        self.set_up(access, Some(&self.noop_url)).await?;
        let deadline = Instant::now() + PATIENCE;
        while self.taken().await? < enough {
            ensure!(Instant::now() < deadline, "the emulator does not push");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(meter.stop(self.messages).0)
    }

    async fn push_to_worker(&self, access: &Access) -> anyhow::Result<(Figure, f64)> {
        let worker = self.process(Role::Worker(Worker::Stock), access, &[])?;
        listens(&worker.url).await?;
        let meter = Meter::start(&[worker.pid().context("a process")?, self.cluster_pid]);
        self.set_up(access, Some(&worker.url)).await?;
        self.until(ALL_SOLD).await?;
        let figures = meter.stop(self.messages);
        worker.kill().await;
        Ok(figures)
    }

    async fn post_to_nothing(&self) -> anyhow::Result<Figure> {
        let events: Vec<_> = (0..self.messages).map(|_| EventId::new().to_string()).collect();
        let meter = Meter::start(&[self.noop.id().context("a process")?]);
        self.post(&self.noop_url, "nothing", &events).await?;
        Ok(meter.stop(self.messages).0)
    }

    async fn post_to_worker(&self, access: &Access) -> anyhow::Result<(Figure, f64)> {
        let strict = [
            ("PUSH_AUTH", "token".to_owned()),
            ("PUSH_SERVICE_ACCOUNT", PUSHER.to_owned()),
            ("PUSH_JWKS_URL", self.jwks_url.clone()),
        ];
        let worker = self.process(Role::Worker(Worker::Stock), access, &strict)?;
        listens(&worker.url).await?;
        self.sell().await?;
        let waiting = "UPDATE outbox SET published_at = now() WHERE published_at IS NULL RETURNING id::text";
        let events: Vec<String> = sqlx::query_scalar(waiting).fetch_all(&self.db).await?;
        let meter = Meter::start(&[worker.pid().context("a process")?, self.cluster_pid]);
        self.post(&worker.url, &access.project, &events).await?;
        let figures = meter.stop(self.messages);
        self.until(ALL_SOLD).await?;
        worker.kill().await;
        Ok(figures)
    }

    /// Pushes as Pub/Sub would, which uses a token for up to an hour.
    async fn post(&self, url: &str, project: &str, events: &[String]) -> anyhow::Result<()> {
        let token = self.keys.token(&stock().resource(project));
        let next = AtomicUsize::new(0);
        let sender = async || {
            while let Some(event) = events.get(next.fetch_add(1, Ordering::Relaxed)) {
                let push = Push::message(stock().name, event, b"{}");
                let request = self.client.post(format!("{url}{}", stock().path)).bearer_auth(&token);
                let answer = request.body(push.body(project)).send().await?;
                ensure!(answer.status() == StatusCode::NO_CONTENT, "refused: {}", answer.status());
            }
            Ok(())
        };
        join_all((0..AT_ONCE).map(|_| sender())).await.into_iter().collect()
    }

    /// Paid orders whose events wait in the outbox.
    async fn sell(&self) -> anyhow::Result<()> {
        sqlx::query(
            "WITH shelf AS (SELECT array_agg(id) AS ids FROM products)
             SELECT shop_paid_order(gen_random_uuid(), ARRAY[ids[1 + n % $2]], ARRAY[1]) FROM shelf, generate_series(1, $1) AS n",
        )
        .bind(i32::try_from(self.messages)?)
        .bind(i32::try_from(PRODUCTS)?)
        .execute(&self.db)
        .await?;
        Ok(())
    }

    fn process(&self, role: Role, access: &Access, more: &[(&'static str, String)]) -> anyhow::Result<ServiceProcess> {
        let engine = [
            ("JUMUN_MESSAGING", "pubsub".to_owned()),
            ("PUBSUB_PROJECT_ID", access.project.clone()),
            ("PUBSUB_EMULATOR_HOST", self.emulator.host()),
        ];
        let nobody = "http://127.0.0.1:9".to_owned();
        let addresses = Addresses {
            database: self.database.clone(),
            sandbox: nobody.clone(),
            fcm_account: String::new(),
            workers: [nobody.clone(), nobody.clone(), nobody],
            log: None,
            engine: [engine.as_slice(), more].concat(),
        };
        let url = format!("http://127.0.0.1:{}", free_port()?);
        Ok(ServiceProcess::spawn(&sibling("service-process")?, &addresses, role, &url, None)?)
    }

    async fn taken(&self) -> anyhow::Result<usize> {
        Ok(self.client.get(&self.noop_url).send().await?.text().await?.parse()?)
    }

    async fn until(&self, so: &'static str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !sqlx::query_scalar::<_, bool>(so).fetch_one(&self.db).await? {
            ensure!(Instant::now() < deadline, "waited in vain for: {so}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// The stock worker has taken every event.
const ALL_SOLD: &str =
    "SELECT (SELECT count(*) FROM outbox) = (SELECT count(*) FROM inbox WHERE consumer = 'checkout-stock')";

/// Time, and the CPU time of processes: ours first, then perhaps PostgreSQL's.
struct Meter {
    begun: Instant,
    processes: Vec<(u32, Duration)>,
}

impl Meter {
    fn start(processes: &[u32]) -> Self {
        Self { processes: processes.iter().map(|pid| (*pid, cpu_time(*pid))).collect(), begun: Instant::now() }
    }

    fn stop(self, messages: usize) -> (Figure, f64) {
        let messages = f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
        let rate = messages / self.begun.elapsed().as_secs_f64();
        let mut each = self.processes.iter().map(|(pid, before)| {
            let spent = cpu_time(*pid).saturating_sub(*before);
            spent.as_secs_f64() * 1_000.0 / messages
        });
        let cpu = each.next().unwrap_or_default();
        (Figure { rate, cpu }, each.next().unwrap_or_default())
    }
}

fn compare(what: &str, (their_name, theirs): (&str, &Figure), (our_name, ours): (&str, &Figure), postgres: f64) {
    say(&format!(
        "{what}: {their_name} {:.0}/s, {:.3} ms; {our_name} {:.0}/s, {:.3} ms + {postgres:.3} ms; rate x {:.2}",
        theirs.rate,
        theirs.cpu,
        ours.rate,
        ours.cpu,
        ours.rate / theirs.rate,
    ));
}

fn stock() -> &'static Subscription {
    &SUBSCRIPTIONS[0]
}

/// Like those that `sell` leaves.
fn event() -> EventEnvelope {
    EventEnvelope {
        id: EventId::new(),
        event_type: EventType::CheckoutSuccess,
        order: OrderId::new(),
        occurred_at: chrono::Utc::now(),
        data: "{}".to_owned(),
        traceparent: None,
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn listens(url: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(url.trim_start_matches("http://")).await.is_err() {
        ensure!(Instant::now() < deadline, "nobody listens at {url}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or_default().to_owned()
}
