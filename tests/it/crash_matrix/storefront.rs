//! The storefront dies under a buyer.

use harness::{Answer, Authenticated, Buyer, OpenShop, Placed, Role};
use sandbox::Endpoint;

use super::{Doomed, FATES, Fate, recovers, told_once};

const CREATE: &[&str] = &["co.create.before_commit", "co.create.after_commit"];

const CONFIRM: &[&str] = &[
    "cf.claim.before_commit",
    "cf.claim.after_commit",
    "psp.before_send",
    "psp.after_send",
    "cf.psp.after_reply",
    "cf.apply.before_commit",
    "cf.apply.after_commit",
];

/// When Toss's answer is lost, the storefront asks what became of it: point, and at the how manieth time.
const ASK: &[(&str, u32)] = &[("psp.before_send", 2), ("psp.after_send", 1), ("cf.apply.before_commit", 1)];

pub(super) const POINTS: &[&[&str]] = &[CREATE, CONFIRM];

#[tokio::test]
async fn creating_an_order() {
    let shop = OpenShop::open().await;
    for point in CREATE {
        for fate in [Fate::DiesAndAgain, Fate::Freezes] {
            let mut doomed = Doomed::start(&shop, Role::Storefront, point, 1, fate).await;
            let buyer = doomed.process.visitor(&shop).await;
            let basket = buyer.basket(&[("poster", 1)]);
            let asked = tokio::spawn({
                let (buyer, basket) = (buyer.clone(), basket.clone());
                async move { buyer.try_post("/api/orders", &basket, "one-key").await }
            });
            doomed.meets_its_fate(&shop).await;
            let buyer = buyer.at(&shop.url);
            let order = Placed::from(buyer.post_with_key("/api/orders", &basket, "one-key").await.expect(201));
            if fate == Fate::Freezes {
                doomed.goes_on();
                let first = Placed::from(asked.await.unwrap().unwrap().expect(201));
                assert_eq!(first.id, order.id, "{}", doomed.case);
            }
            let payment = buyer.authenticate(&order).await;
            buyer.confirm(&payment).await.expect(200);
            doomed.ends().await;
            recovers(&shop).await;
        }
    }
    let orders = i64::try_from(CREATE.len() * 2).unwrap();
    assert_eq!(shop.count("SELECT count(*) FROM orders WHERE status = 'paid'").await, orders, "one of each case");
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, orders);
}

#[tokio::test]
async fn paying_by_card() {
    let shop = OpenShop::open().await;
    for point in CONFIRM {
        paying(&shop, "card", point, 1, None).await;
    }
}

#[tokio::test]
async fn paying_into_a_virtual_account() {
    let shop = OpenShop::open().await;
    for point in CONFIRM {
        paying(&shop, "virtual-account", point, 1, None).await;
    }
}

#[tokio::test]
async fn asking_what_became_of_a_payment() {
    let shop = OpenShop::open().await;
    for (point, hit) in ASK {
        for choice in ["card", "virtual-account"] {
            paying(&shop, choice, point, *hit, Some("answer-lost")).await;
        }
    }
}

async fn paying(shop: &OpenShop, choice: &str, point: &str, hit: u32, fault: Option<&str>) {
    for fate in FATES {
        let doomed = Doomed::start(shop, Role::Storefront, point, hit, fate).await;
        let phone = format!("{choice}-{point}-{hit}-{fate:?}-{}", fault.is_some());
        let buyer = doomed.process.visitor(shop).await;
        buyer.register_device(&phone).await;
        let order = buyer.place_order(&[("poster", 1)]).await;
        let payment = buyer.authenticate_by(&order, &[("choice", choice)]).await;
        let (left, _) = shop.stock("poster").await;
        if let Some(fault) = fault {
            shop.spoil(Endpoint::Confirm, fault, 1);
        }
        let case = doomed.case.clone();
        pay(shop, doomed, &buyer, &payment).await;
        recovers(shop).await;

        let buyer = buyer.at(&shop.url);
        if point == "cf.claim.before_commit" && fate == Fate::Dies {
            // It never came to anything, and the goods are for others.
            assert_eq!((buyer.status(&order).await.as_str(), shop.stock("poster").await), ("pending", (left, 0)));
            assert_eq!(shop.sandbox.money_taken(&order.id), 0, "{case}");
            continue;
        }
        if choice == "virtual-account" {
            assert_eq!(buyer.status(&order).await, "awaiting_deposit", "{case}");
            assert_eq!(shop.stock("poster").await, (left, 1), "{case}: kept for the buyer");
            assert!(shop.sandbox.deposit(&order.id));
            recovers(shop).await;
        }
        assert_eq!((buyer.status(&order).await.as_str(), shop.sandbox.approvals(&order.id)), ("paid", 1), "{case}");
        assert_eq!(shop.stock("poster").await, (left - 1, 0), "{case}");
        told_once(shop, &phone, &case).await;
    }
}

/// The buyer comes back from the payment window, to a storefront that does not survive it.
async fn pay(shop: &OpenShop, mut doomed: Doomed, buyer: &Buyer, payment: &Authenticated) {
    let asked = tokio::spawn({
        let (buyer, payment) = (buyer.clone(), payment.clone());
        async move { buyer.try_confirm(&payment).await }
    });
    doomed.meets_its_fate(shop).await;
    let known = |answer: Answer| assert!(matches!(answer.status, 200 | 202), "{}: {}", doomed.case, answer.body);
    match doomed.fate {
        Fate::Dies => assert!(asked.await.unwrap().is_err(), "{}: the dead do not answer", doomed.case),
        Fate::DiesAndAgain => known(buyer.clone().at(&shop.url).confirm(payment).await),
        Fate::Freezes => {
            known(buyer.clone().at(&shop.url).confirm(payment).await);
            shop.reconcile().await;
            doomed.goes_on();
            known(asked.await.unwrap().unwrap());
        }
    }
    doomed.ends().await;
}
