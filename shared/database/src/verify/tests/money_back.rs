//! Money that goes back, spoiled.

use std::collections::BTreeSet;

use domain::{RefundId, Won};

use super::shop::{Shop, cancel};
use super::{all, names};
use crate::record;

/// A shop that has seen every way back: in part, whole with the goods, whole without, before the goods were sold, and
/// money that came for nothing.
async fn generous_shop() -> Shop {
    let shop = Shop::open().await;
    let part = shop.pay_and_deliver().await.payment.id;
    shop.refund(part, Some(10_000), false).await;
    let kept = shop.pay_and_deliver().await.payment.id;
    shop.refund(kept, None, false).await;
    let returned = shop.pay_and_deliver().await.payment.id;
    shop.refund(returned, Some(1), false).await;
    shop.refund(returned, None, true).await;
    let unsold = shop.pay().await.payment.id;
    shop.refund(unsold, None, true).await;
    let late = shop.decline().await.payment.id;
    shop.heard(record::find(&shop.db, late).await.unwrap().unwrap().attempt, vec![]).await;
    let owed = record::find(&shop.db, late).await.unwrap().unwrap().attempt;
    let back = vec![cancel(RefundId::new(), owed.payment.amount)];
    shop.heard(owed, back).await;
    shop.deliver().await;
    shop
}

#[tokio::test]
async fn a_generous_shop_is_sound_and_drains() {
    let shop = generous_shop().await;
    assert_eq!(names(&shop.db, all()).await, [""; 0]);
    let shelf: Vec<(i32, i32)> =
        sqlx::query_as("SELECT on_hand, reserved FROM stock ORDER BY on_hand").fetch_all(&shop.db).await.unwrap();
    assert_eq!(shelf, [(46, 0), (48, 0)], "two of four orders kept their goods");
}

#[tokio::test]
async fn what_the_console_gives_back_is_ours_too() {
    let shop = Shop::open().await;
    let paid = shop.pay_and_deliver().await;
    let cancels =
        vec![cancel(RefundId::new(), Won::new(13_000).unwrap()), cancel(RefundId::new(), Won::new(50_000).unwrap())];
    shop.heard(paid, cancels).await;
    shop.deliver().await;
    let refunded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders WHERE status = 'refunded' AND refunded_amount = 63000")
            .fetch_one(&shop.db)
            .await
            .unwrap();
    assert_eq!(refunded, 1);
    assert_eq!(names(&shop.db, all()).await, [""; 0]);
}

pub(super) const CORRUPTIONS: &[(&[&str], &str)] = &[
    // The payment forgot what went back, the order did not.
    (&["payment_refunds", "order_refunded"], "UPDATE payments SET refunded_amount = 0 WHERE refunded_amount = 10000"),
    // More than there was.
    (
        &["payment_refunds", "order_refunded"],
        "ALTER TABLE payments DROP CONSTRAINT payments_refunded; UPDATE payments SET refunded_amount = amount + 1 WHERE refunded_amount = 10000",
    ),
    (&["order_refunded"], "UPDATE orders SET refunded_amount = 9999 WHERE refunded_amount = 10000"),
    (
        &["order_refunded", "order_state"],
        "UPDATE orders SET status = 'paid' WHERE status = 'refunded' AND restocked_at IS NULL",
    ),
    (&["order_refunded", "order_state"], "UPDATE orders SET status = 'refunding' WHERE refunded_amount = 10000"),
    (
        &["payment_refunds", "refund_announced", "refunds_decided"],
        "UPDATE refunds SET status = 'requested', settled_at = NULL, next_check_at = now(), transaction_key = NULL, done_at = NULL WHERE amount = 10000",
    ),
    (&["events_known", "push_explained", "refund_announced"], "DELETE FROM outbox WHERE type = 'checkout-refunded'"),
    (
        &["events_published", "events_taken", "refund_announced"],
        "INSERT INTO outbox (id, type, order_id, payment_id, data)
        SELECT gen_random_uuid(), type, order_id, payment_id, data FROM outbox WHERE type = 'checkout-refunded'",
    ),
    (
        &["paid_sold", "restocked_refunded", "stock_reserved"],
        "UPDATE orders SET restocked_at = NULL WHERE id IN (
        SELECT order_id FROM stock_ledger WHERE kind = 'returned')",
    ),
    (
        &["restocked_refunded", "sold_paid"],
        "UPDATE orders SET restocked_at = now() WHERE status = 'refunded' AND restocked_at IS NULL",
    ),
    (
        &["restocked_refunded", "sold_paid", "sold_whole", "stock_ledger"],
        "INSERT INTO stock_ledger (product_id, kind, quantity, order_id, event_id)
        SELECT product_id, kind, quantity, order_id, gen_random_uuid() FROM stock_ledger WHERE kind = 'returned'",
    ),
    (&["excess_returned", "payment_refunds"], "UPDATE payments SET refunded_amount = 0 WHERE status = 'excess'"),
    (&["payments_undisputed"], "UPDATE refunds SET attention = 'REFUND_REJECTED' WHERE amount = 10000"),
];

#[tokio::test]
async fn every_corruption_of_money_back_is_caught_by_name() {
    let mut missed = Vec::new();
    for (caught, sql) in CORRUPTIONS {
        let shop = generous_shop().await;
        shop.execute(sql).await;
        let noticed: BTreeSet<_> = names(&shop.db, all()).await.into_iter().collect();
        if noticed != caught.iter().copied().collect() {
            missed.push(format!("{sql}\n  expected {caught:?}\n  noticed {noticed:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
