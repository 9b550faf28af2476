//! Takes a paid order's goods out of stock, once: the push endpoint of `checkout-stock`.
//!
//! Concurrent deliveries become one statement. When one of them breaks a constraint they are tried one by one: that
//! one is parked with its reason, the others have their effect.

use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::post;
use database::inbox::Outcome;
use database::{Batcher, stock};
use domain::EventId;
use messaging::consumer::consume;
use messaging::push::{Answer, Push, PushAuth, PushEndpoint};
use messaging::topology::{STOCK_PATH, Worker};
use messaging::worker::{self, WorkerSettings};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Under this name events are claimed, whichever subscription brings them: stock is sold once.
const CONSUMER: &str = "checkout-stock";

/// What the route works with.
#[derive(Clone)]
pub struct App {
    db: PgPool,
    sales: Batcher<EventId, Outcome>,
    endpoint: PushEndpoint,
}

impl App {
    /// Sells on this database. Its batches run on `tasks` until the last clone of the app is dropped.
    pub fn new(db: PgPool, auth: PushAuth, tasks: &TaskTracker) -> Self {
        let sales = Batcher::start(tasks, &db, |db, events| {
            Box::pin(async move {
                crash::point!("st.before_commit");
                let sold = stock::sell(db, CONSUMER, events).await;
                crash::point!("st.after_commit");
                sold
            })
        });
        Self { db, sales, endpoint: PushEndpoint::new(Worker::Stock, auth) }
    }
}

impl FromRef<App> for PushEndpoint {
    fn from_ref(app: &App) -> Self {
        app.endpoint.clone()
    }
}

/// The route, without the layers that `service` puts around it.
pub fn router(app: App) -> Router {
    Router::new().route(STOCK_PATH, post(sell)).with_state(app)
}

async fn sell(State(app): State<App>, push: Push) -> Answer {
    consume(&app.db, Worker::Stock, push, |_, event| app.sales.submit(event)).await
}

const ABOUT: &str = "jumun-stock-worker takes a paid order's goods out of stock, once.";

/// The whole program: settings from the environment, until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start.
pub async fn main() -> anyhow::Result<()> {
    worker::main(ABOUT, Worker::Stock, run).await
}

/// Serves until `shutdown`.
pub async fn run(settings: WorkerSettings, db: PgPool, listener: TcpListener, shutdown: CancellationToken) {
    let tasks = TaskTracker::new();
    let router = router(App::new(db.clone(), settings.auth, &tasks));
    worker::run(Worker::Stock, db, listener, router, settings.limits, tasks, shutdown).await;
}

#[cfg(test)]
mod tests;
