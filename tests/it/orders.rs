//! Orders that are not paid.

use chrono::TimeDelta;
use harness::OpenShop;
use serde_json::{Value, json};

#[tokio::test]
async fn an_unpaid_order_is_canceled_and_stays_so() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let path = format!("/api/orders/{}/cancel", order.id);
    assert_eq!(buyer.post(&path, &Value::Null).await.expect(200)["status"], "canceled");
    buyer.post(&path, &Value::Null).await.expect_problem(409, "wrong-state");
    let payment = buyer.authenticate(&order).await;
    buyer.confirm(&payment).await.expect_problem(409, "wrong-state");
    assert_eq!(shop.sandbox.totals().kept, 0);
    let next = buyer.place_order(&[("mug", 1)]).await;
    assert_ne!(next.id, order.id);
}

#[tokio::test]
async fn a_paid_order_is_not_canceled() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.buy(&[("mug", 1)]).await;
    buyer.post(&format!("/api/orders/{}/cancel", order.id), &Value::Null).await.expect_problem(409, "wrong-state");
    assert_eq!(buyer.status(&order).await, "paid");
}

#[tokio::test]
async fn an_order_is_not_paid_after_its_time() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.wait(TimeDelta::minutes(61)).await;
    buyer.confirm(&payment).await.expect_problem(409, "order-expired");
    assert_eq!(database::orders::expire(&shop.acting_as(database::Role::Checkout).await, 500).await.unwrap(), 1);
    assert_eq!(buyer.status(&order).await, "expired");
    assert_eq!(shop.sandbox.totals().kept, 0);
    shop.verify().await;
}

#[tokio::test]
async fn a_price_that_moved_is_asked_about_and_never_changes_an_order() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    shop.execute("UPDATE products SET price = 16000 WHERE name = 'mug'").await;

    let mut basket = buyer.basket(&[("mug", 2)]);
    basket["expectedAmount"] = json!(30_000);
    buyer.post("/api/orders", &basket).await.expect_problem(409, "price-changed");
    basket["expectedAmount"] = json!(32_000);
    assert_eq!(buyer.post("/api/orders", &basket).await.expect(201)["amount"], 32_000);

    buyer.confirm(&buyer.authenticate(&order).await).await.expect(200);
    assert_eq!(shop.sandbox.money_taken(&order.id), 15_000, "what the buyer agreed to");
}

#[tokio::test]
async fn an_order_shows_what_was_bought() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.buy(&[("mug", 2), ("poster", 1)]).await;
    let shown = buyer.read(&format!("/api/orders/{}", order.id)).await.expect(200);
    assert_eq!(
        (&shown["status"], &shown["amount"], &shown["currency"]),
        (&json!("paid"), &json!(39_000), &json!("KRW"))
    );
    assert_eq!(shown["items"].as_array().unwrap().len(), 2);
    assert_eq!(shown["payment"]["method"], "카드");
    assert!(!shown.to_string().contains("paymentKey"));

    let products = buyer.read("/api/products").await.expect(200);
    let mug = products["products"].as_array().unwrap().iter().find(|product| product["name"] == "mug").unwrap().clone();
    assert_eq!((&mug["price"], &mug["available"], &mug["soldOut"]), (&json!(15_000), &json!(98), &json!(false)));
    let alone = buyer.read(&format!("/api/products/{}", shop.product("mug"))).await.expect(200);
    assert_eq!(alone, mug);
    assert_eq!(buyer.read(&format!("/api/products/{}", uuid::Uuid::nil())).await.status, 404);
}
