//! Whatever goes wrong at the provider, the order ends where the provider's own book says it is.

use chrono::TimeDelta;
use harness::{OpenShop, Placed};
use sandbox::Endpoint;
use serde_json::json;

harness::on_both_engines!(
    every_spoiled_confirm_ends_as_the_book_says,
    a_provider_that_says_nothing_for_long_is_asked_until_it_does,
    a_payment_nobody_confirmed_frees_the_goods_when_the_window_is_over,
    a_buyer_who_closes_the_tab_has_paid_all_the_same,
    keys_that_the_provider_refuses_charge_nothing,
);

/// The order ends paid if and only if the provider kept the money, and the shelf agrees.
async fn ends_as_the_book_says(shop: &OpenShop, stock: i32, status: &str, order: &Placed, what: &str) {
    let kept = shop.sandbox.money_taken(&order.id);
    let (expected, left) = if kept > 0 { ("paid", stock - 1) } else { ("pending", stock) };
    assert_eq!(status, expected, "{what}: the provider kept {kept}");
    assert!(shop.sandbox.approvals(&order.id) <= 1, "{what}");
    assert_eq!(shop.stock("mug").await, (left, 0), "{what}");
    shop.verify().await;
}

async fn every_spoiled_confirm_ends_as_the_book_says(shop: OpenShop) {
    for what in [
        "reset",
        "hang",
        "before-500",
        "before-500=UNKNOWN_PAYMENT_ERROR",
        "html-502",
        "decline=REJECT_CARD_COMPANY",
        "slow=100",
        "answer-lost",
        "hang-after",
        "approve-then-500",
        "html-502-after",
        "lying-amount",
    ] {
        let (left, _) = shop.stock("mug").await;
        let buyer = shop.visitor().await;
        let order = buyer.place_order(&[("mug", 1)]).await;
        let payment = buyer.authenticate(&order).await;
        shop.spoil(Endpoint::Confirm, what, 1);
        let status = buyer.confirm(&payment).await.status;
        assert!(matches!(status, 200 | 202 | 402), "{what}: {status}");
        shop.reconcile().await;
        shop.deliver_events().await;
        ends_as_the_book_says(&shop, left, &buyer.status(&order).await, &order, what).await;
        shop.sandbox.release_hanging_calls();
    }
}

async fn a_provider_that_says_nothing_for_long_is_asked_until_it_does(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.spoil(Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "html-502", 3);
    assert_eq!(buyer.confirm(&payment).await.expect(202)["status"], "confirming");
    assert_eq!(buyer.confirm(&payment).await.expect(202)["status"], "confirming", "never failed, never asked twice");
    let page = buyer.page(&format!("/checkout/success?orderId={}", order.id)).await;
    assert!(page.contains("결제를 확인하고 있습니다"));
    for _ in 0..2 {
        shop.reconcile().await;
        assert_eq!(buyer.status(&order).await, "confirming");
    }
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "paid");
    shop.deliver_events().await;
    ends_as_the_book_says(&shop, 100, "paid", &order, "a silent provider").await;
}

async fn a_payment_nobody_confirmed_frees_the_goods_when_the_window_is_over(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    // Neither the confirm nor anything the reconciler sends within the window gets through.
    shop.spoil(Endpoint::Confirm, "before-500", 1_000);
    assert_eq!(buyer.confirm(&payment).await.status, 202);
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("confirming", (100, 1)));
    shop.wait(TimeDelta::minutes(20)).await;
    shop.reconcile().await;
    shop.deliver_events().await;
    ends_as_the_book_says(&shop, 100, &buyer.status(&order).await, &order, "an expired window").await;
}

async fn a_buyer_who_closes_the_tab_has_paid_all_the_same(shop: OpenShop) {
    let buyer = shop.visitor().await;
    for (millis, product) in [(1, "mug"), (5, "shirt"), (20, "poster"), (60, "rare")] {
        let order = buyer.place_order(&[(product, 1)]).await;
        let payment = buyer.authenticate(&order).await;
        shop.spoil(Endpoint::Confirm, "slow=50", 1);
        let tab = tokio::time::timeout(std::time::Duration::from_millis(millis), buyer.confirm(&payment));
        drop(tab.await);
        // Wherever the request was cut off, the buyer who comes back finds the order paid, once.
        shop.eventually("the order to be paid", async || buyer.confirm(&payment).await.status == 200).await;
        assert_eq!((shop.sandbox.approvals(&order.id), buyer.status(&order).await.as_str()), (1, "paid"));
        shop.sandbox.clear_faults();
    }
    shop.deliver_events().await;
    shop.verify().await;
}

async fn keys_that_the_provider_refuses_charge_nothing(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.spoil(Endpoint::Confirm, "decline=UNAUTHORIZED_KEY", 1);
    for _ in 0..2 {
        buyer.confirm(&payment).await.expect_problem(502, "payment-gateway-error"); // the same answer to the same return
    }
    assert_eq!(shop.sandbox.confirm_calls(&order.id), 1);
    assert_eq!((shop.sandbox.money_taken(&order.id), shop.stock("mug").await), (0, (100, 0)));
    let seen = buyer.read(&format!("/api/orders/{}", order.id)).await.expect(200);
    let decline = json!({"code": "UNAUTHORIZED_KEY", "message": "", "kind": "configuration"});
    assert_eq!(seen["payment"]["decline"], decline, "what Toss says of our keys is not for the buyer");
    let said = "SELECT count(*) FROM outbox WHERE type = 'checkout-failed' AND data::jsonb ->> 'reason' = ''";
    assert_eq!(shop.count(said).await, 1);
    assert!(buyer.page(&format!("/orders/{}", order.id)).await.contains("결제를 완료하지 못했습니다"));
    shop.deliver_events().await;
    shop.verify().await;
}
