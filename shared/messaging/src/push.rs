//! Receives push requests: a request becomes a [`Delivery`], and an [`Answer`] becomes a status.

mod auth;
mod key;
mod keys;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{EventId, EventType, OrderId};
use service::{ApiBytes, Problem, TraceParent, limit_body};
use tracing::warn;

use crate::envelope::{self, CE_ID, CE_TYPE, Incoming, ORDER_ID, TRACEPARENT};
use crate::topology::{SUBSCRIPTIONS, Subscription, Worker};

pub use auth::PushAuth;
pub use key::PushKey;
pub use token::Sender;

/// Our largest event is a few hundred bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// A dead letter may be anything that Pub/Sub carries: 10 MB, in base64.
const DEAD_LETTER_BODY_LIMIT: usize = 14 * 1024 * 1024;

/// What a worker's router has in its state for [`Push`] to be an argument of its handlers.
#[derive(Debug, Clone)]
pub struct PushEndpoint {
    worker: Worker,
    auth: PushAuth,
    /// This worker's, by their full names.
    subscriptions: Arc<HashMap<String, &'static Subscription>>,
}

impl PushEndpoint {
    /// The endpoint of this worker.
    pub fn new(worker: Worker, auth: PushAuth) -> Self {
        if auth.is_loopback() {
            let name = worker.name();
            warn!(
                "PUSH_AUTH=loopback: the {name} takes pushes from ANYBODY on this machine, without authentication. For development only"
            );
        }
        let own = SUBSCRIPTIONS.iter().filter(|it| it.worker == worker);
        let subscriptions = Arc::new(own.map(|it| (it.resource(auth.project()), it)).collect());
        Self { worker, auth, subscriptions }
    }

    fn body_limit(&self) -> usize {
        match self.worker {
            Worker::Stock | Worker::Push => BODY_LIMIT,
            Worker::DeadLetter => DEAD_LETTER_BODY_LIMIT,
        }
    }

    /// The subscription that a token is for, if there must be one.
    async fn proven(&self, headers: &HeaderMap) -> Result<Option<&'static Subscription>, Problem> {
        let proven = self.auth.check(headers).await?;
        if proven.is_some_and(|it| it.worker != self.worker) {
            return Err(self.not_ours());
        }
        Ok(proven)
    }

    /// The subscription that a request names, which must be this worker's, and the one that its token is for.
    fn named(
        &self,
        resource: Option<&str>,
        proven: Option<&'static Subscription>,
    ) -> Result<Option<&'static Subscription>, Problem> {
        let Some(resource) = resource else { return Ok(proven) };
        let named = self.subscriptions.get(resource).copied().ok_or_else(|| self.not_ours())?;
        if proven.is_some_and(|it| it != named) {
            return Err(self.not_ours());
        }
        Ok(Some(named))
    }

    fn not_ours(&self) -> Problem {
        let (worker, project) = (self.worker.name(), self.auth.project());
        warn!(project, "Refused a push to the {worker} for a subscription that is not its own in project {project}");
        Problem::of(StatusCode::FORBIDDEN).detail("not a subscription of this worker")
    }
}

/// A request that the message engine sent. As an argument of a handler it refuses all others with a 4xx.
pub enum Push {
    /// A message.
    Delivery(Delivery),
    /// Not a message, and no redelivery will make it one: to be parked.
    Malformed(Malformed),
}

/// A message on its way to a worker.
pub struct Delivery {
    /// Which subscription it is for, if the engine says so.
    pub subscription: Option<&'static Subscription>,
    /// The engine's id of the message. A message that is published again has another.
    pub message_id: String,
    /// The event's own id: what to de-duplicate on.
    pub event_id: Option<EventId>,
    /// What it announces.
    pub event_type: Option<EventType>,
    /// The order it is about.
    pub order_id: Option<OrderId>,
    /// Which attempt this is. Google's emulator does not say.
    pub attempt: Option<u32>,
    /// The body.
    pub data: Vec<u8>,
    /// All attributes.
    pub attributes: BTreeMap<String, String>,
    /// The trace to go on with.
    pub traceparent: Option<TraceParent>,
    /// The request as it came.
    pub raw: Bytes,
}

/// What came instead of a message.
pub struct Malformed {
    /// Which subscription it is for, if that could be read.
    pub subscription: Option<&'static Subscription>,
    /// The engine's id, if that could be read.
    pub message_id: Option<String>,
    /// What is wrong. Repeats nothing of the request.
    pub reason: String,
    /// The request as it came.
    pub raw: Bytes,
}

impl<S> FromRequest<S> for Push
where
    S: Send + Sync,
    PushEndpoint: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        let endpoint = PushEndpoint::from_ref(state);
        let proven = endpoint.proven(request.headers()).await?;
        limit_body(&mut request, endpoint.body_limit());
        let ApiBytes(raw) = ApiBytes::from_request(request, state).await?;
        Self::read(&endpoint, proven, raw)
    }
}

impl Push {
    fn read(endpoint: &PushEndpoint, proven: Option<&'static Subscription>, raw: Bytes) -> Result<Self, Problem> {
        Ok(match envelope::decode(&raw) {
            Ok(incoming) => {
                let subscription = endpoint.named(incoming.subscription.as_deref(), proven)?;
                Self::Delivery(Delivery::new(subscription, incoming, raw))
            }
            Err(refusal) => Self::Malformed(Malformed {
                subscription: endpoint.named(refusal.subscription.as_deref(), proven)?,
                message_id: refusal.message_id,
                reason: refusal.reason,
                raw,
            }),
        })
    }
}

impl Delivery {
    fn new(subscription: Option<&'static Subscription>, incoming: Incoming, raw: Bytes) -> Self {
        let Incoming { message_id, data, attributes, delivery_attempt, .. } = incoming;
        let attribute = |name: &str| attributes.get(name).map(String::as_str);
        Self {
            subscription,
            message_id,
            event_id: attribute(CE_ID).and_then(|it| it.parse().ok()),
            event_type: attribute(CE_TYPE).and_then(EventType::parse),
            order_id: attribute(ORDER_ID).and_then(|it| it.parse().ok()),
            attempt: delivery_attempt,
            traceparent: attribute(TRACEPARENT).and_then(|it| it.parse().ok()),
            data,
            attributes,
            raw,
        }
    }
}

/// What a worker tells the message engine. To the engine there is only "done" and "again".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The message had its effect, and that is committed.
    Done,
    /// It had its effect before.
    Duplicate,
    /// It can never have one. It is stored with its reason, for a person to look at.
    Parked,
    /// Not now.
    Later,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            // Not 202, which Google's emulator takes for a refusal.
            Self::Done | Self::Duplicate | Self::Parked => StatusCode::NO_CONTENT,
            Self::Later => StatusCode::SERVICE_UNAVAILABLE,
        }
        .into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::header::ORIGIN;
    use chrono::DateTime;

    use super::*;
    use crate::envelope::{Outgoing, attributes};

    async fn receive(worker: Worker, body: impl Into<Body>) -> Result<Push, Problem> {
        let endpoint = PushEndpoint::new(worker, PushAuth::loopback("p"));
        Push::from_request(Request::post("/").body(body.into()).unwrap(), &endpoint).await
    }

    fn request(subscription: &str) -> Vec<u8> {
        let event = domain::EventEnvelope {
            id: "0198c1a2-7b3c-7def-8123-456789abcdef".parse().unwrap(),
            event_type: EventType::CheckoutSuccess,
            order: "0198c1a2-7b3c-7def-8123-456789abcde0".parse().unwrap(),
            occurred_at: DateTime::UNIX_EPOCH,
            data: "{}".into(),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        };
        let outgoing = Outgoing {
            subscription,
            message_id: "1",
            publish_time: DateTime::UNIX_EPOCH,
            data: event.data.as_bytes(),
            attributes: attributes(&event),
            delivery_attempt: Some(3),
        };
        outgoing.encode().unwrap()
    }

    #[tokio::test]
    async fn a_push_becomes_a_delivery() {
        let body = request("projects/p/subscriptions/checkout-stock");
        let Ok(Push::Delivery(delivery)) = receive(Worker::Stock, body.clone()).await else { panic!("refused") };
        assert_eq!(delivery.subscription.unwrap().name, "checkout-stock");
        assert_eq!(delivery.event_id.unwrap().to_string(), "0198c1a2-7b3c-7def-8123-456789abcdef");
        assert_eq!(delivery.order_id.unwrap().to_string(), "0198c1a2-7b3c-7def-8123-456789abcde0");
        assert_eq!(delivery.event_type, Some(EventType::CheckoutSuccess));
        assert_eq!((delivery.message_id.as_str(), delivery.attempt), ("1", Some(3)));
        assert_eq!((delivery.data.as_slice(), delivery.raw.as_ref()), (b"{}".as_slice(), body.as_slice()));
        assert!(delivery.traceparent.is_some());
    }

    #[tokio::test]
    async fn a_message_for_somebody_else_is_refused() {
        for other in ["projects/p/subscriptions/checkout-push", "projects/q/subscriptions/checkout-stock", "x"] {
            let Err(problem) = receive(Worker::Stock, request(other)).await else { panic!("{other} was taken") };
            assert_eq!(problem.status(), StatusCode::FORBIDDEN);
        }
    }

    #[tokio::test]
    async fn a_page_in_a_browser_is_refused() {
        let endpoint = PushEndpoint::new(Worker::Stock, PushAuth::loopback("p"));
        let forged = Request::post("/")
            .header(ORIGIN, "null")
            .body(Body::from(request("projects/p/subscriptions/checkout-stock")));
        let Err(problem) = Push::from_request(forged.unwrap(), &endpoint).await else { panic!("taken") };
        assert_eq!(problem.status(), StatusCode::FORBIDDEN);
    }

    #[tokio::test]
    async fn what_is_no_message_is_there_to_be_parked() {
        let body = r#"{"subscription":"projects/p/subscriptions/checkout-push","message":{"messageId":"7"}}"#;
        let Ok(Push::Malformed(malformed)) = receive(Worker::Push, body).await else { panic!("refused") };
        assert_eq!(malformed.subscription.unwrap().name, "checkout-push");
        assert_eq!(malformed.message_id.as_deref(), Some("7"));
        assert_eq!(malformed.raw, body);

        let Ok(Push::Malformed(malformed)) = receive(Worker::Push, "\0 no JSON").await else { panic!("refused") };
        assert!(malformed.subscription.is_none());
    }

    #[tokio::test]
    async fn only_a_dead_letter_may_be_large() {
        let Err(problem) = receive(Worker::Stock, vec![b' '; BODY_LIMIT + 1]).await else { panic!("taken") };
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let ten_megabytes = vec![b' '; 10 * 1024 * 1024];
        assert!(matches!(receive(Worker::DeadLetter, ten_megabytes).await, Ok(Push::Malformed(_))));
    }
}
