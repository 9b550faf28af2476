//! The workers behind tokens, with nobody to push to them but the test.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use messaging::push::{PushAuth, Sender};
use messaging::topology::{SUBSCRIPTIONS, Worker};
use reqwest::Client;
use sqlx::PgPool;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::push::Push;
use crate::tokens::{KeyRing, PUSHER};

/// The three workers on a database without events, so that whatever is let in is parked.
pub struct Guarded {
    /// Their database.
    pub db: PgPool,
    /// Google's keys.
    pub keys: Arc<KeyRing>,
    endpoints: HashMap<Worker, String>,
    key_server: CancellationToken,
    _stop: DropGuard,
}

impl Guarded {
    /// Starts workers and key server.
    pub async fn open() -> Self {
        let (db, _) = postgres::fresh_url(&database::MIGRATOR).await;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let keys = Arc::new(KeyRing::default());
        let (listener, key_url) = crate::listen().await;
        let key_server = stop.child_token();
        let ring = Arc::clone(&keys);
        let certs = Router::new().route("/certs", get(async move || ring.publish()));
        crate::spawn(listener, certs, &key_server);

        let mut endpoints = HashMap::new();
        for worker in Worker::ALL {
            let sender = Sender {
                service_account: PUSHER.to_owned(),
                audience: Self::audience(worker),
                jwks_url: format!("{key_url}/certs"),
            };
            let auth = PushAuth::oidc(sender).expect("a verifier");
            let router = match worker {
                Worker::Stock => stock_worker::router(stock_worker::App::new(db.clone(), auth, &tasks)),
                Worker::Push => push_worker::router(push_worker::App::new(db.clone(), auth, Arc::default(), &tasks)),
                Worker::DeadLetter => dead_letter_worker::router(dead_letter_worker::App::new(db.clone(), auth)),
            };
            let (listener, url) = crate::listen().await;
            crate::spawn(listener, router, &stop);
            let subscription = SUBSCRIPTIONS.iter().find(|it| it.worker == worker).expect("a subscription");
            endpoints.insert(worker, format!("{url}{}", subscription.path));
        }
        Self { db, keys, endpoints, key_server, _stop: stop.drop_guard() }
    }

    /// The audience of a worker's tokens.
    pub fn audience(worker: Worker) -> String {
        format!("https://{}.shop.example", worker.name())
    }

    /// Nobody answers any more where the keys are.
    pub async fn lose_key_server(&self) {
        self.key_server.cancel();
        tokio::task::yield_now().await;
    }

    /// Pushes a message of no known event to a worker, and returns the status of the answer.
    pub async fn push(&self, worker: Worker, authorization: Option<&str>) -> u16 {
        let subscription = SUBSCRIPTIONS.iter().find(|it| it.worker == worker).expect("a subscription");
        let push = Push::message(subscription.name, &uuid::Uuid::new_v4().to_string(), b"{}");
        let client = Client::builder().no_proxy().build().expect("a client");
        let request = client.post(&self.endpoints[&worker]).body(push.body().to_owned());
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        request.send().await.expect("an answer").status().as_u16()
    }

    /// How many messages got in.
    pub async fn let_in(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM dead_letters").fetch_one(&self.db).await.expect("a number")
    }
}
