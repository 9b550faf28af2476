//! Deposits that the bank takes back: what was sold is not sold any more, and old answers must not sell it again.

use checkout_api::Learned;
use chrono::TimeDelta;
use database::payments::{Verdict, settle};
use database::record;
use domain::PaymentGateway as _;
use harness::{Authenticated, Buyer, OpenShop, Placed};

/// An order that waits for the buyer's transfer.
async fn awaiting(buyer: &Buyer) -> (Placed, Authenticated) {
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    assert_eq!(buyer.confirm(&payment).await.expect(200)["status"], "awaiting_deposit");
    (order, payment)
}

#[tokio::test]
async fn an_answer_from_before_the_reversal_pays_nothing_after_it() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (order, _) = awaiting(&buyer).await;
    let id = shop.payment(&order.id, 1).await;
    assert!(shop.sandbox.deposit(&order.id));
    // Somebody asks, is told that the deposit is there, and stands still.
    let read = record::find(&shop.db, id).await.unwrap().unwrap();
    let told = shop.gateway.find(&read.attempt.payment).await.unwrap();

    assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
    assert!(shop.sandbox.reverse_deposit(&order.id));
    assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
    assert_eq!(buyer.status(&order).await, "awaiting_deposit", "as it was when the old question was asked");

    let (from, version) = (read.attempt.payment.state.name(), read.attempt.version);
    let settlement = domain::settle(read.attempt, told, read.at).unwrap();
    let late = Verdict { from, version, settlement, traceparent: None };
    assert_eq!(settle(&shop.db, &[late]).await.unwrap(), [false]);
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("awaiting_deposit", (100, 1)));
    shop.verify().await;
}

/// Brings all that Toss has told of the order, in its order or the other way round, and has it looked into.
async fn hear(shop: &OpenShop, order: &Placed, reversed: bool) {
    let mut webhooks = shop.sandbox.webhooks(Some(&order.id));
    if reversed {
        webhooks.reverse();
    }
    shop.wait(TimeDelta::seconds(10)).await; // one may ask again
    for webhook in &webhooks {
        assert_eq!(shop.bring(webhook).await, 200);
    }
    shop.look_into_webhooks().await;
}

#[tokio::test]
async fn what_a_reversed_deposit_bought_comes_back_until_it_is_paid_again_or_overdue() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let (order, _) = awaiting(&buyer).await;
    let mut told = 0;
    for reversed in [false, true, false] {
        assert!(shop.sandbox.deposit(&order.id));
        hear(&shop, &order, reversed).await;
        shop.deliver_events().await;
        assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("paid", (99, 0)));
        shop.verify().await;

        assert!(shop.sandbox.reverse_deposit(&order.id));
        hear(&shop, &order, reversed).await;
        shop.deliver_events().await;
        assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("awaiting_deposit", (100, 1)));
        let shown = shop.sandbox.notifications("phone");
        let texts: Vec<_> = shown[told..].iter().filter_map(|shown| shown.body.clone()).collect();
        assert!(texts.len() == 2 && texts[1].contains("다시 입금해 주세요"), "paid, and taken back: {texts:?}");
        told += 2;
        shop.verify().await;
    }
    shop.wait(TimeDelta::hours(168) + TimeDelta::minutes(11)).await;
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("expired", (100, 0)));
    assert!(!shop.sandbox.deposit(&order.id), "the account is closed");
    hear(&shop, &order, true).await;
    shop.deliver_events().await;
    assert_eq!(buyer.status(&order).await, "expired");
    shop.verify().await;
}

#[tokio::test]
async fn a_deposit_that_comes_and_goes_within_a_moment_sells_nothing() {
    let shop = OpenShop::open().await;
    for reversed in [false, true] {
        let buyer = shop.visitor().await;
        buyer.register_device("phone").await;
        let (order, _) = awaiting(&buyer).await;
        assert!(shop.sandbox.deposit(&order.id) && shop.sandbox.reverse_deposit(&order.id));
        hear(&shop, &order, reversed).await;
        shop.deliver_events().await;
        assert_eq!(buyer.status(&order).await, "awaiting_deposit");
        assert_eq!(shop.sandbox.notifications("phone"), []);
        shop.verify().await;
    }
    assert_eq!(shop.stock("mug").await, (100, 2));
}

#[tokio::test]
async fn a_reversal_that_is_quicker_than_the_stock_worker_keeps_the_goods_from_being_sold() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let (order, _) = awaiting(&buyer).await;
    assert!(shop.sandbox.deposit(&order.id));
    hear(&shop, &order, false).await;
    assert_eq!(buyer.status(&order).await, "paid");
    assert!(shop.sandbox.reverse_deposit(&order.id));
    hear(&shop, &order, false).await;
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("awaiting_deposit", (100, 1)));
    assert_eq!(shop.count("SELECT count(*) FROM stock_ledger WHERE kind IN ('sold', 'returned')").await, 0);
    assert_eq!(shop.sandbox.notifications("phone").len(), 1, "only that it was taken back");
    shop.verify().await;
}
