//! What finishes purchases dies: reconciler, relay, broker.

use checkout_api::Learned;
use harness::{Buyer, Emulator, OpenShop, Placed, Role};
use sandbox::Endpoint;

use super::{Doomed, FATES, Fate, recovers, successors_deliver, told_once};

const RECONCILE: &[(&str, u32)] = &[
    ("rc.take.after_commit", 1),
    ("psp.before_send", 1),
    ("psp.after_send", 1),
    ("cf.apply.before_commit", 1),
    ("cf.apply.after_commit", 1),
];

/// Only a payment whose request never left is sent again.
const RESEND: &[(&str, u32)] = &[("psp.before_send", 2), ("psp.after_send", 2)];

const PUBLISH: &[&str] = &["ob.claim.after_commit", "ob.publish.after_ack", "ob.mark.after_commit"];

/// Google's engine has none of ours here.
const PUSH: &[&str] = &["bk.lease.after_commit", "bk.push.after_ack", "bk.conclude.after_commit"];

pub(super) const POINTS: &[&[&str]] = &[&[RECONCILE[0].0], PUBLISH, PUSH];

#[tokio::test]
async fn finding_out_about_a_lost_answer() {
    let shop = OpenShop::open().await;
    for (point, hit) in RECONCILE {
        finding_out(&shop, point, *hit, async |buyer, order| {
            shop.spoil(Endpoint::Confirm, "answer-lost", 1);
            unsure(&shop, buyer, order).await;
        })
        .await;
    }
}

#[tokio::test]
async fn sending_a_confirm_that_never_left() {
    let shop = OpenShop::open().await;
    for (point, hit) in RECONCILE.iter().chain(RESEND) {
        finding_out(&shop, point, *hit, async |buyer, order| {
            shop.spoil(Endpoint::Confirm, "reset", 1);
            unsure(&shop, buyer, order).await;
        })
        .await;
    }
}

#[tokio::test]
async fn finding_out_about_a_deposit() {
    let shop = OpenShop::open().await;
    for (point, hit) in RECONCILE {
        finding_out(&shop, point, *hit, async |buyer, order| {
            let payment = buyer.authenticate_by(order, &[("choice", "virtual-account")]).await;
            buyer.confirm(&payment).await.expect(200);
            assert!(shop.sandbox.deposit(&order.id));
        })
        .await;
    }
}

/// A reconciler is told that the deposit is there, and stands still while the bank takes it back.
#[tokio::test]
async fn an_answer_that_has_turned_meanwhile() {
    let shop = OpenShop::open().await;
    for (point, decided_meanwhile) in
        [("cf.apply.before_commit", true), ("psp.after_send", true), ("cf.apply.before_commit", false)]
    {
        let buyer = shop.visitor().await;
        let order = buyer.place_order(&[("poster", 1)]).await;
        let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
        buyer.confirm(&payment).await.expect(200);
        assert!(shop.sandbox.deposit(&order.id));
        let due = format!("UPDATE payments SET next_check_at = now() WHERE order_id = '{}'", order.id);
        shop.execute(&due).await;
        let mut doomed = Doomed::start(&shop, Role::Loops, point, 1, Fate::Freezes).await;
        doomed.meets_its_fate(&shop).await;
        if decided_meanwhile {
            shop.reconcile().await;
            assert_eq!(buyer.status(&order).await, "paid");
        }
        assert!(shop.sandbox.reverse_deposit(&order.id));
        if decided_meanwhile {
            assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
        } else {
            shop.execute(&due).await;
            assert_eq!(shop.api.reconciler.step().await.unwrap(), 1, "the next one takes it, and is told no news");
        }
        doomed.ends().await;
        recovers(&shop).await;
        let case = format!("{point} {decided_meanwhile}");
        assert_eq!(buyer.status(&order).await, "awaiting_deposit", "{case}");
        assert_eq!(shop.sandbox.money_taken(&order.id), 0, "{case}");
    }
}

/// A card payment that nobody knows the outcome of.
async fn unsure(shop: &OpenShop, buyer: &Buyer, order: &Placed) {
    let payment = buyer.authenticate(order).await;
    shop.spoil(Endpoint::Query, "html-502", 1);
    assert_eq!(buyer.confirm(&payment).await.expect(202)["status"], "confirming");
}

/// A reconciler dies over an order that `leave_open` has left open.
async fn finding_out(shop: &OpenShop, point: &str, hit: u32, leave_open: impl AsyncFn(&Buyer, &Placed)) {
    for fate in [Fate::Dies, Fate::Freezes] {
        let buyer = shop.visitor().await;
        let phone = format!("{point}-{hit}-{fate:?}");
        buyer.register_device(&phone).await;
        let order = buyer.place_order(&[("poster", 1)]).await;
        let (left, _) = shop.stock("poster").await;
        leave_open(&buyer, &order).await;
        shop.execute("UPDATE payments SET next_check_at = now() WHERE next_check_at IS NOT NULL").await;
        let mut doomed = Doomed::start(shop, Role::Loops, point, hit, fate).await;
        doomed.meets_its_fate(shop).await;
        shop.reconcile().await; // the twin, or the successor
        let case = doomed.case.clone();
        doomed.ends().await;
        recovers(shop).await;
        assert_eq!((buyer.status(&order).await.as_str(), shop.sandbox.approvals(&order.id)), ("paid", 1), "{case}");
        assert_eq!(shop.stock("poster").await, (left - 1, 0), "{case}");
        told_once(shop, &phone, &case).await;
    }
}

#[tokio::test]
async fn publishing_and_delivering() {
    delivered_by_others(OpenShop::open().await, &[PUBLISH, PUSH].concat()).await;
}

#[tokio::test]
async fn publishing_to_google() {
    if let Some(emulator) = Emulator::shared().await {
        delivered_by_others(OpenShop::open_at_google(emulator).await, PUBLISH).await;
    }
}

/// Relay and broker die over an event.
async fn delivered_by_others(shop: OpenShop, points: &[&str]) {
    for point in points {
        for fate in FATES {
            let buyer = shop.visitor().await;
            let phone = format!("{point}-{fate:?}");
            buyer.register_device(&phone).await;
            let (left, _) = shop.stock("poster").await;
            let order = buyer.buy(&[("poster", 1)]).await;
            dies_delivering(&shop, point, fate).await;
            if fate == Fate::DiesAndAgain {
                // All of it once more, as after a watchdog's alarm: published again, and died at again.
                let again = "UPDATE outbox SET published_at = NULL, claimed_until = NULL WHERE order_id";
                shop.execute(&format!("{again} = '{}'", order.id)).await;
                dies_delivering(&shop, point, fate).await;
            }
            assert_eq!(shop.stock("poster").await, (left - 1, 0), "{point} {fate:?}");
            told_once(&shop, &phone, point).await;
        }
    }
}

async fn dies_delivering(shop: &OpenShop, point: &str, fate: Fate) {
    let mut doomed = Doomed::start(shop, Role::Loops, point, 1, fate).await;
    doomed.meets_its_fate(shop).await;
    successors_deliver(shop).await; // also while it stands still
    doomed.ends().await;
    recovers(shop).await;
}
