//! What the workers have in common around their routes: where they listen, and when they are ready.

use axum::Router;
use database::PoolSettings;
use secrecy::SecretString;
use service::{Limits, health, layers, serve};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::topology::Worker;

impl Worker {
    /// How this worker reaches the database.
    pub fn pool(self, url: SecretString, max_connections: u32) -> PoolSettings {
        PoolSettings { url, max_connections, application_name: self.name().to_owned() }
    }

    /// Serves a worker's routes, with health beside them, until `shutdown`, and waits for its `tasks`.
    pub async fn serve(
        self,
        db: PgPool,
        listener: TcpListener,
        router: Router,
        limits: Limits,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) {
        let check = move || {
            let db = db.clone();
            async move { database::ping(&db).await.map_err(|error| error.to_string()) }
        };
        let router =
            layers::standard(router, &limits, &tasks).merge(health::routes(check, tasks.clone(), shutdown.clone()));
        serve::run(self.name(), listener, router, limits, tasks, shutdown).await;
    }
}
