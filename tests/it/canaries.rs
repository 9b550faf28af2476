//! What must never be logged, planted wherever it comes by: a shop of processes that say all they can is used and abused,
//! and none of it may be in what they wrote.

use std::path::PathBuf;
use std::process::Output;
use std::{env, fs, process};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::{Addresses, Authenticated, Buyer, OpenShop, Placed, Push, Role, ServiceProcess, jumun};
use messaging::topology::Worker;
use reqwest::header::{HeaderValue, SET_COOKIE};
use rustix::process::Signal;
use sandbox::Endpoint;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// All that the test plants itself has this in it.
const CANARY: &str = "canary-";

const SECURITY_KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

const BY_CARD: [(&str, &str); 1] = [("choice", "card")];

/// Everything that our crates can say, and what libraries say to somebody who looks for a fault.
const TALKATIVE: &[(&str, &str)] = &[
    ("RUST_LOG", "debug,jumun=trace"),
    ("PUSH_KEY", "canary-push-key-of-many-characters"),
    ("TOSS_SECURITY_KEY", SECURITY_KEY),
];

/// A shop whose services are processes that write one log, and what must not be in it.
struct Talkative {
    shop: OpenShop,
    addresses: Addresses,
    storefront: ServiceProcess,
    workers: Vec<ServiceProcess>,
    log: PathBuf,
    secrets: Vec<(&'static str, String)>,
}

impl Talkative {
    async fn open() -> Self {
        let shop = OpenShop::open_with(TALKATIVE).await;
        let log = env::temp_dir().join(format!("jumun-canaries-{}.log", process::id()));
        let mut addresses = Addresses { log: Some(log.clone()), ..shop.addresses.clone() };
        addresses.database = addresses.database.replacen("postgres@", "postgres:canary-password@", 1);
        let mut workers = Vec::new();
        for worker in Worker::ALL {
            workers.push(ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Worker(worker), None).await);
        }
        addresses.workers = [0, 1, 2].map(|n: usize| workers[n].url.clone());
        let storefront = ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Storefront, None).await;
        let settings = shop.sandbox.settings();
        let basic = |user: &str, password: &str| BASE64_STANDARD.encode(format!("{user}:{password}"));
        let account: Value = serde_json::from_str(&addresses.fcm_account).unwrap();
        let private_key = account["private_key"].as_str().unwrap().lines().nth(1).unwrap();
        let secrets = vec![
            ("something planted", CANARY.to_owned()),
            ("Toss's secret key", settings.secret_key.clone()),
            ("the header with it", basic(&settings.secret_key, "")),
            ("the security key", SECURITY_KEY.to_owned()),
            ("the client secret", settings.oidc_client_secret.clone()),
            ("the header with it", basic(&settings.oidc_client_id, &settings.oidc_client_secret)),
            ("FCM's private key", private_key[..60].to_owned()),
            ("an access token of FCM's", "sandbox.".to_owned()),
            ("a signed token", "eyJ".to_owned()),
            ("the admin token", "a token for the people of the shop".to_owned()),
            ("a page for somebody else", "<html".to_owned()),
        ];
        Self { shop, addresses, storefront, workers, log, secrets }
    }

    /// A buyer with a cookie and a phone that nobody should hear of.
    async fn visitor(&mut self) -> Buyer {
        let buyer = self.shop.nobody().at(&self.storefront.url);
        let first = buyer.get("/").await;
        self.secrets.push(("a session", value_of(&first.headers()[SET_COOKIE])));
        buyer
    }

    /// Orders and authenticates.
    async fn order(&mut self, buyer: &Buyer, choices: &[(&str, &str)]) -> (Placed, Authenticated) {
        let mut basket = buyer.basket(&[("mug", 1)]);
        basket["customerEmail"] = "canary-buyer@shop.example".into();
        let order = Placed::from(buyer.post("/api/orders", &basket).await.body);
        let payment = buyer.authenticate_by(&order, choices).await;
        let token = order.body["successUrl"].as_str().unwrap().rsplit('/').next().unwrap();
        self.secrets.push(("a return token", token.to_owned()));
        self.secrets.push(("a payment key", payment.payment_key.clone()));
        (order, payment)
    }

    async fn settles(&self, order: &Placed, status: &str) {
        let is = format!("SELECT count(*) FROM orders WHERE id = '{}' AND status = '{status}'", order.id);
        self.shop
            .eventually(&format!("the order to be {status}"), async || {
                self.shop.execute("UPDATE payments SET next_check_at = now() WHERE status = 'confirming'").await;
                self.shop.execute("UPDATE webhook_inbox SET due_at = now() WHERE due_at IS NOT NULL").await;
                self.shop.count(&is).await == 1
            })
            .await;
    }

    /// A purchase that works, told to phones that are gone, busy or answer nonsense; a refusal; a refund.
    async fn sells(&mut self) -> Placed {
        let buyer = self.visitor().await;
        for (device, steps) in [
            ("canary-device-good", ["ok"].as_slice()),
            ("canary-device-gone", &["unregistered"]),
            ("canary-device-odd", &["html502", "invalid-field", "reset", "unavailable", "mismatch"]),
        ] {
            self.shop.script(device, steps);
            buyer.register_device(device).await;
        }
        let (_, refused) = self.order(&buyer, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
        buyer.follow_back(&refused).await;
        let (order, payment) = self.order(&buyer, &BY_CARD).await;
        buyer.follow_back(&payment).await;
        self.settles(&order, "paid").await;
        let operator = self.shop.operator().at(&self.storefront.url);
        let terms = json!({"reason": "canary-reason", "requestedBy": "canary-person", "amount": 1_000});
        operator.refund(&order.id, terms).await.expect(201);
        operator.send(&order.id, "canary-admin-token", "a-click", &json!({"reason": "x"})).await;
        order
    }

    /// A transfer, heard of by webhooks, and what others make of webhooks.
    async fn is_told(&mut self) {
        let buyer = self.visitor().await;
        let (order, payment) = self.order(&buyer, &[("choice", "virtual-account")]).await;
        buyer.confirm(&payment).await.expect(200);
        let shown = buyer.read(&format!("/api/orders/{}", order.id)).await.expect(200);
        let account = shown["payment"]["deposit"]["account"].as_str().unwrap();
        self.secrets.push(("an account", account.to_owned()));
        assert!(self.shop.sandbox.deposit(&order.id));
        for webhook in self.shop.sandbox.webhooks(Some(&order.id)) {
            let body: Value = serde_json::from_str(&webhook.body).unwrap();
            for secret in [&body["secret"], &body["data"]["secret"]].into_iter().filter_map(Value::as_str) {
                self.secrets.push(("a deposit's secret", secret.to_owned()));
            }
            assert_eq!(self.shop.try_bring(&webhook, &self.storefront.url).await.unwrap(), 200);
        }
        self.settles(&order, "paid").await;
        for body in [
            "canary-body".to_owned(),
            json!({"eventType": "canary-type", "createdAt": "canary-date", "data": {"paymentKey": "canary-key"}})
                .to_string(),
            json!({"secret": "canary-secret", "status": "DONE", "orderId": order.window_id}).to_string(),
            json!({"eventType": "payout.changed", "data": "canary-payout"}).to_string(),
        ] {
            let headers = [("content-type", "application/json"), ("tosspayments-webhook-signature", "v1:canary-seal")];
            buyer.send("POST", "/api/webhooks/toss", &headers, body.as_bytes()).await;
        }
        let account = json!({"bank": "20", "accountNumber": "100212345678", "holderName": "canary-holder"});
        self.secrets.push(("the buyer's account", "100212345678".to_owned()));
        let terms = json!({"reason": "canary-reason", "refundAccount": account, "restock": true});
        self.shop.operator().at(&self.storefront.url).refund(&order.id, terms).await.expect(201);
    }

    /// A provider that loses answers, and one that answers what it was asked with, in the wrong words.
    async fn is_failed_by_toss(&mut self) {
        let buyer = self.visitor().await;
        for (confirm, query) in [("html-502", "html-502"), ("reset", "reset"), ("answer-lost", "before-500")] {
            let (order, payment) = self.order(&buyer, &BY_CARD).await;
            self.shop.spoil(Endpoint::Confirm, confirm, 1);
            self.shop.spoil(Endpoint::Query, query, 2);
            assert!(matches!(buyer.confirm(&payment).await.status, 200 | 202));
            self.settles(&order, "paid").await;
        }
        let toss = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut addresses = self.addresses.clone();
        let base_url = format!("http://{}", toss.local_addr().unwrap());
        addresses.engine.extend([("TOSS_BASE_URL", base_url), ("CHECKOUT_LOOPS", "false".to_owned())]);
        let page = (StatusCode::BAD_GATEWAY, Html("<html>canary-page</html>"));
        let refusal = json!({"code": "REJECT_CARD_COMPANY", "message": "canary-message"});
        let refusal = (StatusCode::FORBIDDEN, refusal.to_string());
        let answers = Router::new()
            .route("/v1/payments/confirm", get(StatusCode::NOT_FOUND).post(async move || refusal.into_response()))
            .fallback(async move || page.into_response());
        tokio::spawn(async move { axum::serve(toss, answers).await.unwrap() });
        let deceived = ServiceProcess::start_told(&self.shop, &addresses, SERVICE, Role::Storefront, None).await;
        let (_, payment) = self.order(&buyer, &BY_CARD).await;
        assert_eq!(buyer.clone().at(&deceived.url).confirm(&payment).await.status, 402);
        self.workers.push(deceived);
    }

    /// Nonsense at every door.
    async fn is_abused(&mut self) {
        let buyer = self.visitor().await;
        let key = [("content-type", "application/json"), ("idempotency-key", "canary-click")];
        for (path, body) in [
            ("/api/orders", "canary-body"),
            ("/api/orders", r#"{"items": "canary-items"}"#),
            ("/api/orders", r#"{"items": [], "customerEmail": "canary-no-address"}"#),
            ("/api/orders", r#"{"items": [], "canary-field": 1}"#),
            (
                "/api/payments/confirm",
                r#"{"paymentKey": "canary-key", "orderId": "canary-order", "amount": "canary-sum"}"#,
            ),
            ("/api/messaging-tokens", r#"{"token": "canary-token", "locale": "canary-tongue"}"#),
            ("/canary-path?canary-query=1", ""),
        ] {
            buyer.send("POST", path, &key, body.as_bytes()).await;
        }
        let cookie = [("cookie", "jumun_session=canary-cookie"), ("authorization", "Bearer canary-bearer")];
        for path in
            ["/api/checkout/callback/canary-token?paymentKey=canary-key&orderId=canary-order&amount=1", "/orders"]
        {
            self.shop.nobody().at(&self.storefront.url).send("GET", path, &cookie, b"").await;
        }
        // A payment key that another order has.
        let (_, paid) = self.order(&buyer, &BY_CARD).await;
        buyer.confirm(&paid).await.expect(200);
        let (_, mut stolen) = self.order(&buyer, &BY_CARD).await;
        stolen.payment_key = paid.payment_key;
        assert_eq!(buyer.confirm(&stolen).await.status, 404);
        for worker in &self.addresses.workers {
            let unknown = uuid::Uuid::new_v4().to_string();
            for push in [
                Push::raw("checkout-stock", b"canary-push".to_vec()),
                Push::message("checkout-stock", &unknown, b"canary-data"),
                Push::message("checkout-stock", "canary-event", b"{}"),
            ] {
                push.try_deliver(worker).await.unwrap();
            }
        }
    }

    /// A person signs in, and another is refused.
    async fn knows_people(&mut self) {
        let buyer = self.visitor().await;
        for lie in [None, Some(sandbox::IdTokenLie::ForeignKey)] {
            if let Some(lie) = lie {
                self.shop.sandbox.lie_about_identity(lie);
            }
            let back = buyer.leave_to_sign_in("jumun-kim", "/").await;
            let (_, query) = back.split_once('?').unwrap();
            for parameter in query.split('&').filter(|it| it.starts_with("code=") || it.starts_with("state=")) {
                self.secrets.push(("a sign-in", parameter.split_once('=').unwrap().1.to_owned()));
            }
            let answer = buyer.client().get(&back).send().await.unwrap();
            let cookies = answer.headers().get_all(SET_COOKIE).iter().map(value_of);
            self.secrets.extend(cookies.filter(|it| it.len() > 20).map(|it| ("a member's session", it)));
        }
    }

    /// Stops everything and returns what was written, also by the command.
    async fn falls_silent(&mut self, order: &str) -> String {
        let mut said = String::new();
        for arguments in [
            ["attention"].as_slice(),
            &["verify"],
            &["refund", order, "--reason", "canary-reason", "--by", "canary-person"],
            &["dead-letters", "list"],
            &["dead-letters", "discard", "--all", "--by", "canary-person", "--reason", "canary-reason"],
        ] {
            let Output { stderr, .. } = jumun(&self.shop, SERVICE, arguments).await;
            said += &String::from_utf8(stderr).unwrap();
        }
        for process in [&mut self.storefront].into_iter().chain(&mut self.workers) {
            process.signal(Signal::TERM).unwrap();
            assert_eq!(process.end().await.unwrap(), None, "it ends by itself");
        }
        said += &fs::read_to_string(&self.log).unwrap();
        fs::remove_file(&self.log).unwrap();
        said
    }
}

#[tokio::test]
async fn nothing_that_is_secret_is_ever_logged() {
    let mut shop = Talkative::open().await;
    let order = shop.sells().await;
    shop.is_told().await;
    shop.is_failed_by_toss().await;
    shop.is_abused().await;
    shop.knows_people().await;
    let told = async || shop.shop.sandbox.notifications("canary-device-good").len() >= 3;
    shop.shop.eventually("the phone to be told", told).await;
    let said = shop.falls_silent(&order.id).await;

    for line in
        ["stock-worker has stopped", "push-worker has stopped", "dead-letter-worker has stopped", "Answered: 200"]
    {
        assert!(said.contains(line), "nobody said: {line}");
    }
    assert!(said.contains(&order.id), "what is no secret can be found");
    let leaks: Vec<_> = shop.secrets.iter().filter_map(|(what, secret)| leak(&said, what, secret)).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    shop.shop.execute("UPDATE push_attempts SET due_at = now() WHERE due_at IS NOT NULL").await;
    shop.shop.reconcile().await;
    shop.shop.deliver_events().await;
    shop.shop.verify().await;
}

/// The first line with a secret in it.
fn leak(said: &str, what: &str, secret: &str) -> Option<String> {
    assert!(secret.len() >= 3, "{what} is too short to be looked for");
    said.lines().find(|line| line.contains(secret)).map(|line| format!("{what} ({secret}): {line}"))
}

fn value_of(cookie: &HeaderValue) -> String {
    let (_, value) = cookie.to_str().unwrap().split_once('=').unwrap();
    value.split(';').next().unwrap().to_owned()
}
