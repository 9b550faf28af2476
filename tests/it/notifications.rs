//! The buyer's phone.

use harness::OpenShop;
use serde_json::json;

harness::on_both_engines!(
    only_what_failed_is_sent_again,
    a_device_shows_the_payments_of_its_last_owner_only,
    a_declined_payment_is_told_too,
    an_answer_that_was_lost_is_repeated_under_the_same_tag,
    a_token_that_makes_no_sense_is_refused,
);

async fn only_what_failed_is_sent_again(shop: OpenShop) {
    let buyer = shop.visitor().await;
    for token in ["good", "busy", "gone", "odd"] {
        buyer.register_device(token).await;
    }
    shop.script("busy", &["unavailable:1", "ok"]);
    shop.script("gone", &["unregistered"]);
    shop.script("odd", &["bare404"]);
    buyer.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    let shown = |token| shop.sandbox.notifications(token).len();
    assert_eq!((shown("good"), shown("busy"), shown("gone")), (1, 0, 0));

    shop.execute("UPDATE push_attempts SET due_at = now() WHERE due_at IS NOT NULL").await;
    shop.deliver_events().await;
    assert_eq!((shown("good"), shown("busy")), (1, 1));
    let left = shop.count("SELECT count(*) FROM messaging_tokens WHERE token IN ('good', 'busy', 'odd')").await;
    assert_eq!(left, 3, "a page of HTML is no proof that a device is gone");
    assert_eq!(shop.count("SELECT count(*) FROM messaging_tokens WHERE token = 'gone'").await, 0);
    assert_eq!(shop.count("SELECT count(*) FROM push_attempts WHERE status = 'gone'").await, 1);
}

async fn a_device_shows_the_payments_of_its_last_owner_only(shop: OpenShop) {
    let (first, second) = (shop.visitor().await, shop.visitor().await);
    first.register_device("shared").await;
    first.buy(&[("mug", 1)]).await;
    second.register_device("shared").await;
    shop.deliver_events().await;
    assert!(shop.sandbox.notifications("shared").is_empty(), "the first owner's payment is not the second's business");
    second.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("shared").len(), 1);
    assert_eq!(first.delete("/api/messaging-tokens", &json!({"token": "shared"})).await.status, 404);
    second.delete("/api/messaging-tokens", &json!({"token": "shared"})).await.expect(204);
    second.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("shared").len(), 1);
}

async fn a_declined_payment_is_told_too(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    buyer.confirm(&payment).await.expect_problem(402, "payment-declined");
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("phone").len(), 1);
    shop.verify().await;
}

async fn an_answer_that_was_lost_is_repeated_under_the_same_tag(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    shop.script("phone", &["deliver_then_reset", "ok"]);
    buyer.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    shop.execute("UPDATE push_attempts SET due_at = now() WHERE due_at IS NOT NULL").await;
    shop.deliver_events().await;
    let shown = shop.sandbox.notifications("phone");
    assert_eq!(shown.len(), 2, "FCM cannot be asked whether the first one arrived");
    assert_eq!(shown[0].tag, shown[1].tag, "so the phone replaces it");
    assert_eq!(shop.count("SELECT unknowns::bigint FROM push_attempts").await, 1);
}

async fn a_token_that_makes_no_sense_is_refused(shop: OpenShop) {
    let buyer = shop.visitor().await;
    for body in [
        json!({"token": ""}),
        json!({"token": "a b"}),
        json!({"token": "x\u{0}"}),
        json!({"token": "x".repeat(4_097)}),
        json!({"token": "x", "kind": "other"}),
        json!({"token": "x", "customerId": uuid::Uuid::nil()}),
        json!({}),
    ] {
        assert_eq!(buyer.post("/api/messaging-tokens", &body).await.status, 422, "{body}");
    }
    assert_eq!(shop.count("SELECT count(*) FROM messaging_tokens").await, 0);
}
