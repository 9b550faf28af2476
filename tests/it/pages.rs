//! The pages, followed as a browser follows them.

use chrono::TimeDelta;
use harness::{Buyer, OpenShop};
use sandbox::Endpoint;
use serde_json::json;

/// The page of an address, as a browser asks for it: whatever comes of it is a page.
async fn seen(buyer: &Buyer, path: &str) -> (u16, String) {
    let answer = buyer.send("GET", path, &[("accept", "text/html,*/*;q=0.8")], b"").await;
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
    (answer.status().as_u16(), answer.text().await.unwrap())
}

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

/// What a page about an order has to say, in Korean and in English, and what it must not offer.
async fn stands(buyer: &Buyer, order: &str, state: &str, says: [&str; 2], offers: &[&str]) {
    let ways = [("/pay\"", "pay"), ("/cancel\"", "cancel"), ("/checkout/01", "again"), ("data-watch=", "watch")];
    for (language, words) in ["ko", "en"].into_iter().zip(says) {
        for path in
            [format!("/orders/{order}?lang={language}"), format!("/checkout/success?orderId={order}&lang={language}")]
        {
            let (status, page) = seen(buyer, &path).await;
            assert_eq!(status, 200, "{path}");
            assert!(page.contains(&format!("data-state=\"{state}\"")), "{path} shows {state}: {page}");
            assert!(page.contains(words), "{path} says {words}: {page}");
            assert!(!page.contains("{$") && !page.contains("{ $"), "{path} lacks a value");
            assert!(page.len() < 50_000, "{path} is small");
            let main = page.split("<main").nth(1).unwrap();
            assert!(main.contains("class=\"button"), "{path} leads on");
            for (sign, way) in ways.iter().filter(|_| path.starts_with("/orders/")) {
                assert_eq!(main.contains(sign), offers.contains(way), "{way} on {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_state_says_what_the_buyer_can_do_next() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;

    let order = buyer.place_order(&[("mug", 1)]).await;
    stands(&buyer, &order.id, "pending", ["결제할 수 있습니다", "You can pay until"], &["pay", "cancel"]).await;
    let declined = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    buyer.follow_back(&declined).await;
    stands(&buyer, &order.id, "pending", ["한도를 넘었거나", "over your limit"], &["pay", "cancel"]).await;
    let cancel = format!("/orders/{}/cancel", order.id);
    assert_eq!(buyer.send("POST", &cancel, &[("sec-fetch-site", "same-origin")], b"").await.status(), 303);
    stands(&buyer, &order.id, "canceled", ["취소된 주문", "was canceled"], &["again"]).await;

    let order = buyer.place_order(&[("mug", 1)]).await;
    shop.spoil(Endpoint::Confirm, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "before-500", 1);
    let payment = buyer.authenticate(&order).await;
    buyer.follow_back(&payment).await;
    stands(&buyer, &order.id, "confirming", ["다시 결제하지 마세요", "do not pay again"], &["watch"]).await;
    assert!(
        seen(&buyer, &format!("/orders/{}", order.id)).await.1.contains("http-equiv=\"refresh\""),
        "without scripts"
    );
    shop.reconcile().await;
    stands(&buyer, &order.id, "paid", ["결제가 완료되었습니다", "Payment received"], &[]).await;
    assert!(seen(&buyer, &format!("/orders/{}?lang=ko", order.id)).await.1.contains("영수증 보기"));
    shop.deliver_events().await;

    let people = shop.operator();
    people.refund(&order.id, json!({"amount": 5_000})).await.expect(201);
    stands(&buyer, &order.id, "paid", ["₩5,000이 환불되었습니다", "₩5,000 went back"], &[]).await;
    shop.spoil(Endpoint::Cancel, "answer-lost", 1);
    shop.spoil(Endpoint::Query, "before-500", 1);
    people.refund(&order.id, json!({})).await.expect(202);
    stands(&buyer, &order.id, "refunding", ["환불을 처리하고 있습니다", "under way"], &["watch"]).await;
    shop.reconcile().await;
    stands(&buyer, &order.id, "refunded", ["모두 돌려드렸습니다", "All that you paid went back"], &[]).await;
    let (_, page) = seen(&buyer, &format!("/orders/{}?lang=ko", order.id)).await;
    assert!(page.contains("₩10,000 환불을 시작했습니다") && page.contains("고객 변심"), "{page}");

    let order = buyer.place_order(&[("mug", 2)]).await;
    buyer.follow_back(&buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await).await;
    stands(&buyer, &order.id, "awaiting_deposit", ["기한까지 입금해 주세요", "Please transfer"], &["watch"]).await;
    let (_, page) = seen(&buyer, &format!("/checkout/success?orderId={}&lang=ko", order.id)).await;
    assert!(page.contains("은행</dd>") && page.contains("id=\"account\"") && page.contains("₩30,000"), "{page}");
    shop.wait(TimeDelta::days(8)).await;
    stands(&buyer, &order.id, "awaiting_deposit", ["지금은 입금하지 마세요", "do not transfer now"], &["watch"]).await;

    let order = buyer.place_order(&[("poster", 1)]).await;
    shop.wait(TimeDelta::minutes(61)).await;
    stands(&buyer, &order.id, "pending", ["결제 시간이 지난", "is over"], &["again"]).await;
    database::orders::expire(&shop.db, 500).await.unwrap();
    stands(&buyer, &order.id, "expired", ["결제 시간이 지난", "is over"], &["again"]).await;

    let (_, list) = seen(&buyer, "/orders?lang=ko").await;
    for status in ["취소", "환불 완료", "입금 대기", "시간 초과"] {
        assert!(list.contains(&format!(">{status}</span>")), "{status} in {list}");
    }
}

#[tokio::test]
async fn a_buyer_who_changes_their_mind_is_charged_nothing_and_keeps_the_order() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "cancel")]).await;
    let path = payment.location.strip_prefix(&shop.url).unwrap();
    assert!(path.starts_with(&format!("/checkout/cancel?order={}&code=", order.id)), "{path}");
    let page = buyer.page(path).await;
    assert!(page.contains("결제를 취소했습니다") && page.contains(&format!("/orders/{}/pay", order.id)), "{page}");
    assert_eq!(buyer.status(&order).await, "pending");

    let pay = buyer.page(&format!("/orders/{}/pay", order.id)).await;
    assert!(pay.contains("data-amount=\"15000\"") && pay.contains("/toss/v2/standard"), "{pay}");
    let window = buyer.post(&format!("/api/orders/{}/pay", order.id), &json!({})).await.expect(200);
    assert_eq!((&window["orderId"], &window["amount"]), (&json!(order.id), &json!(15_000)), "the same order");
    let success = buyer.follow_back(&buyer.authenticate(&window.into()).await).await;
    assert_eq!(success, format!("/checkout/success?orderId={}", order.id));
    buyer.post(&format!("/api/orders/{}/pay", order.id), &json!({})).await.expect_problem(409, "wrong-state");

    // The back button, after paying: every page of the order leads to what is so.
    for old in [path.to_owned(), format!("/checkout/error?orderId={}&reason=declined", order.id)] {
        let answer = buyer.get(&old).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (303, success.as_str()));
    }
    let answer = buyer.get(&format!("/orders/{}/pay", order.id)).await;
    assert_eq!(answer.headers()["location"].to_str().unwrap(), format!("/orders/{}", order.id));
}

#[tokio::test]
async fn two_tabs_pay_once() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let (one, two) = (buyer.place_order(&[("mug", 1)]).await, buyer.place_order(&[("mug", 1)]).await);
    assert_eq!(one.id, two.id, "the same unpaid cart");
    let (first, second) = (buyer.authenticate(&one).await, buyer.authenticate(&two).await);
    let success = buyer.follow_back(&first).await;
    let told = buyer.follow_back(&second).await;
    assert_eq!(told, format!("/checkout/error?orderId={}&reason=wrong-state", one.id));
    let answer = buyer.get(&told).await;
    assert_eq!(answer.headers()["location"].to_str().unwrap(), success, "which is what the second tab shows");
    assert_eq!(shop.sandbox.totals().kept, 15_000);
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
    assert!(page.contains("정지되었거나 분실 신고된 카드입니다") && page.contains("청구된 금액은 없습니다"), "{page}");
    assert!(page.contains(&format!("/orders/{}/pay", order.id)), "another try keeps the order");
    let evil = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for forged in [
        format!("/checkout/error?orderId={evil}&reason={evil}&message={evil}&code={evil}"),
        format!("/checkout/cancel?order={evil}&code={evil}&message={evil}&orderId={evil}"),
    ] {
        let (status, page) = seen(&buyer, &forged).await;
        assert_eq!(status, 200);
        assert!(!page.contains("<script>alert") && !page.contains("alert(1)</"), "{page}");
    }
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
    let unknown = buyer.read("/api/pubsub/setup").await;
    assert_eq!((unknown.status, unknown.content_type.as_str()), (404, "application/problem+json"));
    let nobody = uuid::Uuid::nil();
    for path in [
        format!("/checkout/{nobody}"),
        "/checkout/x".to_owned(),
        format!("/orders/{nobody}"),
        format!("/orders/{nobody}/pay"),
        format!("/checkout/success?orderId={nobody}"),
        "/no/such/page".to_owned(),
    ] {
        let (status, page) = seen(&buyer, &path).await;
        assert_eq!(status, 404, "{path}");
        assert!(page.contains("<main") && page.contains("href=\"/orders\""), "{path}: {page}");
    }
    assert_eq!(seen(&buyer, "/checkout/success").await.0, 422);
    // Programs are told as programs are.
    assert_eq!(buyer.read("/no/such/page").await.content_type, "application/problem+json");
}

#[tokio::test]
async fn a_strangers_order_has_no_page() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    for stranger in [shop.visitor().await, shop.nobody()] {
        for path in ["", "/pay"] {
            assert_eq!(seen(&stranger, &format!("/orders/{}{path}", order.id)).await.0, 404);
        }
        let cancel = format!("/orders/{}/cancel", order.id);
        stranger.send("POST", &cancel, &[("sec-fetch-site", "same-origin")], b"").await;
        assert_eq!(stranger.post(&format!("/api/orders/{}/pay", order.id), &json!({})).await.status, 404);
        assert!(!seen(&stranger, "/orders").await.1.contains(&order.id));
    }
    assert_eq!(buyer.status(&order).await, "pending");
}
