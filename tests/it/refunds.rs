//! Money that goes back: by people, by the system, in the provider's console; and whatever goes wrong on the way.

use checkout_api::Learned;
use chrono::TimeDelta;
use futures_util::future::join_all;
use harness::{Authenticated, Buyer, OpenShop, Placed};
use sandbox::Endpoint;
use serde_json::json;

/// A shop with a buyer whose phone is on and who has paid for two mugs.
async fn paid() -> (OpenShop, Buyer, Placed, Authenticated) {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let order = buyer.place_order(&[("mug", 2)]).await;
    let payment = buyer.authenticate(&order).await;
    buyer.confirm(&payment).await.expect(200);
    (shop, buyer, order, payment)
}

async fn refunded_amount(buyer: &Buyer, order: &Placed) -> i64 {
    buyer.read(&format!("/api/orders/{}", order.id)).await.expect(200)["refundedAmount"].as_i64().unwrap()
}

#[tokio::test]
async fn everything_goes_back_with_the_goods_and_the_buyer_is_told() {
    let (shop, buyer, order, _) = paid().await;
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (98, 0));
    let answer = shop.operator().refund(&order.id, json!({"restock": true, "requestedBy": "사장님"})).await.expect(201);
    assert_eq!((answer["status"].as_str(), answer["amount"].as_i64()), (Some("done"), Some(30_000)));
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), refunded_amount(&buyer, &order).await), ("refunded", 30_000));
    assert_eq!((shop.sandbox.money_taken(&order.id), shop.stock("mug").await), (0, (100, 0)));
    let told = shop.sandbox.notifications("phone");
    assert_eq!(told.len(), 2, "paid, refunded");
    assert!(told[1].body.as_deref().is_some_and(|body| body.contains("₩30,000")), "{:?}", told[1]);
    shop.verify().await;
}

#[tokio::test]
async fn two_parts_and_then_the_rest() {
    let (shop, buyer, order, _) = paid().await;
    shop.deliver_events().await;
    for (terms, status, refunded) in [
        (json!({"amount": 5_000}), "paid", 5_000),
        (json!({"amount": 7_000}), "paid", 12_000),
        (json!({"restock": true}), "refunded", 30_000),
    ] {
        shop.operator().refund(&order.id, terms).await.expect(201);
        assert_eq!((buyer.status(&order).await.as_str(), refunded_amount(&buyer, &order).await), (status, refunded));
        assert_eq!(shop.sandbox.money_taken(&order.id), 30_000 - refunded);
    }
    assert_eq!(shop.operator().refund(&order.id, json!({})).await.status, 422, "nothing is left");
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("phone").len(), 4);
    assert_eq!((shop.stock("mug").await, shop.operator().refunds(&order.id).await.len()), ((100, 0), 3));
    shop.verify().await;
}

#[tokio::test]
async fn what_makes_no_sense_moves_no_money() {
    let (shop, buyer, order, _) = paid().await;
    let operator = shop.operator();
    for terms in [
        json!({"amount": 0}),
        json!({"amount": 30_001}),
        json!({"amount": -1}),
        json!({"amount": 1, "restock": true}),
        json!({"reason": ""}),
        json!({"reason": "길".repeat(201)}),
        json!({"refundAccount": {"bank": "x", "accountNumber": "1", "holderName": "y"}}),
        json!({"everything": true}),
    ] {
        assert_eq!(operator.refund(&order.id, terms.clone()).await.status, 422, "{terms}");
    }
    let body = json!({"reason": "변심"});
    operator.send(&order.id, "another token, of the right size", "k", &body).await.expect_problem(401, "unauthorized");
    operator.send(&order.id, "", "k", &body).await.expect_problem(401, "unauthorized");
    let nowhere = uuid::Uuid::new_v4().to_string();
    assert_eq!(operator.refund(&nowhere, json!({})).await.status, 404);
    let list = async |order: &str, authorization: &str| {
        let path = format!("/admin/api/orders/{order}/refunds");
        shop.nobody().send("GET", &path, &[("authorization", authorization)], b"").await
    };
    let known = format!("Bearer {}", harness::ADMIN_TOKEN);
    assert_eq!(list(&nowhere, &known).await.status(), 404);
    assert_eq!(list(&order.id, &known).await.status(), 200);
    assert_eq!(list(&order.id, "Bearer x").await.headers()["www-authenticate"], "Bearer");
    let unpaid = buyer.place_order(&[("shirt", 1)]).await;
    assert_eq!(operator.refund(&unpaid.id, json!({})).await.status, 404, "an order that nobody tried to pay");
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.money_taken(&order.id), shop.count("SELECT count(*) FROM refunds").await), (30_000, 0));
    shop.verify().await;
}

#[tokio::test]
async fn twenty_clicks_at_once_give_back_once() {
    let (shop, buyer, order, _) = paid().await;
    let operator = shop.operator();
    let clicks = (0..20).map(|_| operator.refund_with_key(&order.id, json!({"amount": 10_000}), "one click"));
    for answer in join_all(clicks).await {
        assert!(matches!(answer.status, 201 | 202), "{}", answer.body);
        assert_eq!(answer.body["amount"], 10_000);
    }
    operator
        .refund_with_key(&order.id, json!({"amount": 10_001}), "one click")
        .await
        .expect_problem(422, "idempotency-key-reused");
    assert_eq!(shop.sandbox.money_taken(&order.id), 20_000);
    let elsewhere = json!({"bank": "20", "accountNumber": "1002123456789", "holderName": "남"});
    for (terms, status) in [
        (json!({"amount": 10_000, "attempt": 1}), 201),
        (json!({"amount": 10_000, "reason": " 고객 변심 "}), 201),
        (json!({"amount": 10_000, "refundAccount": elsewhere}), 422),
    ] {
        assert_eq!(operator.refund_with_key(&order.id, terms.clone(), "one click").await.status, status, "{terms}");
    }
    // Different clicks: one at a time.
    let clicks = (0..5).map(|_| operator.refund(&order.id, json!({"restock": true})));
    let statuses: Vec<_> = join_all(clicks).await.into_iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.money_taken(&order.id), buyer.status(&order).await.as_str()), (0, "refunded"));
    shop.verify().await;
}

/// Whatever the provider answers, or does not, the refund ends as its book says.
#[tokio::test]
async fn every_spoiled_cancel_ends_as_the_book_says() {
    for what in [
        "reset",
        "hang",
        "before-500",
        "html-502",
        "slow=100",
        "answer-lost",
        "hang-after",
        "approve-then-500",
        "html-502-after",
        "lying-amount",
    ] {
        let (shop, buyer, order, _) = paid().await;
        shop.spoil(Endpoint::Cancel, what, 1);
        let status = shop.operator().refund(&order.id, json!({"restock": true})).await.status;
        assert!(matches!(status, 201 | 202), "{what}: {status}");
        for _ in 0..3 {
            shop.reconcile().await;
        }
        shop.deliver_events().await;
        assert_eq!(
            (shop.sandbox.money_taken(&order.id), buyer.status(&order).await.as_str()),
            (0, "refunded"),
            "{what}"
        );
        assert_eq!(shop.sandbox.totals().canceled, 30_000, "{what}");
        shop.verify().await;
        shop.sandbox.release_hanging_calls();
    }
}

#[tokio::test]
async fn an_outcome_that_nobody_tells_is_asked_for_until_it_is_known() {
    let (shop, buyer, order, _) = paid().await;
    shop.spoil(Endpoint::Cancel, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "html-502", 2);
    let answer = shop.operator().refund(&order.id, json!({})).await.expect(202);
    assert_eq!(answer["status"], "requested");
    assert_eq!(buyer.status(&order).await, "refunding", "neither refunded nor failed");
    assert_eq!(shop.operator().refund(&order.id, json!({})).await.status, 409, "not while one is under way");
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "refunding");
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "refunded");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_refund_that_the_provider_refuses_calls_a_person_and_can_be_asked_for_again() {
    let (shop, buyer, order, payment) = paid().await;
    shop.deliver_events().await;
    // Somebody is quicker in the console: the balance is not what we send along.
    shop.operator().cancel_at_console(&payment.payment_key, 1_000).await;
    let answer = shop.operator().refund(&order.id, json!({"amount": 5_000})).await;
    answer.clone().expect_problem(422, "refund-refused");
    assert_eq!(answer.body["providerCode"], "NOT_MATCHES_REFUNDABLE_AMOUNT");
    assert_eq!(refunded_amount(&buyer, &order).await, 1_000, "theirs is on record, ours is not done");
    let waiting = "SELECT count(*) FROM refunds WHERE attention IS NOT NULL";
    assert_eq!(shop.count(waiting).await, 1);
    shop.operator().refund(&order.id, json!({})).await.expect(201);
    assert_eq!((shop.count(waiting).await, shop.sandbox.money_taken(&order.id)), (0, 0));
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn what_was_canceled_already_is_not_canceled_again() {
    let (shop, buyer, order, payment) = paid().await;
    shop.operator().cancel_at_console(&payment.payment_key, 30_000).await;
    // ALREADY_CANCELED_PAYMENT: the balance is compared, and what we wanted has happened.
    shop.operator().refund(&order.id, json!({"restock": true})).await.expect(201);
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.totals().canceled, buyer.status(&order).await.as_str()), (30_000, "refunded"));
    assert_eq!(shop.stock("mug").await, (100, 0));
    shop.verify().await;
}

#[tokio::test]
async fn what_the_console_gives_back_is_adopted_once() {
    let (shop, buyer, order, payment) = paid().await;
    shop.deliver_events().await;
    for (amount, status, refunded) in [(10_000, "paid", 10_000), (20_000, "refunded", 30_000)] {
        shop.operator().cancel_at_console(&payment.payment_key, amount).await;
        assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
        assert_eq!(shop.learn(&order.id, 1).await, Learned::NoNews);
        assert_eq!((buyer.status(&order).await.as_str(), refunded_amount(&buyer, &order).await), (status, refunded));
    }
    shop.deliver_events().await;
    let refunds = shop.operator().refunds(&order.id).await;
    assert!(refunds.iter().all(|refund| refund["origin"] == "console"), "{refunds:?}");
    assert_eq!((refunds.len(), shop.sandbox.notifications("phone").len()), (2, 3));
    assert_eq!(shop.stock("mug").await, (98, 0), "nobody said that the goods came back");
    shop.verify().await;
}

#[tokio::test]
async fn what_the_console_gives_back_is_heard_of_by_webhook() {
    let (shop, buyer, order, payment) = paid().await;
    shop.deliver_events().await;
    for (amount, status, refunded) in [(10_000, "paid", 10_000), (20_000, "refunded", 30_000)] {
        shop.operator().cancel_at_console(&payment.payment_key, amount).await;
        for _ in 0..2 {
            shop.wait(TimeDelta::seconds(10)).await;
            shop.bring_webhooks(&order.id).await;
            shop.look_into_webhooks().await;
            shop.deliver_events().await;
            let standing = (buyer.status(&order).await, refunded_amount(&buyer, &order).await);
            assert_eq!((standing.0.as_str(), standing.1), (status, refunded));
        }
    }
    assert_eq!(shop.sandbox.notifications("phone").len(), 3, "paid, and each of the two once");
    shop.verify().await;

    let (shop, buyer, order, payment) = paid().await;
    shop.operator().cancel_at_console(&payment.payment_key, 30_000).await;
    shop.bring_webhooks(&order.id).await;
    shop.look_into_webhooks().await;
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), refunded_amount(&buyer, &order).await), ("refunded", 30_000));
    shop.verify().await;
}

#[tokio::test]
async fn a_refund_races_the_stock_worker_and_the_goods_come_back_once() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let mut orders = Vec::new();
    for _ in 0..12 {
        orders.push(buyer.buy(&[("mug", 1), ("poster", 2)]).await);
    }
    let operator = shop.operator();
    let refunds = join_all(orders.iter().map(|order| operator.refund(&order.id, json!({"restock": true}))));
    let (answers, ()) = tokio::join!(refunds, shop.deliver_events());
    for answer in answers {
        assert!(matches!(answer.status, 201 | 202), "{}", answer.body);
    }
    shop.reconcile().await;
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.stock("poster").await), ((100, 0), (1_000, 0)));
    assert_eq!(shop.count("SELECT count(*) FROM dead_letters").await, 0);
    shop.verify().await;
}

#[tokio::test]
async fn a_refund_before_the_sale_keeps_the_goods_from_being_sold() {
    let (shop, _, order, _) = paid().await;
    assert_eq!(shop.stock("mug").await, (100, 2));
    shop.operator().refund(&order.id, json!({"restock": true})).await.expect(201);
    assert_eq!(shop.stock("mug").await, (100, 0), "the reservation is over");
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (100, 0), "the stock worker hears of the payment too late");
    assert_eq!(shop.count("SELECT count(*) FROM stock_ledger WHERE kind IN ('sold', 'returned')").await, 0);
    shop.verify().await;
}

/// The order that awaits a deposit ends, and its goods are free again; if the buyer pays now, that is too late.
async fn end_unpaid(shop: &OpenShop) {
    for change in [
        "UPDATE stock SET reserved = 0",
        "UPDATE payments SET status = 'canceled', settled_at = now(), next_check_at = NULL",
        "UPDATE orders SET status = 'expired', payment_key = NULL",
        "INSERT INTO order_log (order_id, from_status, to_status, cause) SELECT id, 'awaiting_deposit', 'expired', 'test' FROM orders",
    ] {
        shop.execute(change).await;
    }
}

#[tokio::test]
async fn a_deposit_for_an_order_that_has_ended_goes_back_by_itself() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    assert_eq!(buyer.confirm(&payment).await.expect(200)["status"], "awaiting_deposit");
    end_unpaid(&shop).await;
    assert!(shop.sandbox.deposit(&order.id));
    assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
    assert_eq!(shop.sandbox.money_taken(&order.id), 15_000, "owed, and on record");
    while shop.api.reconciler.step().await.unwrap() > 0 {}
    assert_eq!(shop.sandbox.money_taken(&order.id), 0);
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("expired", (100, 0)));
    assert_eq!(shop.sandbox.notifications("phone").len(), 1, "the buyer is told");
    buyer.confirm(&payment).await.expect_problem(409, "payment-returned");
    assert_eq!(shop.operator().refunds(&order.id).await[0]["origin"], "system");
    shop.verify().await;
}

#[tokio::test]
async fn what_is_owed_when_the_bank_is_closed_goes_back_when_it_is_open() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    buyer.confirm(&payment).await.expect(200);
    end_unpaid(&shop).await;
    assert!(shop.sandbox.deposit(&order.id));
    assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
    shop.spoil(Endpoint::Cancel, "before-500=NOT_AVAILABLE_BANK", 1);
    while shop.api.reconciler.step().await.unwrap() > 0 {}
    let refunds = shop.operator().refunds(&order.id).await;
    let states: Vec<_> = refunds.iter().map(|refund| refund["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "requested"]);
    assert_eq!(shop.count("SELECT count(*) FROM refunds WHERE attention IS NOT NULL").await, 0, "nobody is called");
    assert_eq!(shop.count("SELECT count(*) FROM refunds WHERE next_check_at > now() + interval '50 minutes'").await, 1);
    shop.reconcile().await; // an hour later
    assert_eq!(shop.sandbox.money_taken(&order.id), 0);
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn two_payments_for_one_order_pay_once() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let first = buyer.authenticate(&order).await;
    // The provider takes the money, tells nobody, and for twenty minutes claims that it knows nothing.
    shop.spoil(Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "before-500", 1);
    assert_eq!(buyer.confirm(&first).await.status, 202);
    shop.wait(TimeDelta::minutes(20)).await;
    for change in [
        "UPDATE stock SET reserved = 0",
        "UPDATE payments SET status = 'canceled', settled_at = now(), next_check_at = NULL",
        "UPDATE orders SET status = 'pending', payment_key = NULL",
        "INSERT INTO order_log (order_id, from_status, to_status, payment_id, cause)
            SELECT order_id, 'confirming', 'pending', id, 'test' FROM payments",
    ] {
        shop.execute(change).await;
    }
    let again = buyer.place_order(&[("mug", 1)]).await;
    let second = buyer.authenticate(&again).await;
    buyer.confirm(&second).await.expect(200);
    assert_eq!(shop.sandbox.money_taken(&order.id) + shop.sandbox.money_taken(&again.window_id), 30_000, "paid twice");

    assert_eq!(shop.learn(&order.id, 1).await, Learned::News);
    shop.reconcile().await;
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.money_taken(&order.id), shop.sandbox.money_taken(&again.window_id)), (0, 15_000));
    assert_eq!((buyer.status(&order).await.as_str(), refunded_amount(&buyer, &order).await), ("paid", 0));
    assert_eq!(shop.stock("mug").await, (99, 0));

    let part = |attempt: i16| json!({"amount": 1_000, "attempt": attempt});
    shop.operator().refund_with_key(&order.id, part(2), "k").await.expect(201);
    let other = shop.operator().refund_with_key(&order.id, part(1), "k").await;
    other.expect_problem(422, "idempotency-key-reused");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_deposit_without_an_account_to_return_it_to_waits_for_a_person_who_names_one() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    buyer.confirm(&payment).await.expect(200);
    shop.execute("UPDATE payments SET refund_bank = NULL, refund_account = NULL, refund_holder = NULL").await;
    shop.sandbox.deposit(&order.id);
    shop.reconcile().await;
    shop.deliver_events().await;
    let refused = shop.operator().refund(&order.id, json!({})).await;
    assert_eq!(refused.body["providerCode"], "INVALID_REFUND_ACCOUNT_INFO");
    assert_eq!(buyer.status(&order).await, "paid");
    let account = json!({"bank": "20", "accountNumber": "1002123456789", "holderName": "박토스"});
    shop.operator().refund(&order.id, json!({"refundAccount": account})).await.expect(201);
    shop.deliver_events().await;
    assert_eq!((shop.sandbox.money_taken(&order.id), buyer.status(&order).await.as_str()), (0, "refunded"));
    shop.verify().await;
}

#[tokio::test]
async fn a_dispute_is_over_when_the_provider_agrees() {
    let (shop, _, order, _) = paid().await;
    shop.spoil(Endpoint::Query, "lying-amount", 1);
    let disputed = "SELECT count(*) FROM payments WHERE attention IS NOT NULL";
    assert_eq!((shop.learn(&order.id, 1).await, shop.count(disputed).await), (Learned::Disputed, 1));
    assert_eq!((shop.learn(&order.id, 1).await, shop.count(disputed).await), (Learned::NoNews, 0));
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_refusal_that_says_nothing_is_believed_when_it_is_repeated_for_half_an_hour() {
    let (shop, buyer, order, _) = paid().await;
    shop.deliver_events().await;
    shop.spoil(Endpoint::Cancel, "before-500=PROVIDER_ERROR", 100); // a 400 that may have gone through
    shop.operator().refund(&order.id, json!({})).await.expect(202);
    for look in 1..7 {
        shop.reconcile().await;
        assert_eq!(buyer.status(&order).await, "refunding", "look {look}");
    }
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.sandbox.money_taken(&order.id)), ("paid", 30_000));
    assert_eq!(shop.count("SELECT count(*) FROM refunds WHERE status = 'failed' AND attention IS NOT NULL").await, 1);
    shop.sandbox.clear_faults();
    shop.operator().refund(&order.id, json!({})).await.expect(201);
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn what_was_not_given_back_for_ten_days_is_not_asked_for_again() {
    let (shop, buyer, order, payment) = paid().await;
    shop.deliver_events().await;
    shop.spoil(Endpoint::Cancel, "before-500", 1);
    shop.operator().refund(&order.id, json!({})).await.expect(202);
    shop.execute("UPDATE refunds SET checks = 39").await;
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.sandbox.money_taken(&order.id)), ("refunding", 30_000));
    assert_eq!(
        shop.count("SELECT count(*) FROM refunds WHERE status = 'requested' AND attention IS NOT NULL").await,
        1
    );
    // Toss may have forgotten the key, so the same request could be a second one. A person cancels in the console.
    shop.operator().cancel_at_console(&payment.payment_key, 30_000).await;
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.operator().refunds(&order.id).await.len()), ("refunded", 1));
    shop.deliver_events().await;
    shop.verify().await;
}
