//! The pages, followed as a browser follows them.

use harness::OpenShop;

#[tokio::test]
async fn a_browser_buys_a_mug() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let shelf = buyer.page("/").await;
    assert!(shelf.contains("mug") && shelf.contains("₩15,000") && shelf.contains("재고 100개"), "{shelf}");
    let checkout = format!("/checkout/{}", shop.product("mug"));
    assert!(shelf.contains(&checkout));
    let page = buyer.page(&checkout).await;
    assert!(page.contains("/toss/v2/standard") && page.contains("결제하기"));
    assert!(buyer.page("/assets/checkout.js").await.contains("requestPayment"));

    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    assert!(payment.location.contains("paymentType=NORMAL"));
    let success = buyer.follow_back(&payment).await;
    assert!(!success.contains(&payment.payment_key), "the payment key leaves the address bar");
    assert!(buyer.page(&success).await.contains("결제가 완료되었습니다"));
    shop.deliver_events().await;
    assert!(buyer.page("/").await.contains("재고 99개"));
    shop.verify().await;
}

#[tokio::test]
async fn a_buyer_who_changes_their_mind_is_charged_nothing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "cancel")]).await;
    let path = payment.location.strip_prefix(&shop.url).unwrap();
    assert!(path.starts_with("/checkout/cancel?"));
    assert!(buyer.page(path).await.contains("청구된 금액은 없습니다"));
    assert_eq!(buyer.status(&order).await, "pending");
}

#[tokio::test]
async fn a_refusal_is_explained_in_our_own_words() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "INVALID_STOPPED_CARD")]).await;
    let error = buyer.follow_back(&payment).await;
    assert_eq!(error, format!("/checkout/error?orderId={}&reason=declined", order.id));
    let page = buyer.page(&error).await;
    assert!(page.contains("청구된 금액은 없습니다") && page.contains(&format!("/checkout/{}", shop.product("mug"))));
    let forged = buyer.page("/checkout/error?orderId=x&reason=%3Cscript%3E&message=%3Cscript%3E&code=X").await;
    assert!(!forged.contains("<script>"));
}

#[tokio::test]
async fn pages_speak_the_language_of_the_reader() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    assert!(buyer.page("/").await.contains("<html lang=\"ko\">"));
    assert!(buyer.page("/?lang=en").await.contains("Products"));
    assert!(buyer.page("/").await.contains("<html lang=\"en\">"), "and remember it");
    assert!(buyer.page("/?lang=ko").await.contains("상품"));
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    assert_eq!(buyer.get(&format!("/checkout/{}", uuid::Uuid::nil())).await.status(), 404);
    let unknown = buyer.read("/api/pubsub/setup").await;
    assert_eq!((unknown.status, unknown.content_type.as_str()), (404, "application/problem+json"));
}
