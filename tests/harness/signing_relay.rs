//! Between Google's emulator and the workers: adds what only the real service sends, and makes trouble.
//!
//! The emulator pushes here. The relay signs the request, says which attempt it is, hands it to the worker, notes what the
//! worker answers, and passes that on, unless it was told to do otherwise.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::routing::{get, post};
use messaging::envelope::CE_ID;
use messaging::topology::{Subscription, Worker};
use reqwest::Client;
use serde_json::Value;

use crate::tokens::KeyRing;

/// What happens to a push on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The worker gets it twice, at the same time.
    Twice,
    /// It waits on the way.
    Late(Duration),
    /// The worker takes it, and nobody hears of that.
    AnswerLost,
    /// It does not arrive, so that later ones overtake it.
    Overtaken,
}

/// A push that arrived here, and what the worker said.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The subscription's name.
    pub subscription: String,
    /// The event's id, if it has one.
    pub event: Option<String>,
    /// Which attempt it is, of this message.
    pub number: u32,
    /// The worker's answer. 502: none.
    pub status: StatusCode,
}

/// The relay of one shop.
#[derive(Clone)]
pub struct SigningRelay(Arc<Inner>);

struct Inner {
    url: String,
    /// Where the emulator tells what a subscription is like.
    emulator: String,
    /// What the subscriptions' tokens are for, as far as it was asked.
    audiences: tokio::sync::Mutex<HashMap<String, String>>,
    keys: KeyRing,
    client: Client,
    workers: OnceLock<HashMap<&'static str, String>>,
    counts: Mutex<HashMap<(String, String), u32>>,
    attempts: Mutex<Vec<Attempt>>,
    trouble: Mutex<VecDeque<Trouble>>,
}

impl SigningRelay {
    /// A relay that is reached at `url`.
    pub(crate) fn new(url: String, emulator: &str) -> Self {
        Self(Arc::new(Inner {
            url,
            emulator: format!("http://{emulator}/v1"),
            audiences: tokio::sync::Mutex::default(),
            keys: KeyRing::default(),
            client: Client::builder().no_proxy().build().expect("a client"),
            workers: OnceLock::new(),
            counts: Mutex::default(),
            attempts: Mutex::default(),
            trouble: Mutex::default(),
        }))
    }

    /// Where pushes for a worker go.
    pub fn url(&self, worker: Worker) -> String {
        format!("{}/{}", self.0.url, worker.name())
    }

    /// Where the keys are published.
    pub fn jwks_url(&self) -> String {
        format!("{}/certs", self.0.url)
    }

    /// Google's keys.
    pub fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    /// Lets the next pushes meet trouble, in this order, whoever they are for.
    pub fn trouble(&self, ahead: impl IntoIterator<Item = Trouble>) {
        self.0.trouble.lock().unwrap().extend(ahead);
    }

    /// Every push so far.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.attempts.lock().unwrap().clone()
    }

    pub(crate) fn connect(&self, workers: HashMap<&'static str, String>) {
        self.0.workers.set(workers).expect("nobody connected them yet");
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/certs", get(async |State(relay): State<Self>| relay.0.keys.publish()))
            .route("/{worker}/{*path}", post(push))
            .with_state(self.clone())
    }
}

async fn push(State(relay): State<SigningRelay>, uri: Uri, body: Bytes) -> StatusCode {
    let relay = relay.0;
    let trouble = relay.trouble.lock().unwrap().pop_front();
    let request = Pushed::read(&body);
    let number = {
        let mut counts = relay.counts.lock().unwrap();
        let count = counts.entry((request.subscription.clone(), request.message_id.clone())).or_default();
        *count += 1;
        *count
    };
    if let Some(Trouble::Late(time)) = trouble {
        tokio::time::sleep(time).await;
    }
    let status = match trouble {
        Some(Trouble::Overtaken) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Trouble::Twice) => {
            let (status, _) =
                tokio::join!(relay.hand_on(&uri, &request, number), relay.hand_on(&uri, &request, number));
            status
        }
        _ => relay.hand_on(&uri, &request, number).await,
    };
    let Pushed { subscription, event, .. } = request;
    relay.attempts.lock().unwrap().push(Attempt { subscription, event, number, status });
    if trouble == Some(Trouble::AnswerLost) { StatusCode::BAD_GATEWAY } else { status }
}

/// A push request of the emulator.
struct Pushed {
    resource: String,
    subscription: String,
    message_id: String,
    event: Option<String>,
    body: Value,
}

impl Pushed {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).expect("the emulator sends JSON");
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let resource = text(&body["subscription"]).expect("a subscription");
        Self {
            subscription: resource.rsplit('/').next().unwrap_or_default().to_owned(),
            resource,
            message_id: text(&body["message"]["messageId"]).expect("a message id"),
            event: text(&body["message"]["attributes"][CE_ID]),
            body,
        }
    }
}

impl Inner {
    async fn hand_on(&self, uri: &Uri, request: &Pushed, number: u32) -> StatusCode {
        let (worker, path) = uri.path()[1..].split_once('/').expect("a worker and a path");
        let mut body = request.body.clone();
        // Only said for subscriptions that give up.
        if Subscription::named(&request.subscription).is_some_and(|it| it.dead_letter_topic.is_some()) {
            body["deliveryAttempt"] = number.into();
        }
        let worker = &self.workers.get().expect("connected workers")[worker];
        let answer = async {
            let token = self.keys.token(&self.audience(&request.resource).await?);
            self.client.post(format!("{worker}/{path}")).bearer_auth(token).json(&body).send().await
        };
        answer.await.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status())
    }

    /// What a subscription was set up to have its tokens made for.
    async fn audience(&self, resource: &str) -> reqwest::Result<String> {
        let mut known = self.audiences.lock().await;
        if let Some(audience) = known.get(resource) {
            return Ok(audience.clone());
        }
        let subscription = self.client.get(format!("{}/{resource}", self.emulator)).send().await?;
        let subscription: Value = subscription.error_for_status()?.json().await?;
        let audience = subscription["pushConfig"]["oidcToken"]["audience"].as_str().expect("an audience").to_owned();
        Ok(known.entry(resource.to_owned()).or_insert(audience).clone())
    }
}
