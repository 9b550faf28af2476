use domain::{CustomerId, Decline, Evidence, OrderState, settle as decide};

use super::*;
use crate::record;

/// Whatever changed the order past its payment, a decision about the payment does not change it further.
#[tokio::test]
async fn an_order_that_is_elsewhere_is_left_where_it_is() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/shop.sql")).await;
    let buyer = CustomerId::new();
    let payment: Uuid = sqlx::query_scalar("SELECT shop_confirming_order($1, ARRAY[shop_product(5)], ARRAY[3])")
        .bind(buyer.uuid())
        .fetch_one(&db)
        .await
        .unwrap();
    let known = record::find(&db, payment.into()).await.unwrap().unwrap();
    let (from, version) = (known.attempt.payment.state.name(), known.attempt.version);
    let settlement = decide(known.attempt, Evidence::Declined(Decline::by_provider("X", "")), known.at).unwrap();
    let verdict = [Verdict { from, version, settlement, traceparent: None }];

    sqlx::query("UPDATE orders SET status = 'canceled', payment_key = NULL").execute(&db).await.unwrap();
    assert_eq!(settle(&db, &verdict).await.unwrap(), [false]);
    let stands = async || -> (String, String, i64, i64) {
        sqlx::query_as(
            "SELECT o.status, p.status, (SELECT sum(reserved) FROM stock), (SELECT count(*) FROM outbox)
             FROM orders o JOIN payments p ON p.order_id = o.id",
        )
        .fetch_one(&db)
        .await
        .unwrap()
    };
    assert_eq!(stands().await, ("canceled".into(), "confirming".into(), 3, 0));

    sqlx::query("UPDATE orders SET status = 'confirming', payment_key = (SELECT payment_key FROM payments)")
        .execute(&db)
        .await
        .unwrap();
    assert_eq!(settle(&db, &verdict).await.unwrap(), [true]);
    assert_eq!(stands().await, (OrderState::Pending.name().into(), "declined".into(), 0, 1));
}
