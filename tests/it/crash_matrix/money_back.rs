//! What gives money back, and what is told of it, dies.

use std::collections::BTreeSet;

use harness::{OpenShop, Role};
use sandbox::Endpoint;
use serde_json::json;

use super::{Doomed, FATES, Fate, recovers};

const REFUND: &[&str] = &[
    "rf.claim.after_commit",
    "rf.psp.before_send",
    "rf.psp.after_accept",
    "rf.apply.before_commit",
    "rf.apply.after_commit",
];

const WEBHOOK: &[&str] = &["wh.store.before_commit", "wh.store.after_commit", "wh.apply.before_commit"];

pub(super) const POINTS: &[&[&str]] = &[REFUND, WEBHOOK];

#[tokio::test]
async fn giving_money_back() {
    let shop = OpenShop::open().await;
    let operator = shop.operator();
    for point in REFUND {
        for fate in FATES {
            let buyer = shop.visitor().await;
            let phone = format!("{point}-{fate:?}");
            buyer.register_device(&phone).await;
            let (left, _) = shop.stock("poster").await;
            let order = buyer.buy(&[("poster", 1)]).await;
            recovers(&shop).await;

            let mut doomed = Doomed::start(&shop, Role::Storefront, point, 1, fate).await;
            let asked = tokio::spawn({
                let (operator, order) = (operator.clone().at(&doomed.process.url), order.id.clone());
                async move { operator.try_refund(&order, json!({"restock": true}), "one click").await }
            });
            doomed.meets_its_fate(&shop).await;
            if fate != Fate::Dies {
                let again = operator.try_refund(&order.id, json!({"restock": true}), "one click").await.unwrap();
                assert!(matches!(again.status, 201 | 202), "{}: {}", doomed.case, again.body);
            }
            if fate == Fate::Freezes {
                shop.reconcile().await;
                doomed.goes_on();
                let answer = asked.await.unwrap().unwrap();
                assert!(matches!(answer.status, 201 | 202), "{}: {}", doomed.case, answer.body);
            } else {
                assert!(asked.await.unwrap().is_err(), "{}: the dead do not answer", doomed.case);
            }
            let case = doomed.case.clone();
            doomed.ends().await;
            recovers(&shop).await;
            assert_eq!(
                (buyer.status(&order).await.as_str(), shop.sandbox.money_taken(&order.id)),
                ("refunded", 0),
                "{case}"
            );
            assert_eq!((operator.refunds(&order.id).await.len(), shop.stock("poster").await), (1, (left, 0)), "{case}");
            let titles = shop.sandbox.notifications(&phone).into_iter().map(|shown| shown.title);
            assert_eq!(titles.collect::<BTreeSet<_>>().len(), 2, "{case}: paid, and refunded");
        }
    }
}

/// Nobody waits for it any more: the answer to whoever asked was lost, or the request never left.
#[tokio::test]
async fn finishing_a_refund() {
    let shop = OpenShop::open().await;
    for (fault, points) in [("before-500", &REFUND[1..]), ("answer-lost", &REFUND[3..])] {
        for point in points {
            for fate in [Fate::Dies, Fate::Freezes] {
                let buyer = shop.visitor().await;
                let (left, _) = shop.stock("poster").await;
                let order = buyer.buy(&[("poster", 1)]).await;
                recovers(&shop).await;
                shop.spoil(Endpoint::Cancel, fault, 1);
                shop.spoil(Endpoint::Query, "html-502", 1);
                shop.operator().refund(&order.id, json!({"restock": true})).await.expect(202);

                shop.execute("UPDATE refunds SET next_check_at = now() WHERE next_check_at IS NOT NULL").await;
                let mut doomed = Doomed::start(&shop, Role::Loops, point, 1, fate).await;
                doomed.meets_its_fate(&shop).await;
                shop.reconcile().await; // the twin, or the successor
                let case = format!("{fault} {}", doomed.case);
                doomed.ends().await;
                recovers(&shop).await;
                let standing = (buyer.status(&order).await, shop.sandbox.money_taken(&order.id));
                assert_eq!((standing.0.as_str(), standing.1), ("refunded", 0), "{case}");
                assert_eq!(shop.stock("poster").await, (left, 0), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn hearing_of_a_deposit() {
    let shop = OpenShop::open().await;
    for point in WEBHOOK {
        for fate in FATES {
            let buyer = shop.visitor().await;
            let (left, _) = shop.stock("poster").await;
            let order = buyer.place_order(&[("poster", 1)]).await;
            let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
            buyer.confirm(&payment).await.expect(200);
            assert!(shop.sandbox.deposit(&order.id));
            let webhook = shop.sandbox.webhooks(Some(&order.id)).pop().unwrap();

            let mut doomed = Doomed::start(&shop, Role::Storefront, point, 1, fate).await;
            let brought = tokio::spawn({
                let (shop, webhook, url) = (shop.clone(), webhook.clone(), doomed.process.url.clone());
                async move { shop.try_bring(&webhook, &url).await }
            });
            doomed.meets_its_fate(&shop).await;
            if fate != Fate::Dies {
                assert_eq!(shop.bring(&webhook).await, 200, "{}", doomed.case);
                shop.look_into_webhooks().await;
            }
            if fate == Fate::Freezes {
                doomed.goes_on();
                assert_eq!(brought.await.unwrap().unwrap(), 200, "{}", doomed.case);
            } else if *point != "wh.apply.before_commit" {
                assert!(brought.await.unwrap().is_err(), "{}: Toss sends it again", doomed.case);
            }
            let case = doomed.case.clone();
            doomed.ends().await;
            recovers(&shop).await;
            assert_eq!(
                (buyer.status(&order).await.as_str(), shop.stock("poster").await),
                ("paid", (left - 1, 0)),
                "{case}"
            );
        }
    }
}
