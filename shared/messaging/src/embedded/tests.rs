//! A broker, a publisher, and a worker that answers as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use chrono::{DateTime, Utc};
use domain::{EventEnvelope, EventId, EventPublisher as _, EventType, OrderId};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Broker, BrokerSettings, EmbeddedPublisher};
use crate::envelope::{self, CE_ID, Incoming};
use crate::topology::{Policy, SUBSCRIPTIONS, Worker};

/// Decides about the nth push to a subscription.
type Script = dyn Fn(&str, usize) -> Reply + Send + Sync;

#[derive(Clone, Copy)]
enum Reply {
    Status(u16),
    Never,
}

/// All three workers in one, behind one address.
#[derive(Clone)]
struct Workers {
    address: String,
    received: Arc<Mutex<Vec<(String, Incoming)>>>,
    script: Arc<Script>,
}

impl Workers {
    async fn open(script: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let workers = Self { address, received: Arc::default(), script: Arc::new(script) };
        let router = Router::new().fallback(receive).with_state(workers.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        workers
    }

    fn received_by(&self, subscription: &str) -> Vec<Incoming> {
        let suffix = format!("/{subscription}");
        let received = self.received.lock().unwrap();
        received
            .iter()
            .map(|(_, it)| it.clone())
            .filter(|it| it.subscription.as_ref().unwrap().ends_with(&suffix))
            .collect()
    }

    fn broker(&self, pool: &PgPool, policy: Policy) -> Broker {
        let endpoints: HashMap<_, _> = Worker::ALL.map(|worker| (worker, self.address.clone())).into();
        let settings = BrokerSettings { policy: Some(policy), in_flight: 8, ..BrokerSettings::new(endpoints) };
        Broker::start(pool.clone(), &settings, &TaskTracker::new()).unwrap()
    }
}

async fn receive(State(workers): State<Workers>, uri: Uri, body: Bytes) -> StatusCode {
    let incoming = envelope::decode(&body).unwrap();
    let subscription = incoming.subscription.clone().unwrap();
    let subscription = subscription.rsplit('/').next().unwrap();
    workers.received.lock().unwrap().push((uri.path().to_owned(), incoming));
    match (workers.script)(subscription, workers.received_by(subscription).len()) {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap(),
        Reply::Never => std::future::pending().await,
    }
}

const IMPATIENT: Policy = Policy {
    min_backoff: Duration::from_millis(20),
    max_backoff: Duration::from_millis(40),
    max_attempts: 5,
    ..SUBSCRIPTIONS[0].policy
};

fn event(event_type: EventType) -> EventEnvelope {
    EventEnvelope {
        id: EventId::new(),
        event_type,
        order: OrderId::new(),
        occurred_at: chrono::Utc::now(),
        data: r#"{"amount":1}"#.into(),
        traceparent: None,
    }
}

async fn publish(pool: &PgPool, events: &[EventEnvelope]) {
    publish_beside(None, pool, events).await;
}

/// Publishes in the process of this broker.
async fn publish_beside(broker: Option<&Broker>, pool: &PgPool, events: &[EventEnvelope]) {
    for answer in EmbeddedPublisher::new(pool.clone(), broker.cloned()).publish(events).await {
        answer.unwrap();
    }
}

/// When the next message is due, or the next lease runs out.
async fn next_due(pool: &PgPool) -> Option<DateTime<Utc>> {
    sqlx::query_scalar("SELECT min(due_at) FROM deliveries").fetch_one(pool).await.unwrap()
}

/// Delivers until nothing is left.
async fn drain(pool: &PgPool, broker: &Broker) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Some(due) = next_due(pool).await {
        assert!(Instant::now() < deadline, "something is never delivered");
        tokio::time::sleep((due - chrono::Utc::now()).to_std().unwrap_or_default()).await;
        broker.deliver_due().await.unwrap();
    }
}

#[tokio::test]
async fn an_event_reaches_every_subscription_once() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    let workers = Workers::open(|_, _| Reply::Status(204)).await;
    let broker = workers.broker(&pool, IMPATIENT);
    let paid = event(EventType::CheckoutSuccess);
    let refunded = event(EventType::CheckoutRefunded);
    publish(&pool, &[paid.clone(), refunded.clone()]).await;
    publish(&pool, std::slice::from_ref(&paid)).await;

    assert_eq!(broker.deliver_due().await.unwrap(), 3);
    assert_eq!(next_due(&pool).await, None);
    let stock = workers.received_by("checkout-stock").remove(0);
    assert_eq!(stock.subscription.as_deref(), Some("projects/jumun-local/subscriptions/checkout-stock"));
    assert_eq!((stock.data, stock.delivery_attempt), (paid.data.into_bytes(), Some(1)));
    assert_eq!(stock.attributes[CE_ID], paid.id.to_string());
    assert_eq!(workers.received_by("checkout-push").len(), 1);
    assert_eq!(workers.received_by("checkout-refunded-push")[0].attributes[CE_ID], refunded.id.to_string());
    let mut paths: Vec<_> = workers.received.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
    paths.sort();
    assert_eq!(paths, ["/api/checkout/push", "/api/checkout/push", "/api/checkout/stock"]);
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_later() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    // A redirect is not followed, and a client error is no reason to give up.
    let script = |_: &str, nth: usize| Reply::Status([503, 302, 404, 200][nth - 1]);
    let workers = Workers::open(script).await;
    let broker = workers.broker(&pool, IMPATIENT);
    publish(&pool, &[event(EventType::CheckoutFailed)]).await;

    let began = Instant::now();
    assert_eq!(broker.deliver_due().await.unwrap(), 1, "not again before its time");
    drain(&pool, &broker).await;
    assert!(began.elapsed() >= Duration::from_millis(20 + 40 + 40), "{:?}", began.elapsed());
    let received = workers.received_by("checkout-failed-push");
    let attempts: Vec<_> = received.iter().map(|it| it.delivery_attempt.unwrap()).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    assert!(received.iter().all(|it| it.message_id == received[0].message_id));
}

#[tokio::test]
async fn what_is_never_acknowledged_becomes_a_dead_letter() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    // The dead-letter worker fails for longer than others are given: its messages are never given up.
    let script = |subscription: &str, nth: usize| match subscription {
        "checkout-stock" => Reply::Status(500),
        "dead-letter-sub" if nth <= 7 => Reply::Status(503),
        _ => Reply::Status(204),
    };
    let workers = Workers::open(script).await;
    let broker = workers.broker(&pool, IMPATIENT);
    let paid = event(EventType::CheckoutSuccess);
    publish(&pool, std::slice::from_ref(&paid)).await;
    drain(&pool, &broker).await;

    let attempts = workers.received_by("checkout-stock");
    assert_eq!(attempts.len(), 5);
    let letters = workers.received_by("dead-letter-sub");
    assert_eq!(letters.len(), 8);
    let letter = &letters[0];
    assert_ne!(letter.message_id, attempts[0].message_id);
    assert_eq!(letter.delivery_attempt, None, "only said where there is a limit");
    assert_eq!(letter.data, paid.data.as_bytes());
    assert_eq!(letter.attributes[CE_ID], paid.id.to_string());
    assert_eq!(letter.attributes[envelope::DEAD_LETTER_COUNT], "5");
    assert_eq!(letter.attributes[envelope::DEAD_LETTER_SUBSCRIPTION], "checkout-stock");
    assert_eq!(letter.attributes[envelope::DEAD_LETTER_PROJECT], super::PROJECT);
    let published = letter.attributes[envelope::DEAD_LETTER_PUBLISHED].parse().ok();
    assert_eq!(published, attempts[0].publish_time);
}

#[tokio::test]
async fn a_hung_worker_stalls_nobody_else() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    let script = |subscription: &str, _| match subscription {
        "checkout-stock" => Reply::Never,
        _ => Reply::Status(204),
    };
    let workers = Workers::open(script).await;
    let broker = workers.broker(&pool, IMPATIENT);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(broker.clone().run(shutdown.clone()));
    let pushed = async |count| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while workers.received_by("checkout-push").len() < count {
            assert!(Instant::now() < deadline, "{}", workers.received_by("checkout-push").len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    publish(&pool, &[event(EventType::CheckoutSuccess)]).await;
    pushed(1).await; // it runs, so that it is handed as much of the rest as it has slots for
    let events: Vec<_> = (0..49).map(|_| event(EventType::CheckoutSuccess)).collect();
    publish_beside(Some(&broker), &pool, &events).await;
    pushed(50).await;
    assert_eq!(workers.received_by("checkout-stock").len(), 8, "as many as there are slots");

    // What hangs at the end is given back, and is due at once.
    shutdown.cancel();
    running.await.unwrap();
    let due = next_due(&pool).await.unwrap();
    assert!(due <= chrono::Utc::now());
}

#[tokio::test]
async fn a_push_that_is_not_answered_in_time_is_repeated() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    let script = |_: &str, nth: usize| if nth == 1 { Reply::Never } else { Reply::Status(204) };
    let workers = Workers::open(script).await;
    let hasty = Policy { ack_deadline: Duration::from_millis(250), ..IMPATIENT };
    let broker = workers.broker(&pool, hasty);
    publish(&pool, &[event(EventType::CheckoutFailed)]).await;
    drain(&pool, &broker).await;
    assert_eq!(workers.received_by("checkout-failed-push").len(), 2);
}

#[tokio::test]
async fn two_brokers_push_each_message_once() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    let workers = Workers::open(|_, _| Reply::Status(204)).await;
    let (one, other) = (workers.broker(&pool, IMPATIENT), workers.broker(&pool, IMPATIENT));
    let events: Vec<_> = (0..100).map(|_| event(EventType::CheckoutSuccess)).collect();
    publish(&pool, &events).await;
    let (one, other) = tokio::join!(one.deliver_due(), other.deliver_due());
    assert_eq!(one.unwrap() + other.unwrap(), 200);
    for subscription in ["checkout-stock", "checkout-push"] {
        let mut ids: Vec<_> = workers.received_by(subscription).into_iter().map(|it| it.message_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 100);
    }
}

#[tokio::test]
async fn a_message_for_a_worker_without_an_address_waits() {
    let pool = postgres::fresh(&database::MIGRATOR).await;
    let endpoints = HashMap::from([(Worker::Stock, "http://127.0.0.1:9".to_owned())]);
    let start = |endpoints| Broker::start(pool.clone(), &BrokerSettings::new(endpoints), &TaskTracker::new());
    publish(&pool, &[event(EventType::CheckoutFailed)]).await;
    assert_eq!(start(endpoints).unwrap().deliver_due().await.unwrap(), 0);
    assert!(next_due(&pool).await.is_some());
    assert!(start(HashMap::from([(Worker::Push, "nowhere".to_owned())])).is_err());
}
