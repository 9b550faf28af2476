//! Rate limits: only those who ask too often have to wait.

use harness::OpenShop;
use reqwest::Response;
use serde_json::json;

/// The proxy is the test itself, so that buyers can come from wherever it says.
const BEHIND_A_PROXY: &[(&str, &str)] = &[
    ("TRUSTED_PROXIES", "127.0.0.1"),
    ("RATE_CREATE", "3/1h"),
    ("RATE_CONFIRM", "2/1h"),
    ("RATE_POLL", "5/1h"),
    ("RATE_ADDRESS_FACTOR", "2"),
];

fn expect_patience(answer: &Response) {
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3_600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn one_buyer_is_held_to_a_rate_and_another_is_not() {
    let shop = OpenShop::open_with(&[("RATE_CREATE", "3/1h"), ("RATE_CONFIRM", "2/1h"), ("RATE_POLL", "5/1h")]).await;
    let (eager, calm) = (shop.visitor().await, shop.visitor().await);
    let order = eager.place_order(&[("mug", 1)]).await;
    for quantity in 2..4 {
        eager.place_order(&[("mug", quantity)]).await;
    }
    for spoofed in ["203.0.113.1", "203.0.113.2"] {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("x-forwarded-for", spoofed)];
        let basket = serde_json::to_vec(&eager.basket(&[("mug", 9)])).unwrap();
        expect_patience(&eager.send("POST", "/api/orders", &headers, &basket).await);
    }

    let path = format!("/api/orders/{}", order.id);
    for _ in 0..5 {
        eager.read(&path).await.expect(200);
    }
    expect_patience(&eager.get(&path).await);

    let payment = eager.authenticate(&order).await;
    let tampered = json!({"paymentKey": payment.payment_key, "orderId": order.id, "amount": 1});
    for _ in 0..2 {
        eager.post("/api/payments/confirm", &tampered).await.expect_problem(422, "amount-mismatch");
    }
    eager.post("/api/payments/confirm", &tampered).await.expect_problem(429, "too-many-requests");
    expect_patience(&eager.get(payment.location.strip_prefix(&shop.url).unwrap()).await);
    assert_eq!(shop.sandbox.confirm_calls(&order.id), 0);

    calm.buy(&[("mug", 1)]).await;
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 4);
}

#[tokio::test]
async fn throwing_the_cookie_away_does_not_help() {
    let shop = OpenShop::open_with(BEHIND_A_PROXY).await;
    let basket = serde_json::to_vec(&shop.nobody().basket(&[("mug", 1)])).unwrap();
    let order = async |from: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("x-forwarded-for", from)];
        shop.nobody().send("POST", "/api/orders", &headers, &basket).await
    };
    for n in 0..6 {
        // What stands left of the proxy's own word was written by the client.
        assert_eq!(order(&format!("192.0.2.{n}, 203.0.113.1")).await.status(), 201, "{n}");
    }
    expect_patience(&order("192.0.2.99, 203.0.113.1").await);
    assert_eq!(order("203.0.113.2").await.status(), 201, "another address");
    for n in 0..6 {
        assert_eq!(order(&format!("2001:db8::{n}")).await.status(), 201);
    }
    expect_patience(&order("2001:db8::abcd:1").await);
}

#[tokio::test]
async fn a_made_up_cookie_does_not_help_either() {
    let shop = OpenShop::open_with(BEHIND_A_PROXY).await;
    let visit = async |n: u32, from: &str| {
        let cookie = format!("sid={n:064x}");
        shop.nobody().send("GET", "/", &[("cookie", &*cookie), ("x-forwarded-for", from)], b"").await
    };
    for n in 0..10 {
        assert_eq!(visit(n, "203.0.113.1").await.status(), 200, "{n}");
    }
    expect_patience(&visit(11, "203.0.113.1").await);
    assert_eq!(shop.count("SELECT count(*) FROM sessions").await, 10, "nothing is written for whoever is too fast");
    assert_eq!(visit(12, "203.0.113.2").await.status(), 200, "another address");
}

#[tokio::test]
async fn a_buyer_who_never_pays_is_asked_to() {
    let shop = OpenShop::open_with(&[("OPEN_ORDERS_PER_BUYER", "3")]).await;
    let (hoarder, other) = (shop.visitor().await, shop.visitor().await);
    let first = hoarder.place_order(&[("mug", 1)]).await;
    let second = hoarder.place_order(&[("mug", 2)]).await;
    let deposit = hoarder.authenticate_by(&second, &[("choice", "virtual-account")]).await;
    hoarder.confirm(&deposit).await.expect(200);
    assert_eq!(hoarder.status(&second).await, "awaiting_deposit");
    hoarder.place_order(&[("mug", 3)]).await;

    let fourth = hoarder.basket(&[("mug", 4)]);
    hoarder.post("/api/orders", &fourth).await.expect_problem(409, "too-many-open-orders");
    assert_eq!(hoarder.place_order(&[("mug", 1)]).await.id, first.id, "what is open already may be asked for again");
    other.place_order(&[("mug", 4)]).await;

    hoarder.confirm(&hoarder.authenticate(&first).await).await.expect(200);
    hoarder.post("/api/orders", &fourth).await.expect(201);
    hoarder.post("/api/orders", &hoarder.basket(&[("mug", 5)])).await.expect_problem(409, "too-many-open-orders");
    assert_eq!(shop.stock("mug").await, (100, 3), "unpaid orders hold nothing, the deposit and the sale do");
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn one_order_holds_only_so_many_of_a_product() {
    let shop = OpenShop::open().await;
    let hoarder = shop.visitor().await;
    let refused = hoarder.post("/api/orders", &hoarder.basket(&[("mug", 1), ("poster", 100)])).await;
    assert_eq!((refused.body["most"].as_i64(), refused.body["field"].as_str()), (Some(99), Some("items")));
    refused.expect_problem(422, "too-many-pieces");
    hoarder.post("/api/orders", &hoarder.basket(&[("poster", 99)])).await.expect(201);

    shop.execute(&format!("UPDATE products SET max_per_order = 2 WHERE id = '{}'", shop.product("mug"))).await;
    hoarder.post("/api/orders", &hoarder.basket(&[("mug", 3)])).await.expect_problem(422, "too-many-pieces");
    let page = hoarder.page(&format!("/checkout/{}", shop.product("mug"))).await;
    assert!(page.contains("max=\"2\""), "{page}");
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 1);
}

#[tokio::test]
async fn webhooks_and_guessed_admin_tokens_are_counted_by_address() {
    let shop =
        OpenShop::open_with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("RATE_WEBHOOK", "2/1h"), ("RATE_ADMIN", "3/1h")])
            .await;
    let from = |address: &str| [("x-forwarded-for", address.to_owned())];
    for n in 0..2 {
        assert_eq!(shop.forge_with(format!("{n}"), &from("203.0.113.1")).await.status(), 200);
    }
    expect_patience(&shop.forge_with("3", &from("203.0.113.1")).await);
    assert_eq!(shop.forge_with("3", &from("203.0.113.2")).await.status(), 200, "another address");
    assert_eq!(shop.count("SELECT count(*) FROM webhook_inbox").await, 3);

    let path = format!("/admin/api/orders/{}/refunds", uuid::Uuid::new_v4());
    let guess = async |method: &str, address: &'static str| {
        let headers = [("authorization", "Bearer a guess of the right length"), ("x-forwarded-for", address)];
        shop.nobody().send(method, &path, &headers, b"{}").await
    };
    for method in ["GET", "POST", "GET"] {
        assert_eq!(guess(method, "203.0.113.1").await.status(), 401);
    }
    expect_patience(&guess("POST", "203.0.113.1").await);
    expect_patience(&guess("GET", "203.0.113.1").await);
    assert_eq!(guess("GET", "203.0.113.2").await.status(), 401, "another address");
}
