use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::DateTime;
use futures_util::future::join_all;
use messaging::envelope::{CE_ID, Outgoing};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;

struct Shop {
    db: PgPool,
    router: Router,
}

impl Shop {
    fn open(db: PgPool) -> Self {
        let app = App::new(db.clone(), PushAuth::loopback("shop"), &TaskTracker::new());
        Self { db, router: router(app) }
    }

    async fn product(&self, pieces: i32) -> Uuid {
        sqlx::query_scalar("SELECT shop_product($1)").bind(pieces).fetch_one(&self.db).await.unwrap()
    }

    async fn paid(&self, product: Uuid, pieces: i32) -> Uuid {
        sqlx::query_scalar("SELECT shop_paid_order(gen_random_uuid(), ARRAY[$1], ARRAY[$2])")
            .bind(product)
            .bind(pieces)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    async fn deliver(&self, event: Uuid) -> StatusCode {
        let push = Outgoing {
            subscription: "projects/shop/subscriptions/checkout-stock",
            message_id: &Uuid::new_v4().to_string(),
            publish_time: DateTime::UNIX_EPOCH,
            data: b"{}",
            attributes: BTreeMap::from([(CE_ID, event.to_string())]),
            delivery_attempt: Some(1),
        };
        self.post(push.encode().unwrap()).await
    }

    async fn post(&self, body: impl Into<Body>) -> StatusCode {
        let request = Request::post(STOCK_PATH).body(body.into()).unwrap();
        self.router.clone().oneshot(request).await.unwrap().status()
    }

    /// On hand and reserved.
    async fn shelf(&self, product: Uuid) -> (i32, i32) {
        sqlx::query_as("SELECT on_hand, reserved FROM stock WHERE product_id = $1")
            .bind(product)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    async fn parked(&self) -> Vec<(Option<Uuid>, String)> {
        sqlx::query_as("SELECT event_id, reason FROM dead_letters ORDER BY received_at")
            .fetch_all(&self.db)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn five_deliveries_two_at_once_sell_once() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db);
    let mug = shop.product(500).await;
    let mut events = Vec::new();
    for _ in 0..40 {
        events.push(shop.paid(mug, 2).await);
    }
    let deliveries = (0..5).flat_map(|_| &events).map(|event| shop.deliver(*event));
    let answers = join_all(deliveries).await;
    assert!(answers.iter().all(|answer| *answer == StatusCode::NO_CONTENT));
    assert_eq!(shop.shelf(mug).await, (420, 0));
    assert!(shop.parked().await.is_empty());
}

#[tokio::test]
async fn one_that_breaks_a_rule_is_parked_and_the_others_are_sold() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db);
    let mug = shop.product(1).await;
    let bowl = shop.product(50).await;
    let oversold = shop.paid(mug, 2).await;
    let mut events = vec![oversold];
    for _ in 0..20 {
        events.push(shop.paid(bowl, 1).await);
    }
    let answers = join_all(events.iter().map(|event| shop.deliver(*event))).await;
    assert!(answers.iter().all(|answer| *answer == StatusCode::NO_CONTENT));
    assert_eq!((shop.shelf(mug).await, shop.shelf(bowl).await), ((1, 1), (30, 0)));
    let parked = shop.parked().await;
    assert_eq!((parked.len(), parked[0].0), (1, Some(oversold)));
    assert!(parked[0].1.contains("stock_"), "the reason names the rule: {}", parked[0].1);
}

#[tokio::test]
async fn poison_is_parked() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db);
    let unknown = Uuid::new_v4();
    assert_eq!(shop.deliver(unknown).await, StatusCode::NO_CONTENT);
    let mug = shop.product(1).await;
    let unpaid = shop.paid(mug, 1).await;
    let not_yet = "UPDATE orders SET status = 'awaiting_deposit', paid_at = NULL";
    sqlx::query(not_yet).execute(&shop.db).await.unwrap();
    assert_eq!(shop.deliver(unpaid).await, StatusCode::NO_CONTENT);
    for body in ["not JSON", r#"{"message":{"data":"","messageId":"1"}}"#, "\0"] {
        assert_eq!(shop.post(body).await, StatusCode::NO_CONTENT);
    }
    let stranger = r#"{"subscription":"projects/x/subscriptions/theirs","message":{"data":"","messageId":"1"}}"#;
    assert_eq!(shop.post(stranger).await, StatusCode::FORBIDDEN);
    let parked = shop.parked().await;
    assert_eq!(
        parked.iter().map(|(event, _)| *event).collect::<Vec<_>>(),
        [Some(unknown), Some(unpaid), None, None, None]
    );
    assert_eq!(shop.shelf(mug).await, (1, 1));
}

#[tokio::test]
async fn trouble_with_the_database_means_later() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db);
    let mug = shop.product(1).await;
    let event = shop.paid(mug, 1).await;
    sqlx::query("ALTER TABLE stock RENAME TO away").execute(&shop.db).await.unwrap();
    assert_eq!(shop.deliver(event).await, StatusCode::SERVICE_UNAVAILABLE);
    sqlx::query("ALTER TABLE away RENAME TO stock").execute(&shop.db).await.unwrap();
    assert_eq!(shop.deliver(event).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.shelf(mug).await, (0, 0));
}
