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
    let email = |email: &str| json!({"items": [{"productId": mug, "quantity": 1}], "customerEmail": email});
    let (quantity, pieces) = ("items[0].quantity", "a quantity is a whole number from 1 to 9999");
    let twice = format!("items: product {mug} is listed twice; ask for the sum in one line");
    let cases = [
        (item(json!(0)), quantity, pieces),
        (item(json!(-1)), quantity, pieces),
        (item(json!(1.5)), quantity, "expected a whole number"),
        (item(json!(1_000_000_000)), quantity, pieces),
        (item(json!("1")), quantity, "expected a whole number"),
        (json!({"items": []}), "items", "items: an order needs at least one line"),
        (json!({"items": vec![json!({"productId": mug, "quantity": 1}); 2]}), "items", &twice),
        (
            json!({"items": vec![json!({"productId": mug, "quantity": 1}); 101]}),
            "items",
            "items: an order has at most 100 lines",
        ),
        (
            json!({"items": [{"productId": uuid::Uuid::nil(), "quantity": 1}]}),
            "items",
            "items: no product 00000000-0000-0000-0000-000000000000",
        ),
        (json!({"items": [{"productId": "mug", "quantity": 1}]}), "items[0].productId", "expected a UUID"),
        (
            json!({"items": [{"productId": mug, "quantity": 1, "price": 1}]}),
            "items[0].price",
            "is not known; expected productId, quantity",
        ),
        (
            json!({"items": [{"productId": mug, "quantity": 1}], "amount": 1}),
            "amount",
            "is not known; expected items, customerEmail, expectedAmount",
        ),
        (json!({"items": [{"productId": mug}]}), quantity, "is required"),
        (email("nul\u{0}@example.com"), "customerEmail", "must not hold a NUL character"),
        (email("not an address"), "customerEmail", "customerEmail: expected an e-mail address"),
        (json!({}), "items", "is required"),
        // What serde itself would take for an order of two mugs.
        (json!([[[mug, 2]], null, null]), "", "expected a JSON object"),
        (json!({"items": [[mug, 2]]}), "items[0]", "expected a JSON object"),
        (json!([]), "", "expected a JSON object"),
        (Value::Null, "", "expected a JSON object"),
    ];
    for (body, field, detail) in cases {
        let answer = buyer.post("/api/orders", &body).await;
        let said = |name: &str| answer.body[name].as_str().unwrap_or_default();
        assert_eq!(answer.status, 422, "{body}: {}", answer.body);
        assert_eq!((said("code"), said("field"), said("detail")), ("invalid-request", field, detail), "{body}");
        assert_eq!(answer.content_type, "application/problem+json");
    }
    let key = "x".repeat(256);
    buyer.post_with_key("/api/orders", &item(json!(1)), &key).await.expect_problem(400, "idempotency-key-invalid");
    let json = ("content-type", "application/json");
    for (keys, code) in [
        (vec![json], "idempotency-key-missing"),
        (vec![json, ("idempotency-key", "a"), ("idempotency-key", "b")], "idempotency-key-invalid"),
        (vec![json, ("idempotency-key", "키")], "idempotency-key-invalid"),
    ] {
        let answer = buyer.send("POST", "/api/orders", &keys, item(json!(1)).to_string().as_bytes()).await;
        assert_eq!(answer.status(), 400, "{keys:?}");
        assert!(answer.text().await.unwrap().contains(code), "{keys:?}");
    }
    let huge = json!({"items": [], "customerEmail": "x".repeat(20_000)});
    let refusal = buyer.post("/api/orders", &huge).await;
    assert_eq!((refusal.status, &refusal.body["detail"]), (413, &json!("this route takes at most 16 KiB")));
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
async fn every_refusal_has_a_code_and_people_are_told_by_a_page() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    for (method, path, status, code) in [
        ("GET", "/api/nothing", 404, "not-found"),
        ("PUT", "/api/orders", 405, "method-not-allowed"),
        ("POST", "/api/orders", 415, "unsupported-media-type"),
        ("GET", "/api/stock/events", 422, "invalid-request"),
    ] {
        let own = [("sec-fetch-site", "same-origin")];
        let answer = buyer.send(method, path, &own, b"").await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers().contains_key("allow")),
            (status, status == 405),
            "{path}"
        );
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], code, "{method} {path}");
        let page = buyer.send(method, path, &[own[0], ("accept", "text/html")], b"").await;
        assert_eq!(page.status(), status);
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{method} {path}");
    }
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
