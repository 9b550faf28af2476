//! Coming back from the payment window in another browser: apps open links in browsers of their own, without the cookie.

use chrono::TimeDelta;
use harness::{Answer, Authenticated, Buyer, OpenShop, Placed};

/// An order, paid for in a window that leads back with a token.
async fn authenticated(shop: &OpenShop) -> (Buyer, Placed, Authenticated) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    (buyer, order, payment)
}

fn success(order: &Placed) -> String {
    format!("/checkout/success?orderId={}", order.id)
}

fn not_found(order: &Placed) -> String {
    format!("/checkout/error?orderId={}&reason=not-found", order.id)
}

#[tokio::test]
async fn a_browser_without_the_cookie_pays_and_sees_how_the_order_stands() {
    let shop = OpenShop::open().await;
    let (buyer, order, payment) = authenticated(&shop).await;
    let in_app = shop.nobody();
    assert_eq!(in_app.follow_back(&payment).await, success(&order));
    assert_eq!(shop.sandbox.money_taken(&order.id), 15_000);
    let page = in_app.page(&success(&order)).await;
    assert!(page.contains("data-state=\"paid\"") && page.contains("₩15,000"), "{page}");
    for kept in ["mug", "receipt", &format!("/orders/{}", order.id)] {
        assert!(!page.contains(kept), "{kept} is the owner's");
    }
    for path in [format!("/orders/{}", order.id), format!("/orders/{}/pay", order.id)] {
        assert_eq!(in_app.get(&path).await.status(), 404, "{path}");
    }
    assert_eq!(in_app.read(&format!("/api/orders/{}", order.id)).await.status, 404);
    assert!(!in_app.page("/orders").await.contains(&order.id));
    // The owner sees the rest.
    assert!(buyer.page(&success(&order)).await.contains("mug"));
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_token_is_good_once_and_a_reload_shows_the_same() {
    let shop = OpenShop::open().await;
    let (_, order, payment) = authenticated(&shop).await;
    let in_app = shop.nobody();
    assert_eq!(in_app.follow_back(&payment).await, success(&order));
    assert_eq!(in_app.follow_back(&payment).await, success(&order), "a reload");
    let thief = shop.nobody();
    assert_eq!(thief.follow_back(&payment).await, not_found(&order));
    assert_eq!(thief.get(&success(&order)).await.status(), 404);
    assert_eq!(shop.sandbox.approvals(&order.id), 1);
}

#[tokio::test]
async fn somebody_elses_session_does_not_keep_the_token_from_speaking() {
    let shop = OpenShop::open().await;
    let (_, order, payment) = authenticated(&shop).await;
    let in_app = shop.visitor().await; // has been here before, as another guest
    assert_eq!(in_app.follow_back(&payment).await, success(&order));
    assert!(in_app.page(&success(&order)).await.contains("data-state=\"paid\""));
}

#[tokio::test]
async fn a_token_speaks_for_its_order_its_amount_and_its_half_hour() {
    let shop = OpenShop::open().await;
    let (_, order, payment) = authenticated(&shop).await;
    let (_, other, _) = authenticated(&shop).await;
    let swapped = Authenticated { location: payment.location.replace(&order.id, &other.id), ..payment.clone() };
    assert_eq!(shop.nobody().follow_back(&swapped).await, not_found(&other));
    let invented = payment.location.replace("callback/", "callback/00");
    for bad in [invented, payment.location.replace("callback/", "callback/x")] {
        let answer = shop.nobody().get(bad.strip_prefix(&shop.url).unwrap()).await;
        assert_eq!(answer.status(), 404, "{bad}");
    }
    let tampered = Authenticated { location: payment.location.replace("amount=15000", "amount=1"), ..payment.clone() };
    let told = shop.nobody().follow_back(&tampered).await;
    assert_eq!(told, format!("/checkout/error?orderId={}&reason=mismatch", order.id));
    assert_eq!(shop.sandbox.totals().kept, 0);

    let (_, late, payment) = authenticated(&shop).await;
    shop.execute("UPDATE orders SET return_until = now() - interval '1 second'").await;
    assert_eq!(shop.nobody().follow_back(&payment).await, not_found(&late));
    assert_eq!(shop.sandbox.totals().kept, 0);
}

#[tokio::test]
async fn the_database_knows_no_token() {
    let shop = OpenShop::open().await;
    let (_, _, payment) = authenticated(&shop).await;
    let token = payment.location.split("callback/").nth(1).unwrap().split('?').next().unwrap();
    assert_eq!(token.len(), 64);
    let found = shop.count(&format!("SELECT count(*) FROM orders WHERE return_token = decode('{token}', 'hex')")).await;
    assert_eq!(found, 0);
    let hashed = format!("SELECT count(*) FROM orders WHERE return_token = sha256(decode('{token}', 'hex'))");
    assert_eq!(shop.count(&hashed).await, 1);
}

#[tokio::test]
async fn the_same_window_has_the_same_token_and_the_next_attempt_another() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    assert_eq!(buyer.place_order(&[("mug", 1)]).await.body, order.body, "asked again");
    let payment = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "INVALID_STOPPED_CARD")]).await;
    buyer.follow_back(&payment).await;
    let again = buyer.place_order(&[("mug", 1)]).await;
    assert_eq!(again.id, order.id);
    assert_ne!(again.body["successUrl"], order.body["successUrl"]);
    let in_app = shop.nobody();
    assert_eq!(in_app.follow_back(&payment).await, not_found(&order), "the token of an attempt that is over");
    assert_eq!(in_app.follow_back(&buyer.authenticate(&again).await).await, success(&order));
}

#[tokio::test]
async fn a_refusal_in_another_browser_says_where_to_go_on() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "INVALID_STOPPED_CARD")]).await;
    let in_app = shop.nobody();
    let page = in_app.page(&in_app.follow_back(&payment).await).await;
    assert!(page.contains("정지되었거나 분실 신고된 카드입니다") && page.contains("주문하신 브라우저"), "{page}");
    assert!(!page.contains("/pay\""), "paying again is for the owner's browser");
    shop.wait(TimeDelta::minutes(61)).await;
    let pay: Answer = buyer.post(&format!("/api/orders/{}/pay", order.id), &serde_json::json!({})).await;
    pay.expect_problem(409, "order-expired");
}
