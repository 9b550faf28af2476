//! What a browser may ask for, and what it is told.

use harness::OpenShop;

/// Every route of the buyers' API that changes something.
const CHANGES: [(&str, &str); 10] = [
    ("POST", "/api/orders"),
    ("POST", "/checkout/{mug}"),
    ("POST", "/api/orders/{id}/pay"),
    ("POST", "/orders/{id}/cancel"),
    ("POST", "/api/orders/{id}/cancel"),
    ("POST", "/api/payments/confirm"),
    ("POST", "/api/messaging-tokens"),
    ("DELETE", "/api/messaging-tokens"),
    ("POST", "/sign-out"),
    ("POST", "/api/csp-reports"),
];

#[tokio::test]
async fn another_site_changes_nothing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let json = ("content-type", "application/json");
    let foreign = [
        vec![("origin", "https://evil.example"), json],
        vec![("origin", "null"), json],
        vec![("sec-fetch-site", "cross-site"), json],
        vec![("sec-fetch-site", "same-site"), ("origin", shop.url.as_str()), json],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("content-type", "text/plain")],
        vec![],
    ];
    for (method, path) in CHANGES {
        let path = path.replace("{id}", &order.id).replace("{mug}", &shop.product("mug").to_string());
        for headers in &foreign {
            let answer = buyer.send(method, &path, headers, b"{}").await;
            // A program with a cookie that does not say what it sends is no foreign page, and is told what is missing.
            let says_where = headers.iter().any(|(name, _)| ["origin", "sec-fetch-site"].contains(name));
            let expected = if says_where { 403 } else { 415 };
            assert_eq!(answer.status(), expected, "{method} {path} {headers:?}");
        }
    }
    assert_eq!(buyer.status(&order).await, "pending");

    // Whoever was led here by a foreign page's form is told so by a page.
    let form = [("origin", "null"), ("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded")];
    let answer = buyer.send("POST", &format!("/orders/{}/cancel", order.id), &form, b"").await;
    assert_eq!(answer.status(), 403);
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().contains("form-action 'self'"));
    assert!(answer.text().await.unwrap().contains("다른 사이트에서 보낸 요청입니다"));
    assert_eq!(buyer.status(&order).await, "pending");

    let own = [("origin", shop.url.as_str()), json, ("idempotency-key", "k")];
    let basket = serde_json::to_vec(&buyer.basket(&[("poster", 1)])).unwrap();
    assert_eq!(buyer.send("POST", "/api/orders", &own, &basket).await.status(), 201);
    let own_form = [("origin", shop.url.as_str()), ("content-type", "text/plain")];
    assert_eq!(buyer.send("POST", "/api/orders", &own_form, &basket).await.status(), 415);
    assert_eq!(shop.count("SELECT count(*) FROM orders").await, 2);
}

#[tokio::test]
async fn reading_changes_nothing() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.buy(&[("mug", 1)]).await;
    let tables = "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM payments) + (SELECT count(*) FROM sessions)
        + (SELECT count(*) FROM outbox) + (SELECT count(*) FROM idempotency_keys) + (SELECT coalesce(sum(reserved), 0) FROM stock)";
    let before = shop.count(tables).await;
    for path in pages(&shop, &order.id) {
        buyer.get(&path).await;
    }
    assert_eq!(shop.count(tables).await, before);
}

fn pages(shop: &OpenShop, order: &str) -> Vec<String> {
    let mug = shop.product("mug");
    [
        "/".to_owned(),
        format!("/checkout/{mug}"),
        format!("/checkout/{}", uuid::Uuid::nil()),
        format!("/checkout/success?orderId={order}"),
        "/orders".to_owned(),
        format!("/orders/{order}"),
        format!("/orders/{order}/pay"),
        format!("/orders/{}", uuid::Uuid::nil()),
        "/checkout/error?reason=declined".to_owned(),
        "/checkout/cancel".to_owned(),
        "/assets/checkout.js".to_owned(),
        "/assets/shop.css".to_owned(),
        "/api/products".to_owned(),
        format!("/api/products/{mug}"),
        format!("/api/orders/{order}"),
        "/api/nothing".to_owned(),
        "/api/checkout/callback?paymentKey=k&orderId=x&amount=1".to_owned(),
        format!("/api/checkout/callback/{:064}?paymentKey=k&orderId={order}&amount=1", 0),
    ]
    .into()
}

#[tokio::test]
async fn every_answer_says_what_it_may_load() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let page = |script: &str, toss: &str, style: &str| {
        let frames = if toss.is_empty() { " 'none'" } else { toss };
        format!(
            "default-src 'none'; script-src 'self'{script}; frame-src{frames}; connect-src 'self'{toss}; \
             style-src 'self'{style}; img-src 'self' data: https:; form-action 'self'{toss}; \
             frame-ancestors 'none'; base-uri 'none'; report-uri /api/csp-reports"
        )
    };
    let own = format!(" {}", shop.sandbox_url());
    let (plain, widget) = (page("", "", ""), page(&own, &own, " 'unsafe-inline'"));
    let with_widget = [format!("/checkout/{}", shop.product("mug")), format!("/orders/{}/pay", order.id)];
    let nothing = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    for path in pages(&shop, &order.id) {
        let answer = buyer.get(&path).await;
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        let is_page = header("content-type").starts_with("text/html");
        assert_eq!(is_page, ["/checkout", "/orders"].iter().any(|it| path.starts_with(it)) || path == "/", "{path}");
        let policy = if with_widget.contains(&path) { &widget } else { &plain };
        let (policy, opener) = if is_page { (policy.as_str(), "same-origin-allow-popups") } else { (nothing, "") };
        // Our own forms are to say where they come from.
        let referrer = if is_page { "same-origin" } else { "no-referrer" };
        let cached = if path.starts_with("/assets/") { "public, max-age=3600" } else { "no-store" };
        let expected = [
            ("content-security-policy", policy),
            ("cross-origin-opener-policy", opener),
            ("referrer-policy", referrer),
            ("x-content-type-options", "nosniff"),
            ("cache-control", cached),
            ("strict-transport-security", ""), // the test shop speaks plain http
            ("access-control-allow-origin", ""),
            ("server", ""),
        ];
        for (name, value) in expected {
            assert_eq!(header(name), value, "{name} of {path}");
        }
        assert!(!answer.text().await.unwrap().contains("<script>"), "{path}: there are no inline scripts");
    }
}

#[tokio::test]
async fn a_foreign_page_is_never_told_that_it_may() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    for origin in ["null", "https://evil.example", "http://localhost.evil.example", shop.url.as_str()] {
        let preflight = [("origin", origin), ("access-control-request-method", "POST")];
        let answer = buyer.send("OPTIONS", "/api/orders", &preflight, b"").await;
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control")), "{origin}");
    }
}
