//! What is not yours is not there; what is not well-formed changes nothing.

use chrono::TimeDelta;
use harness::{Authenticated, OpenShop, Placed};
use sandbox::Endpoint;
use serde_json::{Value, json};

#[tokio::test]
async fn a_strangers_order_is_no_order() {
    let shop = OpenShop::open().await;
    let owner = shop.visitor().await;
    let order = owner.place_order(&[("mug", 1)]).await;
    let payment = owner.authenticate(&order).await;
    let path = format!("/api/orders/{}", order.id);

    for stranger in [shop.visitor().await, shop.nobody()] {
        assert_eq!(stranger.read(&path).await.status, 404);
        assert_eq!(stranger.post(&format!("{path}/cancel"), &Value::Null).await.status, 404);
        assert_eq!(stranger.confirm(&payment).await.status, 404);
        let page = stranger.get(&format!("/checkout/success?orderId={}", order.id)).await;
        assert_eq!(page.status(), 404);
    }
    assert_eq!(shop.sandbox.confirm_calls(&order.id), 0);
    assert_eq!(owner.status(&order).await, "pending");
}

#[tokio::test]
async fn my_payment_key_does_not_pay_your_order() {
    let shop = OpenShop::open().await;
    let (thief, victim) = (shop.visitor().await, shop.visitor().await);
    let cheap = thief.authenticate(&thief.place_order(&[("poster", 1)]).await).await;
    let dear = thief.place_order(&[("rare", 1)]).await;
    let swapped = Authenticated { window_id: dear.window_id.clone(), amount: dear.amount, ..cheap.clone() };
    thief.confirm(&swapped).await.expect_problem(402, "payment-declined");
    assert_eq!((shop.sandbox.totals().kept, thief.status(&dear).await.as_str()), (0, "pending"));
    assert_eq!(shop.stock("rare").await, (5, 0), "what nobody can pay by that window is for others");

    let own = victim.place_order(&[("poster", 1)]).await;
    let stolen = Authenticated { window_id: own.window_id.clone(), ..cheap };
    assert_eq!(victim.confirm(&stolen).await.status, 404, "that key is another order's");
    assert_eq!(victim.status(&own).await, "pending");

    let honest = thief
        .authenticate(&Placed::from(
            thief.post(&format!("/api/orders/{}/pay", dear.id), &Value::Null).await.expect(200),
        ))
        .await;
    thief.confirm(&honest).await.expect(200);
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_window_opened_for_less_holds_no_goods() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("rare", 5)]).await;
    let cheap = buyer.authenticate(&Placed { amount: 100, ..order.clone() }).await;
    // The confirm does not get through: only the reconciler hears that the provider refuses it.
    shop.spoil(Endpoint::Confirm, "before-500", 1);
    assert_eq!(buyer.confirm(&Authenticated { amount: order.amount, ..cheap }).await.status, 202);
    assert_eq!(shop.stock("rare").await, (5, 5));
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("rare").await), ("pending", (5, 0)));

    let again = Placed::from(buyer.post(&format!("/api/orders/{}/pay", order.id), &Value::Null).await.expect(200));
    let cheap = buyer.authenticate(&Placed { amount: 100, ..again }).await;
    shop.spoil(Endpoint::Confirm, "before-500", 1_000); // nobody hears anything until the window is over
    assert_eq!(buyer.confirm(&Authenticated { amount: order.amount, ..cheap }).await.status, 202);
    shop.wait(TimeDelta::minutes(20)).await;
    shop.reconcile().await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("rare").await), ("pending", (5, 0)));
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_made_up_key_holds_no_stock() {
    let shop = OpenShop::open().await;
    for spoiled in [false, true] {
        let nobody = shop.visitor().await;
        let all = nobody.place_order(&[("rare", 5)]).await;
        let made_up = Authenticated {
            payment_key: format!("made-up-{spoiled}"),
            window_id: all.window_id.clone(),
            amount: all.amount,
            location: String::new(),
        };
        if spoiled {
            // Silence proves nothing: the confirm may be on its way. The reconciler's is answered.
            shop.spoil(Endpoint::Confirm, "before-500", 1);
            assert_eq!(nobody.confirm(&made_up).await.status, 202);
            assert_eq!(shop.stock("rare").await, (5, 5));
            shop.reconcile().await;
        } else {
            nobody.confirm(&made_up).await.expect_problem(402, "payment-declined");
        }
        assert_eq!((nobody.status(&all).await.as_str(), shop.stock("rare").await), ("pending", (5, 0)));
    }
    shop.visitor().await.buy(&[("rare", 5)]).await;
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn a_malformed_order_is_refused_by_name() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let mug = shop.product("mug").to_string();
    let item = |quantity: Value| json!({"items": [{"productId": mug, "quantity": quantity}]});
    let cases = [
        item(json!(0)),
        item(json!(-1)),
        item(json!(1.5)),
        item(json!(1_000_000_000)),
        item(json!("1")),
        json!({"items": []}),
        json!({"items": vec![json!({"productId": mug, "quantity": 1}); 2]}),
        json!({"items": vec![json!({"productId": mug, "quantity": 1}); 101]}),
        json!({"items": [{"productId": uuid::Uuid::nil(), "quantity": 1}]}),
        json!({"items": [{"productId": "mug", "quantity": 1}]}),
        json!({"items": [{"productId": mug, "quantity": 1, "price": 1}]}),
        json!({"items": [{"productId": mug, "quantity": 1}], "amount": 1}),
        json!({"items": [{"productId": mug, "quantity": 1}], "customerEmail": "nul\u{0}@example.com"}),
        json!({"items": [{"productId": mug, "quantity": 1}], "customerEmail": "not an address"}),
        json!({}),
        json!([]),
        Value::Null,
    ];
    for body in cases {
        let answer = buyer.post("/api/orders", &body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        assert_eq!(answer.content_type, "application/problem+json");
    }
    let key = "x".repeat(256);
    buyer.post_with_key("/api/orders", &item(json!(1)), &key).await.expect_problem(400, "idempotency-key-missing");
    let huge = json!({"items": [], "customerEmail": "x".repeat(20_000)});
    assert_eq!(buyer.post("/api/orders", &huge).await.status, 413);
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 0);
}

#[tokio::test]
async fn a_malformed_confirm_changes_nothing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let good = json!({"paymentKey": "key", "orderId": order.id, "amount": order.amount});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    for body in [
        with("amount", json!("15000")),
        with("amount", json!(-15_000)),
        with("amount", json!(15_000.5)),
        with("paymentKey", json!("")),
        with("paymentKey", json!("a b")),
        with("paymentKey", json!("k\u{0}")),
        with("paymentKey", json!("k".repeat(201))),
        with("orderId", json!("order")),
        with("orderId", json!(format!("{}-1", order.id))),
        with("status", json!("DONE")),
    ] {
        assert_eq!(buyer.post("/api/payments/confirm", &body).await.status, 422, "{body}");
    }
    for query in ["", "?orderId=x&paymentKey=k&amount=1", "?paymentKey=k&amount=1e9", "?orderId=&paymentKey=&amount="] {
        let status = buyer.get(&format!("/api/checkout/callback{query}")).await.status();
        assert!(status == 422, "{query}: {status}");
    }
    assert_eq!((shop.sandbox.total_requests(), buyer.status(&order).await.as_str()), (0, "pending"));
}

#[tokio::test]
async fn one_key_asks_for_one_thing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let first = buyer.post_with_key("/api/orders", &buyer.basket(&[("mug", 1)]), "key").await.expect(201);
    let again = buyer.post_with_key("/api/orders", &buyer.basket(&[("mug", 1)]), "key").await.expect(201);
    assert_eq!(first, again);
    let other = buyer.post_with_key("/api/orders", &buyer.basket(&[("mug", 2)]), "key").await;
    other.expect_problem(422, "idempotency-key-reused");
    let neighbor = shop.visitor().await;
    let theirs = neighbor.post_with_key("/api/orders", &buyer.basket(&[("mug", 2)]), "key").await.expect(201);
    assert_ne!(theirs["orderId"], first["orderId"], "keys are each buyer's own");
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 2);
}
