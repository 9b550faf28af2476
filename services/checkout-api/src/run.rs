//! The service put together: what answers requests, and the loops that finish what they began.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use database::{PoolSettings, Role, orders};
use domain::PaymentGateway;
use messaging::embedded::{Broker, BrokerSettings};
use messaging::engine::Engine;
use messaging::relay::Relay;
use messaging::topology::Worker;
use messaging::watchdog::Watchdog;
use service::{health, layers, serve, start};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use toss::{Toss, TossSettings};
use tracing::{error, info, warn};

use crate::app::App;
use crate::checkout::Checkout;
use crate::circuit::Circuit;
use crate::members::Provider;
use crate::prune::Pruning;
use crate::reconcile::Reconciler;
use crate::settings::Settings;
use crate::statement::Statements;
use crate::stock_feed::StockFeed;
use crate::webhooks::Webhooks;

/// The parts of the service. Tests drive the loops' steps by hand; [`run`] lets them go.
pub struct Parts {
    /// What answers requests; see [`crate::router`].
    pub app: App,
    /// Outbox to message engine.
    pub relay: Relay,
    /// Message engine to workers; `None`: Google's does that by itself.
    pub broker: Option<Broker>,
    /// Everything that moves an order's money.
    pub checkout: Checkout,
    /// Asks what became of open payments and refunds.
    pub reconciler: Reconciler,
    /// Has events published again that lack an effect.
    pub watchdog: Watchdog,
    /// Looks into stored webhooks.
    pub webhooks: Webhooks,
    /// Tells open pages what is left.
    pub stock_feed: StockFeed,
    announced: Arc<Notify>,
    arrived: Arc<Notify>,
}

/// How often loops without a signal of their own look for work.
const RECONCILE_EVERY: Duration = Duration::from_secs(1);
const DISPUTES_EVERY: Duration = Duration::from_hours(1);
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
const WATCH_EVERY: Duration = Duration::from_secs(5);
const STATEMENT_EVERY: Duration = Duration::from_mins(1);
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// Orders that one statement expires at most: few enough to hold nobody up.
const EXPIRE_AT_ONCE: i64 = 500;

impl Parts {
    /// Puts the service together. Confirms and batches are worked on in `tasks`.
    ///
    /// # Errors
    /// When a worker's address cannot be used, or the message engine's client cannot be set up.
    pub async fn new(
        settings: &Settings,
        db: &PgPool,
        gateway: Arc<dyn PaymentGateway>,
        broker: &BrokerSettings,
        tasks: &TaskTracker,
    ) -> anyhow::Result<Self> {
        let announced = Arc::new(Notify::new());
        let circuit = Arc::new(Circuit::new(gateway, settings.provider_pause));
        let asking = Arc::clone(&circuit) as Arc<dyn PaymentGateway>;
        let (wait, waiting) = (settings.confirm_wait, settings.limits.in_flight / 2);
        let checkout = Checkout::new(db.clone(), asking, tasks.clone(), wait, waiting, Arc::clone(&announced));
        let broker = match settings.engine {
            Engine::Embedded => Some(Broker::start(db.clone(), broker, tasks)?),
            Engine::Google(_) => None,
        };
        let publisher = settings.engine.publisher(db, broker.clone()).await?;
        let arrived = Arc::new(Notify::new());
        let stock_feed = StockFeed::new(db.clone());
        let provider = settings.provider.clone().map(|it| Provider::new(it, &settings.public_url)).transpose()?;
        let (feed, woken) = (stock_feed.clone(), Arc::clone(&arrived));
        let app = App::new(settings, db.clone(), checkout.clone(), feed, provider, woken, tasks);
        Ok(Self {
            app,
            stock_feed,
            relay: Relay::new(db.clone(), publisher),
            broker,
            webhooks: Webhooks::new(checkout.clone(), settings.toss_security_key.clone()),
            reconciler: Reconciler::new(checkout.clone(), circuit, 1.0),
            checkout,
            watchdog: Watchdog::new(db.clone(), settings.watchdog_age),
            announced,
            arrived,
        })
    }
}

impl Settings {
    /// Where the embedded broker pushes to.
    pub fn broker(&self) -> BrokerSettings {
        let endpoints = HashMap::from([
            (Worker::Stock, self.workers.stock.clone()),
            (Worker::Push, self.workers.push.clone()),
            (Worker::DeadLetter, self.workers.dead_letter.clone()),
        ]);
        BrokerSettings { key: self.push_key.clone(), ..BrokerSettings::new(endpoints) }
    }

    /// The gateway to Toss, or to the sandbox.
    ///
    /// # Errors
    /// When address or key cannot be used.
    pub fn gateway(&self) -> anyhow::Result<Toss> {
        let toss = TossSettings::new(self.toss_secret_key.clone());
        Ok(Toss::new(TossSettings { base_url: self.toss_base_url.clone(), ..toss })?)
    }

    /// How the service reaches its database.
    pub fn pool(&self) -> PoolSettings {
        PoolSettings {
            url: self.database_url.clone(),
            max_connections: self.database_connections,
            application_name: "jumun-checkout-api".to_owned(),
            role: Some(Role::Checkout),
        }
    }
}

const ABOUT: &str = "jumun-checkout-api serves orders, payments and pages, and runs the background loops.";

/// The whole program: settings from the environment, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn main() -> anyhow::Result<()> {
    let Some((settings, _log)) = start(ABOUT, Settings::read)? else {
        return Ok(());
    };
    let shutdown = serve::shutdown_signal()?;
    let listener = if settings.serve { Some(TcpListener::bind(settings.bind).await?) } else { None };
    let db = database::connect(&settings.pool()).await?;
    run(settings, db, listener, shutdown).await
}

/// Runs the service until `shutdown`: the loops if the settings say so, and the API if there is a listener for it.
///
/// # Errors
/// When an address or a key in the settings cannot be used.
pub async fn run(
    settings: Settings,
    db: PgPool,
    listener: Option<TcpListener>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let tasks = TaskTracker::new();
    let toss = Arc::new(settings.gateway()?);
    let parts = Parts::new(&settings, &db, Arc::clone(&toss) as _, &settings.broker(), &tasks).await?;
    let asks_toss = settings.is_toss_real();
    let limits = settings.limits;
    let Parts { app, relay, broker, checkout, reconciler, webhooks, watchdog, stock_feed, announced, arrived } = parts;
    drop(checkout); // a till that nobody holds closes its batches, which is what shutdown waits for
    if settings.loops {
        tasks.spawn(relay.run(shutdown.clone(), announced));
        if let Some(broker) = broker {
            tasks.spawn(broker.run(shutdown.clone()));
        }
        tasks.spawn(webhooks.run(shutdown.clone(), arrived));
        let disputes = reconciler.clone();
        tasks.spawn(every(DISPUTES_EVERY, shutdown.clone(), "disputes", move || {
            let disputes = disputes.clone();
            async move { disputes.look_at_disputes().await }
        }));
        tasks.spawn(every(RECONCILE_EVERY, shutdown.clone(), "reconciler", move || {
            let reconciler = reconciler.clone();
            async move { reconciler.step().await.map(drop) }
        }));
        tasks.spawn(every(WATCH_EVERY, shutdown.clone(), "watchdog", move || {
            let watchdog = watchdog.clone();
            async move { watchdog.step().await.map(drop) }
        }));
        let (expiring, stop) = (db.clone(), shutdown.clone());
        tasks.spawn(every(EXPIRE_EVERY, shutdown.clone(), "expiry", move || expire(expiring.clone(), stop.clone())));
        if asks_toss {
            let statements = Statements::new(db.clone(), toss);
            tasks.spawn(every(STATEMENT_EVERY, shutdown.clone(), "statement", move || {
                let statements = statements.clone();
                async move { statements.step().await.map(drop) }
            }));
        }
        let pruning = Arc::new(Pruning::new(db.clone(), shutdown.clone()));
        tasks.spawn(every(PRUNE_EVERY, shutdown.clone(), "pruning", move || {
            let pruning = Arc::clone(&pruning);
            async move { pruning.step().await }
        }));
    } else {
        drop((relay, broker, reconciler, webhooks, watchdog));
    }
    let Some(listener) = listener else {
        drop(app);
        shutdown.cancelled().await;
        tasks.close();
        if tokio::time::timeout(limits.drain, tasks.wait()).await.is_err() {
            warn!(tasks = tasks.len(), "The loops end with tasks unfinished");
        }
        return Ok(());
    };
    tasks.spawn(stock_feed.run(shutdown.clone()));
    let router = layers::standard(crate::router(app), &limits, &tasks).merge(health::routes(
        move || ready(db.clone()),
        tasks.clone(),
        shutdown.clone(),
    ));
    serve::run("checkout-api", listener, router, limits, tasks, shutdown).await;
    Ok(())
}

async fn ready(db: PgPool) -> Result<(), String> {
    database::ping(&db).await.map_err(|error| error.to_string())
}

async fn expire(db: PgPool, shutdown: CancellationToken) -> sqlx::Result<()> {
    while !shutdown.is_cancelled() {
        let expired = orders::expire(&db, EXPIRE_AT_ONCE).await?;
        if expired > 0 {
            info!(expired, "Expired unpaid orders");
        }
        if expired < EXPIRE_AT_ONCE.unsigned_abs() {
            break;
        }
    }
    Ok(())
}

/// Runs a step now and then until `shutdown`. A step that fails is logged and comes again.
async fn every<F, S>(period: Duration, shutdown: CancellationToken, what: &'static str, step: F)
where
    F: Fn() -> S,
    S: Future<Output = sqlx::Result<()>>,
{
    let mut turns = tokio::time::interval(period);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = turns.tick() => {}
        }
        // Outside the select: a step is never dropped half-way.
        if let Err(error) = step().await {
            error!(%error, "The {what} loop failed and will run again");
        }
    }
}
