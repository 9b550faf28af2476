use chrono::{TimeDelta, Utc};
use database::Role as DatabaseRole;
use domain::Day;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, redirect};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

mod private;

use super::*;
use crate::command::VerifyArguments;
use crate::statement;
use crate::verify::{Report, audit};

const PATIENCE: Duration = Duration::from_secs(30);

/// A shop on a database of its own, as `jumun up` opens it.
async fn open() -> (Shop, Home, Variables, tempfile::TempDir) {
    open_with(&[]).await
}

async fn open_with(told: &[(&str, &str)]) -> (Shop, Home, Variables, tempfile::TempDir) {
    let (_, url) = postgres::fresh_url(&database::MIGRATOR).await;
    let folder = tempfile::tempdir().unwrap();
    let mut variables = Variables::default();
    for (name, value) in told {
        variables.set_default(name, *value);
    }
    variables.set_default("DATABASE_URL", url);
    variables.set_default("JUMUN_DATA_DIR", folder.path().to_str().unwrap());
    // Free ports only: a usual one may be another test's a moment after it was ours.
    for bind in ["CHECKOUT_BIND", "STOCK_WORKER_BIND", "PUSH_WORKER_BIND", "DEAD_LETTER_WORKER_BIND"] {
        variables.set_default(bind, "127.0.0.1:0");
    }
    variables.set_default("SANDBOX_PORT", "0");
    let home = Home::read(&mut variables.env());
    let shop = Shop::open(variables.clone(), &home).await.unwrap();
    if shop.addresses().sandbox.is_some() {
        variables.set_default("TOSS_BASE_URL", format!("{}/toss", sandbox(&shop)));
    }
    (shop, home, variables, folder)
}

fn sandbox(shop: &Shop) -> &str {
    shop.addresses().sandbox.as_deref().unwrap()
}

/// Whoever migrates: may do anything.
async fn owner(shop: &Shop) -> PgPool {
    shop.store.connect(1, None).await.unwrap()
}

/// Whoever reads the books.
async fn checker(shop: &Shop) -> PgPool {
    shop.store.connect(4, DatabaseRole::Checker).await.unwrap()
}

async fn books(shop: &Shop, variables: &Variables) -> Report {
    audit(&checker(shop).await, variables, &ALL).await.unwrap()
}

const ALL: VerifyArguments = VerifyArguments { drained: true, no_provider: false, since: None, json: false };

fn today() -> Day {
    let Day(yesterday) = Day::yesterday(Utc::now());
    Day(yesterday + TimeDelta::days(1))
}

fn broken(report: &Report) -> Vec<&str> {
    report.violations.iter().map(|violation| violation.name).collect()
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

/// Buys two of a product, as a browser would, up to the page it is sent to in the end.
async fn buy(shop: &Shop) -> String {
    let product = products::list(&owner(shop).await).await.unwrap()[0].id;
    let (sandbox, shop) = (sandbox(shop), &shop.addresses().shop);
    let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
    let order = http
        .post(format!("{shop}/api/orders"))
        .header("idempotency-key", "one")
        .json(&json!({"items": [{"productId": product, "quantity": 2}]}))
        .send()
        .await
        .unwrap();
    assert_eq!(order.status(), 201);
    let cookie = header(&order, SET_COOKIE).split(';').next().unwrap().to_owned();
    let order: Value = order.json().await.unwrap();
    let mut request = json!({"amount": {"value": order["amount"], "currency": "KRW"}});
    for field in ["clientKey", "customerKey", "orderId", "orderName", "successUrl", "failUrl"] {
        request[field] = order[field].clone();
    }
    let window = http.post(format!("{sandbox}/toss/browser/payments")).json(&request).send().await.unwrap();
    let window: Value = window.json().await.unwrap();
    let paid = http
        .post(window["windowUrl"].as_str().unwrap())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("choice=card")
        .send()
        .await
        .unwrap();
    let back = http.get(header(&paid, LOCATION)).header(COOKIE, cookie).send().await.unwrap();
    header(&back, LOCATION)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_in_an_all_in_one_shop_leaves_sound_books() {
    let (shop, home, variables, _folder) = open().await;
    assert_eq!(home.noted().as_ref(), Some(shop.addresses()));
    assert_eq!(shop.addresses().database, None, "an address with a password is noted nowhere");
    assert_eq!(products::list(&owner(&shop).await).await.unwrap().len(), 8);

    let end = buy(&shop).await;
    assert!(end.contains("/checkout/success"), "{end}");
    let deadline = Instant::now() + PATIENCE;
    let report = loop {
        let report = books(&shop, &variables).await;
        if report.violations.is_empty() {
            break report;
        }
        assert!(Instant::now() < deadline, "{}", report.text());
        sleep(Duration::from_millis(20)).await;
    };
    let money = report.money.unwrap();
    assert!(money.ours > 0 && money.ours == money.theirs && money.payments == 1, "{money:?}");
    assert!(report.text().ends_with(" invariants hold."), "{}", report.text());
    let lately = VerifyArguments { since: Some(Utc::now() - TimeDelta::minutes(5)), ..ALL };
    let lately = audit(&checker(&shop).await, &variables, &lately).await.unwrap();
    assert_eq!((broken(&lately), lately.money.unwrap().payments), (vec![], 1));
    let statement = statement::compare(&checker(&shop).await, &variables, today()).await.unwrap();
    assert_eq!((statement.ours, statement.theirs, statement.differences.len()), (money.ours, money.ours, 0));

    sqlx::query("UPDATE stock SET on_hand = on_hand + 1").execute(&owner(&shop).await).await.unwrap();
    let report = books(&shop, &variables).await;
    assert_eq!(broken(&report), ["stock_ledger"]);
    assert!(report.text().contains("BROKEN  stock_ledger"), "{}", report.text());
    let json: Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!((&json["ok"], &json["violations"][0]["total"]), (&json!(false), &json!(8)));

    let addresses = shop.addresses().clone();
    shop.close(&home).await.unwrap();
    assert_eq!(home.noted(), None);
    for url in [&addresses.shop, &addresses.sandbox.unwrap(), &addresses.stock_worker, &addresses.push_worker] {
        assert!(reqwest::get(url).await.is_err(), "{url} still answers");
    }
}

/// Pushes a forged message to the stock worker, and returns the status of the answer.
async fn forge(shop: &Shop, token: Option<&str>) -> u16 {
    let url = format!("{}{}", shop.addresses().stock_worker, messaging::topology::STOCK_PATH);
    let subscription = format!("projects/{}/subscriptions/checkout-stock", messaging::embedded::PROJECT);
    let message = json!({"messageId": "1", "data": "", "attributes": {"ce-id": Uuid::now_v7()}});
    let push = Client::new().post(url).json(&json!({"subscription": subscription, "message": message}));
    let push = if let Some(token) = token { push.bearer_auth(token) } else { push };
    push.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workers_believe_their_own_broker_alone() {
    let (shop, home, _, _folder) = open().await;
    assert_eq!(forge(&shop, None).await, 401);
    assert_eq!(forge(&shop, Some("eyJhbGciOiJub25lIn0.e30.")).await, 401);
    let parked: i64 =
        sqlx::query_scalar("SELECT count(*) FROM dead_letters").fetch_one(&owner(&shop).await).await.unwrap();
    assert_eq!((shop.messages(), parked), ("embedded", 0));
    shop.close(&home).await.unwrap();
}

/// What a shop that takes real money is told.
const LIVE: [(&str, &str); 6] = [
    ("JUMUN_ENV", "production"),
    ("TOSS_SECRET_KEY", "live_gsk_x"),
    ("TOSS_CLIENT_KEY", "live_gck_x"),
    ("TOSS_BASE_URL", "https://api.tosspayments.com"),
    ("TOSS_SDK_URL", "https://js.tosspayments.com/v2/standard"),
    ("PUBLIC_URL", "https://shop.example"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_takes_real_money_has_nothing_made_up() {
    let account = Sandbox::new(sandbox::Settings::default()).service_account_json();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bind = format!("127.0.0.1:{port}");
    let told = [
        ("FCM_BASE_URL", "https://127.0.0.1:9"), // nobody has registered a phone
        ("FCM_SERVICE_ACCOUNT", &account),
        ("CHECKOUT_BIND", &bind),
        ("CHECKOUT_LOOPS", "false"), // nobody is asked about payments
    ];
    let (shop, home, _, _folder) = open_with(&[&LIVE[..], &told].concat()).await;
    assert_eq!(shop.addresses().sandbox, None);
    assert_eq!(products::list(&owner(&shop).await).await.unwrap().len(), 0, "nobody asked for goods");
    let http = Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
    for (path, status) in [("/", 200), ("/sign-in", 404), ("/firebase-messaging-sw.js", 404)] {
        let answer = http.get(format!("http://{bind}{path}")).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), status, "{path}");
        let said = policy + &answer.text().await.unwrap();
        assert!(!said.contains("127.0.0.1") && !said.contains("localhost"), "{path}: {said}");
    }
    shop.close(&home).await.unwrap();
}

#[tokio::test]
async fn a_shop_that_takes_real_money_is_told_of_its_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut variables = Variables::default();
    for (name, value) in LIVE {
        variables.set_default(name, value);
    }
    variables.set_default("JUMUN_DATA_DIR", folder.path().to_str().unwrap());
    let home = Home::read(&mut variables.env());
    let refused = format!("{:#}", Shop::open(variables, &home).await.err().unwrap());
    assert!(refused.contains("DATABASE_URL: required in production"), "{refused}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was begun");
}

#[test]
fn nobody_takes_real_money_and_believes_anybody() {
    let read = |pairs: &[(&str, &str)]| {
        let mut env = Env::from_pairs(pairs.iter().copied());
        Settings::read(&mut env);
        env.finish().map_err(|refusals| refusals.to_string())
    };
    let workers = [
        ("STOCK_WORKER_URL", "http://127.0.0.1:8081"),
        ("PUSH_WORKER_URL", "http://127.0.0.1:8082"),
        ("DEAD_LETTER_WORKER_URL", "http://127.0.0.1:8083"),
        ("DATABASE_URL", "postgres://db/jumun"),
        ("FCM_BASE_URL", "https://fcm.googleapis.com"),
        ("FCM_SERVICE_ACCOUNT", "{}"),
        ("PUSH_KEY", "a key that is long enough to sign with"),
    ];
    let live = [&LIVE[..], &workers].concat();
    read(&live).unwrap();
    let unproven = [live.as_slice(), &[("PUSH_AUTH", "loopback")]].concat();
    assert!(read(&unproven).unwrap_err().contains("PUSH_AUTH: must be token with live keys"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_the_shop_forgot_is_found_in_the_sandbox_s_book() {
    let (shop, home, variables, _folder) = open().await;
    buy(&shop).await;
    sqlx::raw_sql(
        "BEGIN; SET LOCAL session_replication_role = replica;
        DELETE FROM outbox; DELETE FROM payments; DELETE FROM order_lines; DELETE FROM orders; COMMIT",
    )
    .execute(&owner(&shop).await)
    .await
    .unwrap();
    assert!(broken(&books(&shop, &variables).await).contains(&"provider_book"));
    let statement = statement::compare(&checker(&shop).await, &variables, today()).await.unwrap();
    assert_eq!((statement.ours, statement.differences.len()), (0, 1), "{statement:?}");
    shop.close(&home).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_sandbox_is_not_asked_about_the_time_before_it() {
    let (shop, home, variables, _folder) = open().await;
    buy(&shop).await;
    let reset = Client::new().post(format!("{}/sandbox/reset", sandbox(&shop))).send().await.unwrap();
    assert!(reset.status().is_success());
    let report = books(&shop, &variables).await;
    assert_eq!(report.money.unwrap().payments, 0);
    assert!(!broken(&report).iter().any(|name| name.starts_with("provider")), "{}", report.text());
    assert_eq!(statement::compare(&checker(&shop).await, &variables, today()).await.unwrap().differences, []);
    shop.close(&home).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_ends_by_itself_is_named() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let role = Role::start("glass", &ended, |_| async { panic!("dropped") });
    assert_eq!(ends.recv().await, Some("glass"));
    assert!(role.task.await.is_err());
}
