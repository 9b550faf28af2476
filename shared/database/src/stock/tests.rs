use futures_util::future::try_join_all;
use sqlx::PgPool;

use super::*;

const CONSUMER: &str = "checkout-stock";

async fn product(db: &PgPool, pieces: i32) -> Uuid {
    sqlx::query_scalar("SELECT shop_product($1)").bind(pieces).fetch_one(db).await.unwrap()
}

async fn paid(db: &PgPool, lines: &[(Uuid, i32)]) -> EventId {
    let (products, quantities): (Vec<Uuid>, Vec<i32>) = lines.iter().copied().unzip();
    let event: Uuid = sqlx::query_scalar("SELECT shop_paid_order(gen_random_uuid(), $1, $2)")
        .bind(products)
        .bind(quantities)
        .fetch_one(db)
        .await
        .unwrap();
    event.into()
}

async fn sell_one(db: &PgPool, event: EventId) -> sqlx::Result<Outcome> {
    sell(db, CONSUMER, &[event]).await.map(|outcomes| outcomes[0])
}

/// On hand, reserved, and the pieces that the ledger says were sold.
async fn shelf(db: &PgPool, product: Uuid) -> (i32, i32, i64) {
    sqlx::query_as(
        "SELECT on_hand, reserved, (SELECT coalesce(-sum(quantity), 0) FROM stock_ledger WHERE product_id = $1 AND kind = 'sold')
         FROM stock WHERE product_id = $1",
    )
    .bind(product)
    .fetch_one(db)
    .await
    .unwrap()
}

async fn execute(db: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(db).await.unwrap();
}

#[tokio::test]
async fn five_deliveries_sell_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let mug = product(&db, 10).await;
    let event = paid(&db, &[(mug, 3)]).await;
    assert_eq!(shelf(&db, mug).await, (10, 3, 0));
    assert_eq!(sell_one(&db, event).await.unwrap(), Outcome::Done);
    for _ in 1..5 {
        assert_eq!(sell_one(&db, event).await.unwrap(), Outcome::Duplicate);
    }
    assert_eq!(shelf(&db, mug).await, (7, 0, 3));
}

#[tokio::test]
async fn an_event_twice_in_one_batch_sells_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let mug = product(&db, 10).await;
    let (first, second) = (paid(&db, &[(mug, 1)]).await, paid(&db, &[(mug, 2)]).await);
    let outcomes = sell(&db, CONSUMER, &[first, second, first, EventId::new()]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Done, Outcome::Done, Outcome::Duplicate, Outcome::Unknown]);
    assert_eq!(shelf(&db, mug).await, (7, 0, 3));
}

#[tokio::test]
async fn twins_on_many_connections_sell_once() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let (mug, bowl) = (product(&db, 100).await, product(&db, 100).await);
    let mut events = Vec::new();
    for n in 0..8 {
        // The same two products in either order of lines and of events: no deadlock, no double sale.
        let lines = if n % 2 == 0 { [(mug, 1), (bowl, 2)] } else { [(bowl, 2), (mug, 1)] };
        events.push(paid(&db, &lines).await);
    }
    let tasks = (0..32).map(|n| {
        let (db, mut events) = (db.clone(), events.clone());
        events.rotate_left(n % 8);
        if n % 3 == 0 {
            events.reverse();
        }
        tokio::spawn(async move { sell(&db, CONSUMER, &events).await.unwrap() })
    });
    let outcomes = try_join_all(tasks).await.unwrap().concat();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count(), events.len());
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done | Outcome::Duplicate)));
    assert_eq!(shelf(&db, mug).await, (92, 0, 8));
    assert_eq!(shelf(&db, bowl).await, (84, 0, 16));
}

#[tokio::test]
async fn one_short_line_takes_nothing_at_all() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let (mug, bowl) = (product(&db, 10).await, product(&db, 1).await);
    let (whole, short) = (paid(&db, &[(mug, 1)]).await, paid(&db, &[(mug, 2), (bowl, 2)]).await);
    let refusal = sell(&db, CONSUMER, &[whole, short]).await.unwrap_err();
    assert!(refusal.as_database_error().unwrap().is_check_violation());
    assert_eq!(shelf(&db, mug).await, (10, 3, 0), "one refusal undoes the batch");

    assert_eq!(sell_one(&db, whole).await.unwrap(), Outcome::Done);
    assert!(sell_one(&db, short).await.is_err());
    assert_eq!(shelf(&db, mug).await, (9, 2, 1));
    assert_eq!(shelf(&db, bowl).await, (1, 1, 0));

    execute(&db, "UPDATE stock SET on_hand = 5, reserved = 2 WHERE on_hand = 1").await;
    assert_eq!(sell_one(&db, short).await.unwrap(), Outcome::Done, "a refusal claims nothing");
}

#[tokio::test]
async fn a_line_without_a_shelf_is_an_error() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let (mug, ghost) = (product(&db, 10).await, product(&db, 10).await);
    let event = paid(&db, &[(mug, 1), (ghost, 1)]).await;
    sqlx::query("DELETE FROM stock WHERE product_id = $1").bind(ghost).execute(&db).await.unwrap();
    assert!(sell_one(&db, event).await.is_err());
    assert_eq!(shelf(&db, mug).await, (10, 1, 0));
}

#[tokio::test]
async fn only_our_own_announcement_of_a_paid_order_counts() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let mug = product(&db, 10).await;
    let event = paid(&db, &[(mug, 1)]).await;
    let declined: Uuid = sqlx::query_scalar("SELECT shop_declined_order(gen_random_uuid(), $1, '한도초과')")
        .bind(mug)
        .fetch_one(&db)
        .await
        .unwrap();
    assert_eq!(sell_one(&db, declined.into()).await.unwrap(), Outcome::Unknown);

    execute(&db, "UPDATE orders SET status = 'confirming', paid_at = NULL WHERE status = 'paid'").await;
    assert_eq!(sell_one(&db, event).await.unwrap(), Outcome::NotPaid);
    execute(&db, "UPDATE orders SET status = 'refunding', paid_at = now() WHERE status = 'confirming'").await;
    assert_eq!(sell_one(&db, event).await.unwrap(), Outcome::Done, "a refund alone brings nothing back");
    execute(&db, "UPDATE orders SET status = 'confirming', paid_at = NULL WHERE status = 'refunding'").await;
    assert_eq!(sell_one(&db, event).await.unwrap(), Outcome::Duplicate);
    assert_eq!(shelf(&db, mug).await, (9, 0, 1));
}

#[tokio::test]
async fn two_hundred_orders_of_one_product_are_one_batch() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let mug = product(&db, 200).await;
    let mut events = Vec::new();
    for _ in 0..200 {
        events.push(paid(&db, &[(mug, 1)]).await);
    }
    let outcomes = sell(&db, CONSUMER, &events).await.unwrap();
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Done));
    assert_eq!(shelf(&db, mug).await, (0, 0, 200));
}

#[tokio::test]
async fn orders_of_the_same_products_in_any_order_do_not_deadlock() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let mut products = [product(&db, 60).await, product(&db, 60).await, product(&db, 60).await];
    let mut events = Vec::new();
    for n in 0..60 {
        products.rotate_left(1);
        products.swap(0, n % 3);
        events.push(paid(&db, &products.map(|product| (product, 1))).await);
    }
    // A deadlock would be one of these statements' error.
    let sold = try_join_all(events.iter().map(|event| sell_one(&db, *event))).await.unwrap();
    assert!(sold.iter().all(|outcome| *outcome == Outcome::Done));
    assert_eq!(shelf(&db, products[0]).await, (0, 0, 60));
}
