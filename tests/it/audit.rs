//! What the shop can tell about itself: the daily statement, an order's history, what waits for a person.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use database::{Role, attention, statements, timeline};
use domain::{Day, Difference, OrderId, Statement};
use harness::{Authenticated, OpenShop, Placed};
use messaging::topology::{SUBSCRIPTIONS, Worker};
use reqwest::Client;
use serde_json::json;

/// Compares what happened around now, which must not be the first or last second of a day in Korea to be all of it.
async fn statement(shop: &OpenShop) -> Statement {
    let Day(yesterday) = Day::yesterday(Utc::now());
    let today = Day(yesterday + TimeDelta::days(1));
    let theirs = shop.gateway.movements(today.with_margin()).await.unwrap();
    statements::compare(&shop.acting_as(Role::Checker).await, today, &theirs, None).await.unwrap()
}

/// The merchant cancels in Toss's console, past us.
async fn cancel_at_toss(shop: &OpenShop, payment: &Authenticated, won: Option<i64>) {
    let url = format!("{}/toss/v1/payments/{}/cancel", shop.sandbox_url(), payment.payment_key);
    let key = &shop.sandbox.settings().secret_key;
    let mut body = json!({"cancelReason": "x"});
    if let Some(won) = won {
        body["cancelAmount"] = won.into();
    }
    let request = Client::new().post(url).basic_auth(key, Some("")).json(&body);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_statement_finds_money_that_only_one_side_knows_of() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 2)]).await;
    let payment = buyer.authenticate(&order).await;
    buyer.confirm(&payment).await.expect(200);
    let other = buyer.buy(&[("poster", 1)]).await;
    let agreed = statement(&shop).await;
    assert_eq!((agreed.ours, agreed.theirs, agreed.movements), (39_000, 39_000, 2));
    assert_eq!(agreed.differences, []);

    cancel_at_toss(&shop, &payment, Some(10_000)).await;
    shop.execute("UPDATE payments SET approved_at = approved_at - interval '3 days' WHERE amount = 9000").await;
    let differences = statement(&shop).await.differences;
    let difference =
        |order: &Placed, theirs| Difference { order_id: order.id.clone(), ours: vec![], theirs: vec![theirs] };
    let mut expected = [difference(&order, -10_000), difference(&other, 9_000)];
    expected.sort_by(|a, b| a.order_id.cmp(&b.order_id));
    assert_eq!(differences, expected);
    shop.sandbox.reset();
    let differences = statement(&shop).await.differences;
    assert_eq!(differences, [Difference { order_id: order.id.clone(), ours: vec![30_000], theirs: vec![] }]);
}

#[tokio::test]
async fn open_payments_and_unpaid_accounts_are_no_differences() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    shop.spoil(sandbox::Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(sandbox::Endpoint::Query, "before-500", 1);
    let order = buyer.place_order(&[("mug", 1)]).await;
    let open = buyer.authenticate(&order).await;
    assert_eq!(buyer.confirm(&open).await.expect(202)["status"], "confirming");
    let order = buyer.place_order(&[("mug", 2)]).await;
    let account = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    buyer.confirm(&account).await.expect(200);
    cancel_at_toss(&shop, &account, None).await;
    let statement = statement(&shop).await;
    assert_eq!((statement.ours, statement.theirs, statement.in_flight), (0, 15_000, 15_000));
    assert_eq!(statement.differences, []);
}

#[tokio::test]
async fn every_morning_one_process_compares_yesterday() {
    let shop = OpenShop::open().await;
    let daily = checkout_api::Statements::new(shop.acting_as(Role::Checkout).await, Arc::clone(&shop.gateway));
    shop.spoil(sandbox::Endpoint::Query, "before-500", 1);
    assert_eq!(daily.step().await.unwrap(), None, "Toss gives no list");
    assert_eq!(daily.step().await.unwrap(), None, "and is not asked again at once");
    shop.execute("UPDATE statements SET claimed_until = now()").await;
    // Somebody else's money.
    let day = sqlx::query_scalar("SELECT day FROM statements").fetch_one(&shop.db).await.map(Day).unwrap();
    shop.sandbox.advance_clock(day.time().start + TimeDelta::hours(12) - Utc::now());
    shop.visitor().await.buy(&[("mug", 1)]).await;
    shop.execute("UPDATE payments SET payment_key = 'another', approved_at = now() - interval '30 days'").await;
    let statement = daily.step().await.unwrap().expect("a statement");
    assert_eq!((statement.ours, statement.theirs, statement.differences.len()), (0, 15_000, 1));
    assert_eq!(shop.count("SELECT differences::bigint FROM statements").await, 1);
    assert_eq!(daily.step().await.unwrap(), None, "once a day");
}

#[tokio::test]
async fn an_order_tells_all_that_happened_to_it() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let order = buyer.place_order(&[("mug", 2)]).await;
    let declined = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    buyer.confirm(&declined).await.expect_problem(402, "payment-declined");
    shop.deliver_events().await;
    let again = buyer.place_order(&[("mug", 2)]).await;
    assert_eq!(again.id, order.id, "its second attempt");
    let paid = buyer.authenticate(&again).await;
    buyer.confirm(&paid).await.expect(200);
    shop.worker_down(Worker::Stock).await;
    shop.deliver_events().await;

    let id: OrderId = order.id.parse().unwrap();
    let consumers = SUBSCRIPTIONS.map(|it| it.name);
    let told = timeline::read(&shop.acting_as(Role::Checker).await, id, &consumers).await.unwrap().unwrap();
    let lines: Vec<_> = told.entries.iter().map(|it| format!("{}: {}", it.what, it.text)).collect();
    let all = lines.join("\n");
    let mut from = 0;
    for expected in [
        "order: placed",
        "payment: attempt 1: the provider is asked",
        "state: pending to confirming: claimed",
        "payment: attempt 1: declined on record (REJECT_CARD_PAYMENT",
        "state: confirming to pending: REJECT_CARD_PAYMENT",
        "event: checkout-failed written down",
        "effect: checkout-failed taken by checkout-failed-push",
        "payment: attempt 2: the provider is asked",
        "payment: attempt 2: approved by the provider",
        "state: confirming to paid: done",
        "event: checkout-success written down",
        "effect: checkout-success taken by checkout-push",
    ] {
        let found = all[from..].find(expected);
        assert!(found.is_some(), "{expected} does not come in\n{all}");
        from += found.unwrap();
    }
    for expected in ["push: checkout-success to device", "dead letter: checkout-stock: "] {
        assert!(all.contains(expected), "{expected} is not in\n{all}");
    }
    // The provider's clock knows whole seconds only.
    let ours = told.entries.iter().filter(|it| !it.text.contains("by the provider"));
    assert!(ours.is_sorted_by_key(|it| it.at));
    assert!(!all.contains(&paid.payment_key) && !all.contains("phone"), "no payment key, no device token");
    let waiting = attention::list(&shop.acting_as(Role::Checker).await).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.kind).collect::<Vec<_>>(), [attention::Kind::DeadLetter]);

    shop.execute("UPDATE dead_letters SET status = 'discarded', resolved_at = now()").await;
    shop.execute("UPDATE payments SET attention = 'the sums differ' WHERE attempt = 1").await;
    let waiting = attention::list(&shop.acting_as(Role::Checker).await).await.unwrap();
    assert_eq!(
        (waiting[0].kind, waiting[0].id.to_string(), waiting.len()),
        (attention::Kind::Disputed, id.to_string(), 1)
    );
}

#[tokio::test]
async fn a_payment_that_nobody_decides_waits_for_a_person() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    shop.spoil(sandbox::Endpoint::Confirm, "reset", 1);
    shop.spoil(sandbox::Endpoint::Query, "before-500", 1);
    let order = buyer.place_order(&[("mug", 1)]).await;
    let open = buyer.authenticate(&order).await;
    buyer.confirm(&open).await.expect(202);
    assert!(attention::list(&shop.acting_as(Role::Checker).await).await.unwrap().is_empty(), "the reconciler's turn");
    shop.wait(TimeDelta::hours(4)).await;
    let waiting = attention::list(&shop.acting_as(Role::Checker).await).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.kind).collect::<Vec<_>>(), [attention::Kind::Undecided]);
    shop.reconcile().await;
    assert!(attention::list(&shop.acting_as(Role::Checker).await).await.unwrap().is_empty());
}
