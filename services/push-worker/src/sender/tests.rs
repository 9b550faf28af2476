use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use database::messaging_tokens::{Locale, Registration, register};
use database::push_attempts::{Notice, plan};
use domain::{CustomerId, DeviceId, DeviceToken, EventType, PushNotification, TokenKind};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore as Gate;
use uuid::Uuid;

use super::*;
use crate::Backoff;

/// A push service that answers by token and keeps what it accepted.
#[derive(Default)]
struct Phone {
    script: Mutex<HashMap<String, fn() -> PushError>>,
    accepted: Mutex<Vec<(String, PushNotification)>>,
    /// Tokens that wait here before they are answered.
    slow: Option<(&'static str, Arc<Gate>)>,
}

impl Phone {
    fn answer(&self, token: &str, error: Option<fn() -> PushError>) {
        let mut script = self.script.lock().unwrap();
        match error {
            Some(error) => script.insert(token.to_owned(), error),
            None => script.remove(token),
        };
    }

    fn accepted(&self) -> Vec<String> {
        let mut tokens: Vec<_> = self.accepted.lock().unwrap().iter().map(|(token, _)| token.clone()).collect();
        tokens.sort();
        tokens
    }
}

#[async_trait]
impl PushSender for Phone {
    async fn send(&self, device: &DeviceToken, notification: &PushNotification) -> Result<(), PushError> {
        let token = device.token.expose_secret().to_owned();
        if let Some((slow, gate)) = &self.slow
            && *slow == token
        {
            gate.acquire().await.unwrap().forget();
        }
        if let Some(error) = self.script.lock().unwrap().get(&token) {
            return Err(error());
        }
        self.accepted.lock().unwrap().push((token, notification.clone()));
        Ok(())
    }
}

struct Shop {
    db: PgPool,
    phone: Arc<Phone>,
    sender: Sender,
    buyer: CustomerId,
}

fn gone() -> PushError {
    PushError::Gone { code: "UNREGISTERED".into() }
}

fn busy() -> PushError {
    PushError::Retry { after: Some(Duration::from_mins(1)) }
}

fn silent() -> PushError {
    PushError::Unknown("reset".into())
}

fn at_once() -> Sending {
    Sending {
        public_url: "https://shop.example".into(),
        in_flight: 8,
        poll: Duration::from_millis(10),
        lease: Duration::from_mins(1),
        backoff: Backoff { first: Duration::ZERO, ..Backoff::default() },
    }
}

impl Shop {
    async fn open(db: PgPool, phone: Phone) -> Self {
        let phone = Arc::new(phone);
        let buyer = CustomerId::new();
        sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(buyer.uuid()).execute(&db).await.unwrap();
        let service: Arc<dyn PushSender> = Arc::clone(&phone) as _;
        let sender = Sender::new(db.clone(), service, at_once(), &TaskTracker::new());
        Self { db, phone, sender, buyer }
    }

    async fn device(&self, token: &str) -> DeviceId {
        self.device_of(self.buyer, token).await
    }

    async fn device_of(&self, customer: CustomerId, token: &str) -> DeviceId {
        let token = DeviceToken { kind: TokenKind::Token, token: token.into() };
        register(&self.db, &Registration { customer, token, locale: Locale::Ko, user_agent: None }).await.unwrap()
    }

    /// An order is paid and its event delivered.
    async fn pay(&self) {
        plan(&self.db, &[self.paid().await], 0, at_once().lease).await.unwrap();
    }

    async fn paid(&self) -> Notice {
        let event: Uuid = sqlx::query_scalar("SELECT shop_paid_order($1, ARRAY[shop_product(3)], ARRAY[3])")
            .bind(self.buyer.uuid())
            .fetch_one(&self.db)
            .await
            .unwrap();
        Notice { consumer: "checkout-push", event: event.into(), event_type: EventType::CheckoutSuccess }
    }

    /// Status, attempts and unknowns by token; of devices that are gone by `-`.
    async fn attempts(&self) -> Vec<(String, String, i32, i32)> {
        sqlx::query_as(
            "SELECT coalesce(token, '-'), status, attempts, unknowns
             FROM push_attempts LEFT JOIN messaging_tokens ON id = device_id ORDER BY 1",
        )
        .fetch_all(&self.db)
        .await
        .unwrap()
    }

    async fn make_due(&self) {
        sqlx::query("UPDATE push_attempts SET due_at = now() WHERE due_at IS NOT NULL")
            .execute(&self.db)
            .await
            .unwrap();
    }
}

fn row(token: &str, status: &str, attempts: i32, unknowns: i32) -> (String, String, i32, i32) {
    (token.into(), status.into(), attempts, unknowns)
}

#[tokio::test]
async fn each_device_is_told_once() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    for token in ["a", "b", "c"] {
        shop.device(token).await;
    }
    shop.pay().await;
    assert_eq!(shop.sender.step().await.unwrap(), 3);
    assert_eq!(shop.sender.step().await.unwrap(), 0);
    assert_eq!(shop.phone.accepted(), ["a", "b", "c"]);
    let notification = shop.phone.accepted.lock().unwrap()[0].1.clone();
    assert_eq!(
        (notification.title.as_str(), notification.body.as_str()),
        ("결제가 완료되었습니다", "머그컵 · ₩39,000")
    );
    assert_eq!(notification.link, Some(format!("https://shop.example/orders/{}", notification.order)));
}

#[tokio::test]
async fn only_what_failed_is_sent_again() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    for token in ["ok-1", "ok-2", "ok-3", "gone", "busy", "silent"] {
        shop.device(token).await;
    }
    shop.phone.answer("gone", Some(gone));
    shop.phone.answer("busy", Some(busy));
    shop.phone.answer("silent", Some(silent));
    shop.pay().await;
    assert_eq!(shop.sender.step().await.unwrap(), 6);
    let sent = |token| row(token, "sent", 1, 0);
    let after_one = [
        row("-", "gone", 1, 0),
        row("busy", "pending", 1, 1),
        sent("ok-1"),
        sent("ok-2"),
        sent("ok-3"),
        row("silent", "pending", 1, 1),
    ];
    assert_eq!(shop.attempts().await, after_one);

    shop.phone.answer("silent", None);
    assert_eq!(shop.sender.step().await.unwrap(), 1, "busy asked for a minute, silent is due at once");
    shop.phone.answer("busy", None);
    assert_eq!(shop.sender.step().await.unwrap(), 0);
    shop.make_due().await;
    assert_eq!(shop.sender.step().await.unwrap(), 1);
    assert_eq!(shop.phone.accepted(), ["busy", "ok-1", "ok-2", "ok-3", "silent"]);
    assert_eq!(shop.attempts().await[1], row("busy", "sent", 2, 1));
}

#[tokio::test]
async fn a_moved_device_shows_nothing_of_its_last_owner() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    shop.device("shared").await;
    shop.pay().await;
    let other = CustomerId::new();
    sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(other.uuid()).execute(&shop.db).await.unwrap();
    shop.device_of(other, "shared").await;
    assert_eq!(shop.sender.step().await.unwrap(), 0);
    assert!(shop.phone.accepted().is_empty());
    assert_eq!(shop.attempts().await, [row("shared", "gone", 0, 0)]);
}

#[tokio::test]
async fn a_push_service_that_calls_everybody_gone_is_not_believed() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    shop.device("phone").await;
    shop.phone.answer("phone", Some(gone));
    {
        let mut valve = shop.sender.shared.valve.lock().unwrap();
        assert!((0..19).all(|_| valve.note(true)));
    }
    shop.pay().await;
    assert_eq!(shop.sender.step().await.unwrap(), 1);
    assert_eq!(shop.attempts().await, [row("phone", "pending", 1, 0)], "neither forgotten nor given up");
}

#[tokio::test]
async fn a_mistake_of_ours_is_given_up_and_a_refused_login_is_not() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    for token in ["payload", "auth"] {
        shop.device(token).await;
    }
    shop.phone.answer("payload", Some(|| PushError::Payload("too long".into())));
    shop.phone.answer("auth", Some(|| PushError::Auth("revoked".into())));
    shop.pay().await;
    shop.sender.step().await.unwrap();
    assert_eq!(shop.attempts().await, [row("auth", "pending", 1, 0), row("payload", "gave_up", 1, 0)]);
}

#[tokio::test]
async fn what_is_planned_beside_a_sender_is_sent_as_far_as_there_are_slots() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db, Phone::default()).await;
    for n in 0..10 {
        shop.device(&n.to_string()).await;
    }
    let notice = shop.paid().await;
    crate::plan_for(Some(&shop.sender), &mut shop.db.acquire().await.unwrap(), &[notice]).await.unwrap();
    eventually(async || shop.phone.accepted().len() == 8).await; // although it does not run
    assert_eq!(shop.sender.step().await.unwrap(), 2, "the others were left due");
    assert!(shop.attempts().await.iter().all(|(_, status, attempts, _)| status == "sent" && *attempts == 1));
}

#[tokio::test]
async fn one_slow_device_holds_up_nobody_and_shutdown_waits_for_it() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../../shared/database/fixtures/shop.sql")).await;
    let gate = Arc::new(Gate::new(0));
    let shop = Shop::open(db, Phone { slow: Some(("slow", Arc::clone(&gate))), ..Phone::default() }).await;
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let service: Arc<dyn PushSender> = Arc::clone(&shop.phone) as _;
    let sender = Sender::new(shop.db.clone(), service, at_once(), &tasks);
    tasks.spawn(sender.run(shutdown.clone()));

    shop.device("slow").await;
    shop.pay().await;
    eventually(async || shop.attempts().await == [row("slow", "pending", 1, 1)]).await;
    sqlx::query("DELETE FROM messaging_tokens").execute(&shop.db).await.unwrap();
    shop.device("quick").await;
    for _ in 0..30 {
        shop.pay().await;
    }
    eventually(async || shop.phone.accepted() == ["quick"; 30]).await;

    shutdown.cancel();
    gate.add_permits(1);
    tasks.close();
    tasks.wait().await;
    assert_eq!(shop.attempts().await[0], row("-", "sent", 1, 0));
}

async fn eventually(condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "it did not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
