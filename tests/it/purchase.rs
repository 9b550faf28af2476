//! One purchase, however it is clicked.

use std::collections::HashSet;

use futures_util::future::join_all;
use harness::OpenShop;

harness::on_both_engines!(
    a_purchase_reaches_shelf_and_phone,
    fifty_clicks_at_once_charge_once_and_hear_the_same,
    fifty_identical_orders_at_once_are_one,
    a_replayed_callback_shows_what_happened_and_charges_nothing,
    a_tampered_amount_never_reaches_the_provider,
    two_authenticated_payments_for_one_order_take_money_once,
    a_declined_order_is_paid_by_another_card,
    two_hundred_buyers_and_five_pieces,
    an_order_is_whole_or_not_at_all,
    a_deposit_pays_later,
);

async fn a_purchase_reaches_shelf_and_phone(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;

    let order = buyer.place_order(&[("mug", 2), ("shirt", 1)]).await;
    assert_eq!(order.amount, 69_000);
    let payment = buyer.authenticate(&order).await;
    let answer = buyer.confirm(&payment).await.expect(200);
    assert_eq!(answer["status"], "paid");
    assert_eq!(shop.sandbox.money_taken(&order.id), 69_000);
    assert_eq!(shop.stock("mug").await, (100, 2), "reserved until the worker takes it down");

    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (98, 0));
    assert_eq!(shop.stock("shirt").await, (49, 0));
    let shown = shop.sandbox.notifications("phone");
    assert_eq!(shown.len(), 1);
    assert_eq!(buyer.status(&order).await, "paid");
    shop.verify().await;
}

async fn fifty_clicks_at_once_charge_once_and_hear_the_same(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    let answers = join_all((0..50).map(|_| buyer.confirm(&payment))).await;
    for answer in answers {
        assert_eq!(answer.expect(200)["status"], "paid");
    }
    assert_eq!((shop.sandbox.approvals(&order.id), shop.sandbox.confirm_calls(&order.id)), (1, 1));
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (99, 0));
    shop.verify().await;
}

async fn fifty_identical_orders_at_once_are_one(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let basket = buyer.basket(&[("mug", 1)]);
    let answers = join_all((0..50).map(|_| buyer.post_with_key("/api/orders", &basket, "one-key"))).await;
    let ids: HashSet<_> = answers.into_iter().map(|answer| answer.expect(201)["orderId"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 1);

    let answers = join_all((0..20).map(|_| buyer.post("/api/orders", &basket))).await;
    let again: HashSet<_> = answers.into_iter().map(|answer| answer.expect(200)["orderId"].to_string()).collect();
    assert_eq!(again, ids, "the same cart, still unpaid, is the same order under any key");
}

async fn a_replayed_callback_shows_what_happened_and_charges_nothing(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    let success = format!("/checkout/success?orderId={}", order.id);
    for _ in 0..20 {
        assert_eq!(buyer.follow_back(&payment).await, success);
    }
    assert!(buyer.page(&success).await.contains("결제가 완료되었습니다"));
    shop.deliver_events().await;
    assert_eq!(buyer.follow_back(&payment).await, success, "also long after");
    assert_eq!((shop.sandbox.approvals(&order.id), shop.sandbox.confirm_calls(&order.id)), (1, 1));
    shop.verify().await;
}

async fn a_tampered_amount_never_reaches_the_provider(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("shirt", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    let before = shop.sandbox.total_requests();
    for amount in [1, 38_999, 39_001] {
        let tampered = harness::Authenticated { amount, ..payment.clone() };
        buyer.confirm(&tampered).await.expect_problem(422, "amount-mismatch");
    }
    assert_eq!(shop.sandbox.total_requests(), before);
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("shirt").await), ("pending", (50, 0)));
    buyer.confirm(&payment).await.expect(200);
    shop.deliver_events().await;
    shop.verify().await;
}

async fn two_authenticated_payments_for_one_order_take_money_once(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let (first, second) = (buyer.authenticate(&order).await, buyer.authenticate(&order).await);
    let answers = join_all([buyer.confirm(&first), buyer.confirm(&second)]).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(shop.sandbox.money_taken(&order.id), 15_000);
    shop.deliver_events().await;
    shop.verify().await;
}

async fn a_declined_order_is_paid_by_another_card(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("rare", 1)]).await;
    let refused = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    let answer = buyer.confirm(&refused).await;
    answer.clone().expect_problem(402, "payment-declined");
    assert_eq!(answer.body["providerCode"], "REJECT_CARD_PAYMENT");
    assert_eq!(shop.stock("rare").await, (5, 0), "nothing stays reserved");
    buyer.confirm(&refused).await.expect_problem(402, "payment-declined");

    let again = buyer.place_order(&[("rare", 1)]).await;
    assert_eq!((again.id.as_str(), again.window_id.as_str()), (order.id.as_str(), format!("{}-2", order.id).as_str()));
    buyer.confirm(&buyer.authenticate(&again).await).await.expect(200);
    assert_eq!(shop.sandbox.money_taken(&again.window_id), 120_000);
    shop.deliver_events().await;
    assert_eq!(shop.stock("rare").await, (4, 0));
    shop.verify().await;
}

async fn two_hundred_buyers_and_five_pieces(shop: OpenShop) {
    let buyers = join_all((0..200).map(|_| shop.visitor())).await;
    let payments = join_all(buyers.iter().map(async |buyer| {
        let order = buyer.place_order(&[("rare", 1)]).await;
        buyer.authenticate(&order).await
    }))
    .await;
    let answers = join_all(buyers.iter().zip(&payments).map(|(buyer, payment)| buyer.confirm(payment))).await;
    let sold = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(sold, 5);
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(409, "sold-out");
    }
    assert_eq!(shop.sandbox.totals().kept, 5 * 120_000, "nobody was charged in vain, so nothing has to be refunded");
    shop.deliver_events().await;
    assert_eq!(shop.stock("rare").await, (0, 0));
    shop.verify().await;
}

async fn an_order_is_whole_or_not_at_all(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1), ("rare", 6)]).await;
    let payment = buyer.authenticate(&order).await;
    buyer.confirm(&payment).await.expect_problem(409, "sold-out");
    assert_eq!((shop.stock("mug").await, shop.stock("rare").await), ((100, 0), (5, 0)));
    assert_eq!(shop.sandbox.confirm_calls(&order.id), 0);
    shop.verify().await;
}

async fn a_deposit_pays_later(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    assert_eq!(buyer.confirm(&payment).await.expect(200)["status"], "awaiting_deposit");
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (100, 1), "kept for the buyer, not yet sold");
    let seen = buyer.read(&format!("/api/orders/{}", order.id)).await.expect(200);
    assert_eq!(seen["expiresAt"], seen["payment"]["deposit"]["dueAt"], "a week, not an hour");
    shop.verify().await;

    assert!(shop.sandbox.deposit(&order.id));
    shop.reconcile().await;
    shop.deliver_events().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("paid", (99, 0)));
    shop.verify().await;
}
