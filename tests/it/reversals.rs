//! Deposits that the bank takes back: what was sold is not sold any more, and old answers must not sell it again.

use checkout_api::Learned;
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

    assert_eq!(shop.operator().learn(&order.id, 1).await, Learned::News);
    assert!(shop.sandbox.reverse_deposit(&order.id));
    assert_eq!(shop.operator().learn(&order.id, 1).await, Learned::News);
    assert_eq!(buyer.status(&order).await, "awaiting_deposit", "as it was when the old question was asked");

    let (from, version) = (read.attempt.payment.state.name(), read.attempt.version);
    let settlement = domain::settle(read.attempt, told, read.at).unwrap();
    let late = Verdict { from, version, settlement, traceparent: None };
    assert_eq!(settle(&shop.db, &[late]).await.unwrap(), [false]);
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("awaiting_deposit", (100, 1)));
    shop.verify().await;
}
