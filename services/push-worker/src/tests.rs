use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::DateTime;
use messaging::envelope::{CE_ID, Outgoing};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::*;

struct Shop {
    db: PgPool,
    router: Router,
    buyer: Uuid,
}

impl Shop {
    /// With a buyer who has two devices.
    async fn open(db: PgPool) -> Self {
        let app = App::new(db.clone(), PushAuth::loopback("shop"), None, &TaskTracker::new());
        let shop = Self { db, router: router(app), buyer: Uuid::new_v4() };
        sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(shop.buyer).execute(&shop.db).await.unwrap();
        sqlx::query("INSERT INTO messaging_tokens (id, customer_id, token) SELECT gen_random_uuid(), $1, n FROM unnest(ARRAY['a', 'b']) AS n")
            .bind(shop.buyer)
            .execute(&shop.db)
            .await
            .unwrap();
        shop
    }

    async fn event(&self, sql: &'static str) -> Uuid {
        sqlx::query_scalar(sql).bind(self.buyer).fetch_one(&self.db).await.unwrap()
    }

    async fn paid(&self) -> Uuid {
        self.event("SELECT shop_paid_order($1, ARRAY[shop_product(1)], ARRAY[1])").await
    }

    async fn deliver(&self, subscription: &str, event: Uuid) -> StatusCode {
        let push = Outgoing {
            subscription: &format!("projects/shop/subscriptions/{subscription}"),
            message_id: &Uuid::new_v4().to_string(),
            publish_time: DateTime::UNIX_EPOCH,
            data: b"{}",
            attributes: BTreeMap::from([(CE_ID, event.to_string())]),
            delivery_attempt: Some(1),
        };
        let request = Request::post(PUSH_PATH).body(Body::from(push.encode().unwrap())).unwrap();
        self.router.clone().oneshot(request).await.unwrap().status()
    }

    async fn planned(&self, event: Uuid) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM push_attempts WHERE event_id = $1")
            .bind(event)
            .fetch_one(&self.db)
            .await
            .unwrap()
    }

    async fn parked(&self) -> Vec<(String, Option<Uuid>)> {
        sqlx::query_as("SELECT source, event_id FROM dead_letters ORDER BY received_at")
            .fetch_all(&self.db)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_redelivery_plans_nothing_new() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db).await;
    let event = shop.paid().await;
    for _ in 0..2 {
        let (one, other) = tokio::join!(shop.deliver("checkout-push", event), shop.deliver("checkout-push", event));
        assert_eq!((one, other), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
    }
    assert_eq!(shop.planned(event).await, 2, "one per device");
    assert!(shop.parked().await.is_empty());
}

#[tokio::test]
async fn each_subscription_tells_its_own_events_only() {
    let db =
        postgres::fresh_with(&database::MIGRATOR, include_str!("../../../shared/database/fixtures/shop.sql")).await;
    let shop = Shop::open(db).await;
    let paid = shop.paid().await;
    let declined = shop.event("SELECT shop_declined_order($1, shop_product(1), '한도초과')").await;
    assert_eq!(shop.deliver("checkout-failed-push", declined).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.deliver("checkout-failed-push", paid).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.deliver("checkout-refunded-push", paid).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.deliver("checkout-stock", paid).await, StatusCode::FORBIDDEN);
    assert_eq!((shop.planned(declined).await, shop.planned(paid).await), (2, 0));
    let parked = |source: &str| (source.to_owned(), Some(paid));
    assert_eq!(shop.parked().await, [parked("checkout-failed-push"), parked("checkout-refunded-push")]);
}
