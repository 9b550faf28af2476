//! A provider that is away for long, and reconcilers that get in each other's way.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use database::payments::{self, Verdict};
use domain::{Decline, Evidence};
use futures_util::future::join_all;
use harness::{Authenticated, Buyer, OpenShop, Placed};
use sandbox::Endpoint;

/// A storefront that tries a silent provider so rarely that a test does not see it happen.
const PATIENT: &[(&str, &str)] = &[("PROVIDER_PAUSE", "1h"), ("CONFIRM_WAIT", "20s")];

fn provider_down(shop: &OpenShop) {
    for endpoint in [Endpoint::Confirm, Endpoint::Query] {
        shop.spoil(endpoint, "before-500", 1_000_000);
    }
}

async fn come_back(buyer: &Buyer, quantity: i64) -> (Placed, Authenticated) {
    let order = buyer.place_order(&[("poster", quantity)]).await;
    let payment = buyer.authenticate(&order).await;
    (order, payment)
}

/// Confirms until the shop has noticed that nobody answers.
async fn notice(buyer: &Buyer) -> Vec<Placed> {
    let mut orders = Vec::new();
    for quantity in 1..=10 {
        let (order, payment) = come_back(buyer, quantity).await;
        buyer.confirm(&payment).await.expect(202);
        orders.push(order);
    }
    orders
}

#[tokio::test]
async fn while_the_provider_is_down_nobody_waits_and_nobody_insists() {
    let shop = OpenShop::open_with(PATIENT).await;
    let buyer = shop.visitor().await;
    provider_down(&shop);
    notice(&buyer).await;

    shop.sandbox.clear_faults();
    shop.spoil(Endpoint::Confirm, "hang", 1_000_000);
    let asked = shop.sandbox.total_requests();
    let begun = Instant::now();
    let late = shop.visitor().await;
    let (order, payment) = come_back(&late, 11).await;
    late.confirm(&payment).await.expect(202);
    assert!(begun.elapsed() < Duration::from_secs(15), "a hanging provider was waited for");
    assert_eq!(late.status(&order).await, "confirming");
    shop.reconcile().await;
    assert_eq!(shop.sandbox.total_requests(), asked, "it is left alone");
    assert_eq!(shop.count("SELECT count(*) FROM payments WHERE next_check_at <= now()").await, 11, "all stay due");
}

#[tokio::test]
async fn a_backlog_drains_at_a_bounded_rate_to_paid() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    provider_down(&shop);
    let mut orders = notice(&buyer).await;
    for quantity in 11..=30 {
        let (order, payment) = come_back(&buyer, quantity).await;
        buyer.confirm(&payment).await.expect(202);
        orders.push(order);
    }
    shop.wait(TimeDelta::minutes(5)).await;
    shop.reconcile().await;
    assert_eq!(shop.count("SELECT count(*) FROM payments WHERE status = 'confirming'").await, 30);

    shop.sandbox.clear_faults();
    shop.execute("UPDATE payments SET next_check_at = now() WHERE next_check_at IS NOT NULL").await;
    let mut taken = 0;
    shop.eventually("the backlog to drain", async || {
        let step = shop.api.reconciler.step().await.unwrap();
        assert!(step <= 20, "{step} at once");
        shop.count("SELECT count(*) FROM payments WHERE status = 'done'").await == 30
    })
    .await;
    for order in &orders {
        assert_eq!(shop.sandbox.approvals(&order.id), 1);
        taken += order.amount;
    }
    assert_eq!(shop.sandbox.totals().kept, taken);
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn an_outage_longer_than_the_window_charges_nobody_and_keeps_nothing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    provider_down(&shop);
    let orders = notice(&buyer).await;
    shop.wait(TimeDelta::minutes(70)).await;
    shop.sandbox.clear_faults();
    shop.eventually("the backlog to drain", async || {
        shop.reconcile().await;
        shop.count("SELECT count(*) FROM payments WHERE status = 'confirming'").await == 0
    })
    .await;
    assert_eq!((shop.sandbox.totals().kept, shop.stock("poster").await), (0, (1_000, 0)));
    database::orders::expire(&shop.acting_as(database::Role::Checkout).await, 500).await.unwrap();
    for order in &orders {
        assert_eq!(buyer.status(order).await, "expired");
    }
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_reconciler_that_was_frozen_changes_nothing_when_it_wakes() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    shop.spoil(Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "html-502", 1);
    let (order, payment) = come_back(&buyer, 1).await;
    buyer.confirm(&payment).await.expect(202);

    shop.execute("UPDATE payments SET next_check_at = now()").await;
    let frozen = payments::take_due(&shop.db, 20, 1.0).await.unwrap().remove(0);
    assert!(payments::take_due(&shop.db, 20, 1.0).await.unwrap().is_empty(), "leased");
    shop.reconcile().await; // its lease ran out, and another one found out
    assert_eq!(buyer.status(&order).await, "paid");

    let stale = Evidence::Declined(Decline::by_provider("NOT_FOUND_PAYMENT_SESSION", "what it had heard"));
    let settlement = domain::settle(frozen.attempt, stale, frozen.at).unwrap();
    let verdict = Verdict { from: "confirming", version: 0, settlement, traceparent: None };
    assert_eq!(payments::settle(&shop.db, &[verdict]).await.unwrap(), [false]);
    assert_eq!(buyer.status(&order).await, "paid");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn two_reconcilers_share_the_work() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    provider_down(&shop);
    notice(&buyer).await;
    shop.execute("UPDATE payments SET next_check_at = now()").await;
    let takers = (0..5).map(|_| payments::take_due(&shop.db, 4, 1.0));
    let taken: Vec<_> = join_all(takers).await.into_iter().flat_map(Result::unwrap).collect();
    let distinct: HashSet<_> = taken.iter().map(|open| open.attempt.payment.id.uuid()).collect();
    assert_eq!(taken.len(), distinct.len(), "nobody is asked about twice");
}
