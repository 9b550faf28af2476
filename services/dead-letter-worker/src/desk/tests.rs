use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use database::dead_letters::{Filter, Letter, Status};

use super::*;

const DECISION: Decision<'_> = Decision { actor: "mina", reason: None };

/// A message engine that notes what it gets, and takes it or not.
struct Engine {
    takes: bool,
    got: Mutex<Vec<EventEnvelope>>,
}

impl Engine {
    fn new(takes: bool) -> Self {
        Self { takes, got: Mutex::default() }
    }
}

#[async_trait]
impl EventPublisher for Engine {
    async fn publish(&self, events: &[EventEnvelope]) -> Vec<Result<(), PublishError>> {
        self.got.lock().unwrap().extend_from_slice(events);
        events.iter().map(|_| if self.takes { Ok(()) } else { Err(PublishError("busy".into())) }).collect()
    }
}

async fn shop() -> PgPool {
    postgres::fresh_with(
        &database::MIGRATOR,
        include_str!("../../../../shared/database/fixtures/announced_payments.sql"),
    )
    .await
}

/// An event of the fixture.
fn announced() -> EventId {
    "00000000-0000-0000-0000-000000000007".parse().unwrap()
}

async fn park(db: &PgPool, source: &str, event: Option<EventId>) {
    let none = BTreeMap::new();
    let letter = Letter {
        event,
        source,
        message_id: None,
        data: b"forged",
        attributes: &none,
        reason: "test",
        delivery_attempts: None,
    };
    dead_letters::park(db, letter).await.unwrap();
}

async fn letters(db: &PgPool) -> Vec<Summary> {
    dead_letters::list(db, Filter::default(), 10).await.unwrap()
}

async fn replay(db: &PgPool, engine: &Engine) -> Replay {
    let plan = Replay::plan(db, &letters(db).await).await.unwrap();
    plan.carry_out(db, engine, DECISION).await.unwrap()
}

#[tokio::test]
async fn an_event_that_died_twice_is_published_once_as_we_announced_it() {
    let db = shop().await;
    park(&db, "checkout-stock", Some(announced())).await;
    park(&db, "checkout-push", Some(announced())).await;
    let engine = Engine::new(true);
    assert_eq!(replay(&db, &engine).await.replayed.len(), 2);
    assert_eq!(replay(&db, &engine).await.replayed.len(), 2, "a replay may be repeated");
    let got = engine.got.into_inner().unwrap();
    assert_eq!(got.iter().map(|event| event.id).collect::<Vec<_>>(), [announced(); 2]);
    assert!(got[0].data.contains("orderId"), "not the letter's own body");
    let letters = letters(&db).await;
    assert!(letters.iter().all(|letter| letter.status == Status::Replayed));
    assert_eq!(dead_letters::actions(&db, letters[0].id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_replayed_stays_open_and_says_why() {
    let db = shop().await;
    park(&db, "checkout-stock", None).await;
    park(&db, "checkout-stock", Some(EventId::new())).await;
    let engine = Engine::new(true);
    let done = replay(&db, &engine).await;
    let why: Vec<_> = done.refused.iter().map(|(_, why)| why.to_string()).collect();
    assert_eq!(why, ["it carries no event id that can be read", "the outbox holds no such event"]);
    assert!(done.replayed.is_empty() && engine.got.into_inner().unwrap().is_empty());
    assert!(letters(&db).await.iter().all(|letter| letter.status == Status::Open));
}

#[tokio::test]
async fn only_what_the_engine_confirmed_is_marked() {
    let db = shop().await;
    park(&db, "checkout-stock", Some(announced())).await;
    let done = replay(&db, &Engine::new(false)).await;
    assert!(matches!(done.refused[..], [(_, Refusal::NotPublished(_))]));
    let letter = letters(&db).await.remove(0);
    assert_eq!(letter.status, Status::Open);
    assert!(dead_letters::actions(&db, letter.id).await.unwrap().is_empty());
}
