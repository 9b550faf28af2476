use domain::CustomerId;

use super::*;
use crate::inbox::Outcome;
use crate::messaging_tokens::{Registration, register};

const MINUTE: Duration = Duration::from_mins(1);

async fn customer(db: &PgPool) -> CustomerId {
    let id = CustomerId::new();
    sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(id.uuid()).execute(db).await.unwrap();
    id
}

async fn device(db: &PgPool, customer: CustomerId, token: &str) -> DeviceId {
    let token = DeviceToken { kind: TokenKind::Token, token: token.into() };
    register(db, &Registration { customer, token, locale: Locale::En, user_agent: None }).await.unwrap()
}

async fn paid(db: &PgPool, customer: CustomerId) -> Notice {
    let event: Uuid = sqlx::query_scalar("SELECT shop_paid_order($1, ARRAY[shop_product(5)], ARRAY[3])")
        .bind(customer.uuid())
        .fetch_one(db)
        .await
        .unwrap();
    Notice { consumer: "checkout-push", event: event.into(), event_type: EventType::CheckoutSuccess }
}

/// Plans without leasing.
async fn outcomes(db: &PgPool, notices: &[Notice]) -> Vec<Outcome> {
    let planned = plan(db, notices, 0, MINUTE).await.unwrap();
    assert!(planned.leased.is_empty(), "nobody asked for a lease");
    planned.outcomes
}

async fn plan_one(db: &PgPool, notice: &Notice) -> Outcome {
    outcomes(db, std::slice::from_ref(notice)).await[0]
}

async fn record_one(db: &PgPool, lease: Lease, next: Next, certain: bool) -> bool {
    record(db, &[Recorded { lease, next, certain, error: Some("NUL \0".into()) }]).await.unwrap()[0]
}

/// Status, attempts and unknowns of the device's only attempt.
async fn row(db: &PgPool, device: DeviceId) -> (String, i32, i32) {
    sqlx::query_as("SELECT status, attempts, unknowns FROM push_attempts WHERE device_id = $1")
        .bind(device.uuid())
        .fetch_one(db)
        .await
        .unwrap()
}

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

async fn execute(db: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.unwrap();
}

fn status(row: &(String, i32, i32)) -> (&str, i32, i32) {
    (&row.0, row.1, row.2)
}

#[tokio::test]
async fn every_device_is_planned_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let (buyer, other) = (customer(&db).await, customer(&db).await);
    for token in ["phone", "browser"] {
        device(&db, buyer, token).await;
    }
    device(&db, other, "stranger").await;
    let notice = paid(&db, buyer).await;
    assert_eq!(outcomes(&db, &[notice.clone(), notice.clone()]).await, [Outcome::Done, Outcome::Duplicate]);
    device(&db, buyer, "bought later").await;
    for _ in 0..3 {
        assert_eq!(plan_one(&db, &notice).await, Outcome::Duplicate);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM push_attempts").await, 2);
}

#[tokio::test]
async fn twins_plan_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    device(&db, buyer, "phone").await;
    let mut notices = vec![];
    for _ in 0..6 {
        notices.push(paid(&db, buyer).await);
    }
    let tasks = (0..16).map(|n| {
        let (db, mut notices) = (db.clone(), notices.clone());
        notices.rotate_left(n % 6);
        tokio::spawn(async move { outcomes(&db, &notices).await })
    });
    let all = futures_util::future::try_join_all(tasks).await.unwrap().concat();
    assert_eq!(all.iter().filter(|outcome| **outcome == Outcome::Done).count(), 6);
    assert_eq!(count(&db, "SELECT count(*) FROM push_attempts").await, 6);
}

/// On the phone the notices of an order replace each other.
#[tokio::test]
async fn a_decline_does_not_have_the_last_word_about_a_paid_order() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    let phone = device(&db, buyer, "phone").await;
    let declined: Uuid = sqlx::query_scalar("SELECT shop_declined_order($1, shop_product(5), '한도초과')")
        .bind(buyer.uuid())
        .fetch_one(&db)
        .await
        .unwrap();
    let event_type = EventType::CheckoutFailed;
    let notices = [Notice { event: declined.into(), event_type, consumer: "checkout-failed-push" }];

    // The push service does not answer at first; by the next try the buyer has paid with another card.
    assert_eq!(plan(&db, &notices, 1, Duration::ZERO).await.unwrap().leased.len(), 1);
    execute(
        &db,
        "UPDATE orders SET status = 'paid', paid_at = now(), payment_key = (SELECT payment_key FROM payments)",
    )
    .await;
    assert!(lease(&db, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(status(&row(&db, phone).await), ("gone", 1, 1));
    assert_eq!(count(&db, "SELECT count(*) FROM push_attempts WHERE last_error = 'the order is paid by now'").await, 1);

    // Planned as late as that, it is not even tried.
    for table in ["DELETE FROM push_attempts", "DELETE FROM inbox"] {
        execute(&db, table).await;
    }
    assert!(plan(&db, &notices, 1, MINUTE).await.unwrap().leased.is_empty());
    assert!(lease(&db, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(status(&row(&db, phone).await), ("gone", 0, 0));

    // Nor is an order called paid whose deposit was taken back before that could be told.
    execute(&db, "DELETE FROM push_attempts").await;
    let notice = paid(&db, buyer).await;
    assert_eq!(plan_one(&db, &notice).await, Outcome::Done);
    execute(&db, "UPDATE orders SET status = 'pending', paid_at = NULL, payment_key = NULL").await;
    assert!(lease(&db, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(status(&row(&db, phone).await), ("gone", 0, 0));
}

#[tokio::test]
async fn as_many_as_there_is_room_for_are_born_leased() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    for token in ["phone", "watch", "browser"] {
        device(&db, buyer, token).await;
    }
    let (first, second) = (paid(&db, buyer).await, paid(&db, buyer).await);
    let unknown = Notice { event: EventId::new(), ..first.clone() };
    let planned = plan(&db, &[first.clone(), unknown, second, first], 4, MINUTE).await.unwrap();
    assert_eq!(planned.outcomes, [Outcome::Done, Outcome::Unknown, Outcome::Done, Outcome::Duplicate]);
    assert_eq!(planned.leased.len(), 4);
    for leased in planned.leased {
        assert_eq!((leased.attempt, leased.amount.get()), (1, 39_000));
        assert!(record_one(&db, leased.lease, Next::Sent, true).await, "the lease counts");
    }
    let rest = lease(&db, 9, MINUTE).await.unwrap();
    assert_eq!(rest.iter().map(|it| it.attempt).collect::<Vec<_>>(), [1, 1], "the others are due, as ever");
    assert_eq!(count(&db, "SELECT sum(attempts) FROM push_attempts").await, 6);
    assert_eq!(count(&db, "SELECT sum(unknowns) FROM push_attempts").await, 2, "those that are not recorded yet");
}

#[tokio::test]
async fn only_what_was_announced_is_told() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    device(&db, buyer, "phone").await;
    let notice = paid(&db, buyer).await;
    let unknown = Notice { event: EventId::new(), ..notice.clone() };
    let misnamed = Notice { event_type: EventType::CheckoutFailed, ..notice.clone() };
    assert_eq!(outcomes(&db, &[unknown, misnamed]).await, [Outcome::Unknown, Outcome::Unknown]);
    execute(&db, "UPDATE orders SET status = 'confirming', paid_at = NULL").await;
    assert_eq!(plan_one(&db, &notice).await, Outcome::NotPaid);
    assert_eq!(count(&db, "SELECT count(*) FROM push_attempts").await, 0);

    let declined: Uuid = sqlx::query_scalar("SELECT shop_declined_order($1, shop_product(1), '한도초과')")
        .bind(buyer.uuid())
        .fetch_one(&db)
        .await
        .unwrap();
    let failed =
        Notice { consumer: "checkout-failed-push", event: declined.into(), event_type: EventType::CheckoutFailed };
    assert_eq!(plan_one(&db, &failed).await, Outcome::Done);
    let leased = lease(&db, 10, MINUTE).await.unwrap();
    assert_eq!(leased[0].event_type, EventType::CheckoutFailed);
    assert_eq!(leased[0].decline_message.as_deref(), Some("한도초과"));
}

#[tokio::test]
async fn an_attempt_is_leased_to_one_sender_until_it_is_late() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    let phone = device(&db, buyer, "phone").await;
    plan_one(&db, &paid(&db, buyer).await).await;

    let first = lease(&db, 10, MINUTE).await.unwrap();
    assert_eq!((first[0].order_name.as_str(), first[0].amount.get(), first[0].locale), ("머그컵", 39_000, Locale::En));
    assert!(lease(&db, 10, MINUTE).await.unwrap().is_empty());
    assert_eq!(status(&row(&db, phone).await), ("pending", 1, 1), "a crash now would leave one unknown");

    execute(&db, "UPDATE push_attempts SET due_at = now()").await;
    let second = lease(&db, 10, MINUTE).await.unwrap();
    assert_eq!(second[0].attempt, 2);
    assert!(!record_one(&db, first[0].lease, Next::GaveUp, true).await, "the older lease no longer counts");
    assert!(record_one(&db, second[0].lease, Next::Sent, true).await);
    assert!(!record_one(&db, second[0].lease, Next::Sent, true).await);
    assert_eq!(status(&row(&db, phone).await), ("sent", 2, 1));
    assert_eq!(count(&db, "SELECT count(*) FROM messaging_tokens WHERE last_success_at IS NOT NULL").await, 1);
}

#[tokio::test]
async fn a_retry_waits() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    let phone = device(&db, buyer, "phone").await;
    plan_one(&db, &paid(&db, buyer).await).await;
    let leased = lease(&db, 1, MINUTE).await.unwrap();
    assert!(record_one(&db, leased[0].lease, Next::Retry { after: MINUTE }, false).await);
    assert!(lease(&db, 1, MINUTE).await.unwrap().is_empty());
    assert_eq!(status(&row(&db, phone).await), ("pending", 1, 1));
    execute(&db, "UPDATE push_attempts SET due_at = due_at - interval '1 minute', at = at - interval '2 minutes'")
        .await;
    let again = lease(&db, 1, MINUTE).await.unwrap();
    assert!(again[0].age >= 2 * MINUTE);
    assert!(record_one(&db, again[0].lease, Next::Retry { after: Duration::ZERO }, true).await);
    assert_eq!(status(&row(&db, phone).await), ("pending", 2, 1), "the second answer was clear");
}

#[tokio::test]
async fn a_gone_device_is_forgotten_unless_it_came_back() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = customer(&db).await;
    let (phone, browser) = (device(&db, buyer, "phone").await, device(&db, buyer, "browser").await);
    plan_one(&db, &paid(&db, buyer).await).await;
    let leased = lease(&db, 10, MINUTE).await.unwrap();
    device(&db, buyer, "browser").await; // registered again while the send was under way
    for attempt in &leased {
        assert!(record_one(&db, attempt.lease, Next::Gone, true).await);
    }
    for device in [phone, browser] {
        assert_eq!(status(&row(&db, device).await), ("gone", 1, 0));
    }
    let left: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM messaging_tokens").fetch_all(&db).await.unwrap();
    assert_eq!(left, [browser.uuid()]);
}

#[tokio::test]
async fn a_device_that_changed_hands_is_not_told() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let (buyer, other) = (customer(&db).await, customer(&db).await);
    let (moved, deleted) = (device(&db, buyer, "moved").await, device(&db, buyer, "deleted").await);
    plan_one(&db, &paid(&db, buyer).await).await;
    assert_eq!(device(&db, other, "moved").await, moved);
    execute(&db, "DELETE FROM messaging_tokens WHERE token = 'deleted'").await;
    assert!(lease(&db, 10, MINUTE).await.unwrap().is_empty());
    for device in [moved, deleted] {
        assert_eq!(status(&row(&db, device).await), ("gone", 0, 0));
    }
}
