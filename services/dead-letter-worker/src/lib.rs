//! Stores messages that no consumer could process, with the reason: the push endpoint of `dead-letter-sub`, and the [`desk`]
//! where they are replayed.

pub mod desk;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use database::dead_letters::Letter;
use messaging::consumer::{park, park_malformed};
use messaging::envelope::{DEAD_LETTER_COUNT, DEAD_LETTER_SUBSCRIPTION};
use messaging::push::{Answer, Delivery, Push, PushAuth, PushEndpoint};
use messaging::topology::{DEAD_LETTER_PATH, Worker};
use messaging::worker::{self, WorkerSettings};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the route works with.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    endpoint: PushEndpoint,
}

impl App {
    /// Stores in this database.
    pub fn new(db: PgPool, auth: PushAuth) -> Self {
        Self { db, endpoint: PushEndpoint::new(Worker::DeadLetter, auth) }
    }
}

impl FromRef<App> for PushEndpoint {
    fn from_ref(app: &App) -> Self {
        app.endpoint.clone()
    }
}

/// The route, without the layers that `service` puts around it.
pub fn router(app: App) -> Router {
    Router::new().route(DEAD_LETTER_PATH, post(store)).with_state(app)
}

async fn store(State(app): State<App>, push: Push) -> Answer {
    crash::point!("dl.store.before_commit");
    let answer = match push {
        Push::Delivery(delivery) => park(&app.db, letter(&delivery, &reason(&delivery))).await,
        Push::Malformed(malformed) => park_malformed(&app.db, Worker::DeadLetter, &malformed).await,
    };
    crash::point!("dl.store.after_commit");
    answer
}

/// All that the engine says about why it gave up.
fn reason(delivery: &Delivery) -> String {
    match delivery.attributes.get(DEAD_LETTER_COUNT) {
        Some(count) => format!("not acknowledged in {count} delivery attempts"),
        None => "sent here without a count of delivery attempts".to_owned(),
    }
}

fn letter<'a>(delivery: &'a Delivery, reason: &'a str) -> Letter<'a> {
    let attribute = |name: &str| delivery.attributes.get(name).map(String::as_str);
    Letter {
        event: delivery.event_id,
        source: attribute(DEAD_LETTER_SUBSCRIPTION).unwrap_or("unknown"),
        message_id: Some(&delivery.message_id),
        data: &delivery.data,
        attributes: &delivery.attributes,
        reason,
        delivery_attempts: attribute(DEAD_LETTER_COUNT).and_then(|it| it.parse().ok()),
    }
}

const ABOUT: &str = "jumun-dead-letter-worker stores messages that no consumer could process, with the reason.";

/// The whole program: settings from the environment, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn main() -> anyhow::Result<()> {
    worker::main(ABOUT, Worker::DeadLetter, run).await
}

/// Serves until `shutdown`.
pub async fn run(settings: WorkerSettings, db: PgPool, listener: TcpListener, shutdown: CancellationToken) {
    let router = router(App::new(db.clone(), settings.auth));
    worker::run(Worker::DeadLetter, db, listener, router, settings.limits, TaskTracker::new(), shutdown).await;
}

#[cfg(test)]
mod tests;
