//! Workers die over a message.

use harness::{OpenShop, Push, Role};
use messaging::topology::Worker;

use super::{Doomed, FATES, Fate, leases_run_out, recovers, told_once};

const STOCK: &[&str] = &["st.before_commit", "st.after_commit"];
const PLAN: &[&str] = &["pn.plan.before_commit", "pn.plan.after_commit"];
const SEND: &[&str] = &["pn.claim.after_commit", "pn.fcm.after_accept", "pn.mark.after_commit"];
const DEAD_LETTER: &[&str] = &["dl.store.before_commit", "dl.store.after_commit"];

pub(super) const POINTS: &[&[&str]] = &[STOCK, PLAN, SEND, DEAD_LETTER];

#[tokio::test]
async fn taking_the_stock() {
    let shop = OpenShop::open().await;
    for point in STOCK {
        for fate in FATES {
            let (left, _) = shop.stock("poster").await;
            let order = shop.visitor().await.buy(&[("poster", 1)]).await;
            let message = Push::of_event(&shop, &order, "checkout-success", "checkout-stock").await;
            dies_over(&shop, &message, Worker::Stock, point, fate).await;
            recovers(&shop).await;
            assert_eq!(shop.stock("poster").await, (left - 1, 0), "{point} {fate:?}");
        }
    }
}

#[tokio::test]
async fn planning_notifications() {
    let shop = OpenShop::open().await;
    for point in PLAN {
        for fate in FATES {
            let buyer = shop.visitor().await;
            let phone = format!("{point}-{fate:?}");
            buyer.register_device(&phone).await;
            let order = buyer.buy(&[("poster", 1)]).await;
            let message = Push::of_event(&shop, &order, "checkout-success", "checkout-push").await;
            dies_over(&shop, &message, Worker::Push, point, fate).await;
            recovers(&shop).await;
            told_once(&shop, &phone, point).await;
        }
    }
}

#[tokio::test]
async fn storing_dead_letters() {
    let shop = OpenShop::open().await;
    for point in DEAD_LETTER {
        for fate in FATES {
            let event = uuid::Uuid::new_v4();
            let message = Push::message("dead-letter-sub", &event.to_string(), b"{}");
            dies_over(&shop, &message, Worker::DeadLetter, point, fate).await;
            assert_eq!(message.deliver(&shop).await, 204, "the engine does not give a dead letter up");
            let kept = format!("SELECT count(*) FROM dead_letters WHERE event_id = '{event}'");
            assert_eq!(shop.count(&kept).await, 1, "{point} {fate:?}");
        }
    }
}

/// A worker dies over a message: the first delivery of it, one more after it had its effect, or with a twin elsewhere.
async fn dies_over(shop: &OpenShop, message: &Push, worker: Worker, point: &str, fate: Fate) {
    if fate == Fate::DiesAndAgain {
        assert_eq!(message.deliver(shop).await, 204);
    }
    let mut doomed = Doomed::start(shop, Role::Worker(worker), point, 1, fate).await;
    let asked = tokio::spawn({
        let (message, url) = (message.clone(), doomed.process.url.clone());
        async move { message.try_deliver(&url).await }
    });
    doomed.meets_its_fate(shop).await;
    if fate == Fate::Freezes {
        assert_eq!(message.deliver(shop).await, 204, "{}: the twin", doomed.case);
        doomed.goes_on();
        assert_eq!(asked.await.unwrap().unwrap(), 204, "{}", doomed.case);
    } else {
        assert!(asked.await.unwrap().is_err(), "{}: never acknowledged", doomed.case);
    }
    doomed.ends().await;
}

#[tokio::test]
async fn sending_notifications() {
    let shop = OpenShop::open().await;
    for point in SEND {
        for fate in [Fate::Dies, Fate::Freezes] {
            let buyer = shop.visitor().await;
            let phone = format!("{point}-{fate:?}");
            buyer.register_device(&phone).await;
            let mut doomed = Doomed::start(&shop, Role::Worker(Worker::Push), point, 1, fate).await;
            buyer.buy(&[("poster", 1)]).await;
            shop.api.relay.step().await.unwrap();
            shop.api.broker.as_ref().unwrap().deliver_due().await.unwrap();
            doomed.meets_its_fate(&shop).await;
            leases_run_out(&shop).await;
            shop.sender.step().await.unwrap(); // the twin, or the successor
            doomed.ends().await;
            recovers(&shop).await;
            told_once(&shop, &phone, point).await;
        }
    }
}
