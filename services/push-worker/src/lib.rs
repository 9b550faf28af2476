//! Notifies the buyer's devices, each once: the push endpoint of `checkout-push`, `checkout-failed-push` and
//! `checkout-refunded-push`.
//!
//! A push request is acknowledged as soon as one attempt per device is planned; a [`Sender`] then sends them.

mod sender;
mod settings;
mod text;
mod valve;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use database::inbox::Outcome;
use database::push_attempts::{self, Notice};
use database::{BatchError, Batcher};
use domain::{EventId, EventType, PushSender};
use messaging::consumer::consume;
use messaging::push::{Answer, Push, PushAuth, PushEndpoint};
use messaging::topology::{PUSH_PATH, Subscription, Worker};
use messaging::worker;
use service::{serve, start};
use sqlx::{PgConnection, PgPool};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use sender::Sender;
pub use settings::{Sending, Settings};
pub use verdict::Backoff;

/// What the route works with.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    plans: Batcher<Notice, Outcome>,
    endpoint: PushEndpoint,
}

impl App {
    /// Plans on this database, and hands what it plans to `sender`; any other finds it. Its batches run on `tasks` until
    /// the last clone of the app is dropped.
    pub fn new(db: PgPool, auth: PushAuth, sender: Option<Sender>, tasks: &TaskTracker) -> Self {
        let plans = Batcher::start(tasks, &db, move |db, notices| {
            let sender = sender.clone();
            Box::pin(async move { plan_for(sender.as_ref(), db, notices).await })
        });
        Self { db, plans, endpoint: PushEndpoint::new(Worker::Push, auth) }
    }

    async fn plan(&self, subscription: &'static Subscription, event: EventId) -> Result<Outcome, BatchError> {
        // A topic is named after the type of its events; one that is not has none in our outbox.
        let Some(event_type) = EventType::parse(subscription.topic) else { return Ok(Outcome::Unknown) };
        self.plans.submit(Notice { consumer: subscription.name, event, event_type }).await
    }
}

async fn plan_for(sender: Option<&Sender>, db: &mut PgConnection, notices: &[Notice]) -> sqlx::Result<Vec<Outcome>> {
    let slots = sender.and_then(|sender| Some((sender, sender.free_slots()?)));
    let (room, lease) =
        slots.as_ref().map_or((0, Duration::ZERO), |(sender, slots)| (slots.num_permits(), sender.lease_time()));
    crash::point!("pn.plan.before_commit");
    let planned = push_attempts::plan(db, notices, room, lease).await?;
    crash::point!("pn.plan.after_commit");
    if let Some((sender, slots)) = slots {
        sender.take_over(planned.leased, slots);
    }
    Ok(planned.outcomes)
}

impl FromRef<App> for PushEndpoint {
    fn from_ref(app: &App) -> Self {
        app.endpoint.clone()
    }
}

/// The route, without the layers that `service` puts around it.
pub fn router(app: App) -> Router {
    Router::new().route(PUSH_PATH, post(plan)).with_state(app)
}

async fn plan(State(app): State<App>, push: Push) -> Answer {
    consume(&app.db, Worker::Push, push, |subscription, event| app.plan(subscription, event)).await
}

const ABOUT: &str = "jumun-push-worker notifies the buyer's devices, each once.";

/// The whole program: settings from the environment, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn main() -> anyhow::Result<()> {
    let Some((settings, _log)) = start(ABOUT, Settings::read)? else { return Ok(()) };
    let shutdown = serve::shutdown_signal()?;
    let fcm = Arc::new(settings.fcm.client()?);
    let (db, listener) = worker::open(&settings.worker).await?;
    run(settings, db, fcm, listener, shutdown).await;
    Ok(())
}

/// Serves and sends until `shutdown`.
pub async fn run(
    settings: Settings,
    db: PgPool,
    service: Arc<dyn PushSender>,
    listener: TcpListener,
    shutdown: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let sender = Sender::new(db.clone(), service, settings.sending, &tasks);
    tasks.spawn(sender.clone().run(shutdown.clone()));
    let router = router(App::new(db.clone(), settings.worker.auth, Some(sender), &tasks));
    worker::run(Worker::Push, db, listener, router, settings.worker.limits, tasks, shutdown).await;
}

#[cfg(test)]
mod tests;
