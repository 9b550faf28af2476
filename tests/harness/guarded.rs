//! The workers behind tokens, with nobody to push to them but the test.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use database::Role;
use messaging::embedded::PROJECT;
use messaging::push::{PushAuth, PushKey, Sender};
use messaging::topology::{Subscription, Worker};
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
    /// The project of their subscriptions.
    pub project: &'static str,
    workers: HashMap<Worker, String>,
    key_server: CancellationToken,
    _stop: DropGuard,
}

impl Guarded {
    /// Starts workers that believe Google, and a key server.
    pub async fn by_google() -> Self {
        Self::open("guarded-shop", |jwks_url| {
            let sender = Sender { service_account: PUSHER.to_owned(), jwks_url };
            PushAuth::google("guarded-shop", sender).expect("a verifier")
        })
        .await
    }

    /// Starts workers that believe the broker who has this key.
    pub async fn by_key(key: &PushKey) -> Self {
        Self::open(PROJECT, |_| PushAuth::embedded(key)).await
    }

    async fn open(project: &'static str, auth: impl Fn(String) -> PushAuth) -> Self {
        let (db, url) = postgres::fresh_url(&database::MIGRATOR).await;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let keys = Arc::new(KeyRing::default());
        let (listener, key_url) = crate::listen().await;
        let key_server = stop.child_token();
        let ring = Arc::clone(&keys);
        let certs = Router::new().route("/certs", get(async move || ring.publish()));
        crate::spawn(listener, certs, &key_server);

        let pool = async |role| crate::as_role(&url, role).await;
        let mut workers = HashMap::new();
        for worker in Worker::ALL {
            let auth = auth(format!("{key_url}/certs"));
            let router = match worker {
                Worker::Stock => stock_worker::router(stock_worker::App::new(pool(Role::Stock).await, auth, &tasks)),
                Worker::Push => push_worker::router(push_worker::App::new(pool(Role::Push).await, auth, None, &tasks)),
                Worker::DeadLetter => {
                    dead_letter_worker::router(dead_letter_worker::App::new(pool(Role::DeadLetter).await, auth))
                }
            };
            let (listener, url) = crate::listen().await;
            crate::spawn(listener, router, &stop);
            workers.insert(worker, url);
        }
        Self { db, keys, project, workers, key_server, _stop: stop.drop_guard() }
    }

    /// Nobody answers any more where the keys are.
    pub async fn lose_key_server(&self) {
        self.key_server.cancel();
        tokio::task::yield_now().await;
    }

    /// Pushes a message of no known event to a subscription's worker, and returns the status of the answer.
    pub async fn push(&self, subscription: &Subscription, authorization: Option<&str>) -> u16 {
        self.push_as(self.project, subscription, authorization).await
    }

    /// The same, as if the subscription were of this project.
    pub async fn push_as(&self, project: &str, subscription: &Subscription, authorization: Option<&str>) -> u16 {
        let push = Push::message(subscription.name, &uuid::Uuid::new_v4().to_string(), b"{}");
        let client = Client::builder().no_proxy().build().expect("a client");
        let endpoint = format!("{}{}", self.workers[&subscription.worker], subscription.path);
        let request = client.post(endpoint).body(push.body(project));
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
