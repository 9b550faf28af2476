//! Browsers that register for notifications.

use harness::OpenShop;
use serde_json::json;

const FIREBASE: [(&str, &str); 3] = [
    ("FIREBASE_CONFIG", sandbox::FIREBASE_CONFIG),
    ("FIREBASE_VAPID_KEY", sandbox::FIREBASE_VAPID_KEY),
    ("FIREBASE_REGISTRATION", "fid"),
];

#[tokio::test]
async fn a_page_tells_a_browser_all_that_it_needs_and_allows_no_more() {
    let shop = OpenShop::open_with(&FIREBASE).await;
    let buyer = shop.visitor().await;
    let answer = buyer.get("/").await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self' https://www.gstatic.com;"), "{policy}");
    let services = "https://firebaseinstallations.googleapis.com https://fcmregistrations.googleapis.com";
    assert!(policy.contains(&format!("connect-src 'self' {services};")), "{policy}");
    let page = answer.text().await.unwrap();
    for told in
        ["data-kind=\"fid\"", "data-vapid=\"sandbox\"", "jumun-sandbox", "이 기기에서 주문 알림 받기", "notify.js"]
    {
        assert!(page.contains(told), "{told} in {page}");
    }

    let worker = buyer.get("/firebase-messaging-sw.js").await;
    let policy = worker.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src https://www.gstatic.com;"), "{policy}");
    assert_eq!(worker.headers()["cache-control"], "no-cache");
    assert!(worker.text().await.unwrap().contains("firebase-messaging-compat.js"));

    let quiet = OpenShop::open().await;
    assert_eq!(quiet.nobody().get("/firebase-messaging-sw.js").await.status(), 404);
    assert!(!quiet.visitor().await.page("/").await.contains("notify.js"));
}

#[tokio::test]
async fn the_sandbox_has_the_scripts_of_both_ways() {
    let shop = OpenShop::open().await;
    let scripts = [
        ("firebase-app.js", "initializeApp"),
        ("firebase-messaging.js", "getToken"),
        ("firebase-messaging.js", "onRegistered"),
        ("firebase-app-compat.js", "firebase"),
        ("firebase-messaging-compat.js", "firebase"),
    ];
    for (name, holds) in scripts {
        let answer = shop.nobody().client().get(format!("{}/fcm/web/{name}", shop.sandbox_url())).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{name}");
        assert!(answer.text().await.unwrap().contains(holds), "{name}");
    }
}

#[tokio::test]
async fn a_notification_speaks_the_language_of_its_device_and_goes_where_its_owner_went() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    for (kind, token, locale) in [("token", "korean", "ko"), ("fid", "english", "en")] {
        let body = json!({"kind": kind, "token": token, "locale": locale});
        buyer.post("/api/messaging-tokens", &body).await.expect(204);
    }
    buyer.sign_in("jumun-kim", "/").await;
    buyer.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    let title = |token| shop.sandbox.notifications(token)[0].title.clone();
    assert_eq!(title("korean").as_deref(), Some("결제가 완료되었습니다"));
    assert_eq!(title("english").as_deref(), Some("Payment received"));

    let other = shop.visitor().await;
    other.post("/api/messaging-tokens", &json!({"kind": "fid", "token": "english", "locale": "ko"})).await.expect(204);
    other.buy(&[("mug", 1)]).await;
    buyer.buy(&[("mug", 1)]).await;
    shop.deliver_events().await;
    let shown = shop.sandbox.notifications("english");
    assert_eq!(shown.len(), 2, "the new owner's order alone");
    assert_eq!(shown[1].title.as_deref(), Some("결제가 완료되었습니다"), "in the new owner's language");
    assert_eq!(shop.sandbox.notifications("korean").len(), 2);
}
