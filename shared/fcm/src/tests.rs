//! The client against a Google that answers what the test wants.

mod answers;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri, Version};
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{DeviceToken, EventId, OrderId, PushError, PushNotification, PushSender, TokenKind};
use futures_util::future::{self, join_all};
use futures_util::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{Fcm, FcmSettings, ServiceAccount, SetupError};

const EMAIL: &str = "push@shop.iam.gserviceaccount.com";

static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

fn account(token_uri: &str) -> String {
    let der: Pkcs8V1Der<'_> = KEY.as_der().unwrap();
    let body = BASE64_STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    json!({
        "type": "service_account", "project_id": "shop", "private_key_id": "key-1", "private_key": pem,
        "client_email": EMAIL, "client_id": "1", "token_uri": token_uri,
    })
    .to_string()
}

/// What the next answers are.
#[derive(Clone)]
enum Say {
    Reply { status: u16, retry_after: Option<String>, body: String },
    BreakOff,
    Nothing,
}

impl Say {
    fn ok() -> Self {
        Self::json(200, &json!({"name": "projects/shop/messages/1"}))
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::Reply { status, retry_after: None, body: body.to_string() }
    }
}

struct Desk {
    to_sends: Mutex<Say>,
    to_exchanges: Mutex<Option<Say>>,
    expires_in: AtomicU64,
    /// Access tokens are numbered from 1; those up to here are refused.
    revoked: AtomicUsize,
    connections: AtomicUsize,
    assertions: Mutex<Vec<String>>,
    sent: Mutex<Vec<(Version, Uri, HeaderMap, Value)>>,
}

struct FakeGoogle {
    base_url: String,
    fcm: Fcm,
    desk: Arc<Desk>,
}

impl FakeGoogle {
    async fn open() -> Self {
        let desk = Arc::new(Desk {
            to_sends: Mutex::new(Say::ok()),
            to_exchanges: Mutex::default(),
            expires_in: AtomicU64::new(3599),
            revoked: AtomicUsize::default(),
            connections: AtomicUsize::default(),
            assertions: Mutex::default(),
            sent: Mutex::default(),
        });
        let app = Router::new().route("/token", post(exchange)).fallback(send).with_state(desk.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let counted = desk.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let service = TowerToHyperService::new(app.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    server.serve_connection(TokioIo::new(stream), service).await
                });
            }
        });
        Self { fcm: Fcm::new(settings(&base_url)).unwrap(), base_url, desk }
    }

    fn will(&self, say: Say) -> &Fcm {
        *self.desk.to_sends.lock().unwrap() = say;
        &self.fcm
    }

    fn will_exchange(&self, say: Say) -> &Fcm {
        *self.desk.to_exchanges.lock().unwrap() = Some(say);
        &self.fcm
    }

    fn exchanges(&self) -> usize {
        self.desk.assertions.lock().unwrap().len()
    }

    fn sends(&self) -> usize {
        self.desk.sent.lock().unwrap().len()
    }
}

async fn exchange(State(desk): State<Arc<Desk>>, Form(form): Form<HashMap<String, String>>) -> Response {
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let number = {
        let mut assertions = desk.assertions.lock().unwrap();
        assertions.push(form["assertion"].clone());
        assertions.len()
    };
    let expires_in = desk.expires_in.load(Ordering::SeqCst);
    let grant = json!({"access_token": format!("access-{number}"), "expires_in": expires_in, "token_type": "Bearer"});
    let say = desk.to_exchanges.lock().unwrap().clone();
    say_it(say.unwrap_or_else(|| Say::json(200, &grant))).await
}

async fn send(State(desk): State<Arc<Desk>>, version: Version, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let bearer = headers["authorization"].to_str().unwrap().to_owned();
    desk.sent.lock().unwrap().push((version, uri, headers, serde_json::from_slice(&body).unwrap()));
    let number: usize = bearer.strip_prefix("Bearer access-").unwrap().parse().unwrap();
    if number <= desk.revoked.load(Ordering::SeqCst) {
        let error = json!({"error": {"code": 401, "message": "invalid credentials", "status": "UNAUTHENTICATED"}});
        return say_it(Say::json(401, &error)).await;
    }
    let say = desk.to_sends.lock().unwrap().clone();
    say_it(say).await
}

async fn say_it(say: Say) -> Response {
    match say {
        Say::BreakOff => {
            let body = [Ok("{\"name\":"), Err(io::Error::other("the line is cut"))];
            Response::new(Body::from_stream(stream::iter(body)))
        }
        Say::Nothing => future::pending().await,
        Say::Reply { status, retry_after, body } => {
            let response = Response::builder().status(status);
            let response =
                retry_after.into_iter().fold(response, |response, wait| response.header("retry-after", wait));
            response.body(Body::from(body)).unwrap()
        }
    }
}

fn settings(base_url: &str) -> FcmSettings {
    let service_account = ServiceAccount::from_json(&account(&format!("{base_url}/token"))).unwrap();
    FcmSettings { base_url: base_url.into(), ..FcmSettings::new(service_account) }
}

fn device() -> DeviceToken {
    DeviceToken { kind: TokenKind::Token, token: "device-token-1".into() }
}

fn paid() -> PushNotification {
    PushNotification {
        title: "결제가 완료됐어요".into(),
        body: "머그컵 외 1건".into(),
        event: EventId::new(),
        order: OrderId::new(),
        link: None,
    }
}

#[tokio::test]
async fn a_notification_goes_to_our_project_with_our_token() {
    let google = FakeGoogle::open().await;
    google.fcm.send(&device(), &paid()).await.unwrap();
    let sent = google.desk.sent.lock().unwrap();
    let (version, uri, headers, body) = &sent[0];
    assert_eq!((*version, uri.path()), (Version::HTTP_2, "/v1/projects/shop/messages:send"));
    assert_eq!(headers["authorization"], "Bearer access-1");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(body["message"]["token"], "device-token-1");
}

#[tokio::test]
async fn two_hundred_sends_share_one_token_and_one_connection() {
    let google = FakeGoogle::open().await;
    let (device, paid) = (device(), paid());
    let results = join_all((0..200).map(|_| google.fcm.send(&device, &paid))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!((google.exchanges(), google.sends()), (1, 200));
    assert_eq!(google.desk.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_assertion_is_ours_and_meant_for_google() {
    let google = FakeGoogle::open().await;
    google.fcm.send(&device(), &paid()).await.unwrap();
    let assertion = google.desk.assertions.lock().unwrap()[0].clone();
    let mut strict = Validation::new(Algorithm::RS256);
    strict.set_issuer(&[EMAIL]);
    strict.set_audience(&[format!("{}/token", google.base_url)]);
    strict.set_required_spec_claims(&["iss", "aud", "exp"]);
    let public = DecodingKey::from_rsa_der(KEY.public_key().as_ref());
    let decoded = jsonwebtoken::decode::<Value>(&assertion, &public, &strict).unwrap();
    assert_eq!(decoded.header.kid.as_deref(), Some("key-1"));
    assert_eq!(decoded.claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");
    let lifetime = decoded.claims["exp"].as_i64().unwrap() - decoded.claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 3600);
}

#[tokio::test]
async fn a_token_is_used_until_it_expires() {
    let google = FakeGoogle::open().await;
    google.desk.expires_in.store(0, Ordering::SeqCst);
    for _ in 0..2 {
        google.fcm.send(&device(), &paid()).await.unwrap();
    }
    assert_eq!(google.exchanges(), 2);
    google.desk.expires_in.store(3599, Ordering::SeqCst);
    for _ in 0..3 {
        google.fcm.send(&device(), &paid()).await.unwrap();
    }
    assert_eq!(google.exchanges(), 3);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_once_for_everybody() {
    let google = FakeGoogle::open().await;
    google.fcm.send(&device(), &paid()).await.unwrap();
    google.desk.revoked.store(1, Ordering::SeqCst);
    let (device, paid) = (device(), paid());
    let results = join_all((0..50).map(|_| google.fcm.send(&device, &paid))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(google.exchanges(), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_our_own_fault() {
    let google = FakeGoogle::open().await;
    google.desk.revoked.store(usize::MAX, Ordering::SeqCst);
    let result = google.fcm.send(&device(), &paid()).await;
    assert!(matches!(&result, Err(PushError::Auth(message)) if message == "invalid credentials"), "{result:?}");
    assert_eq!((google.exchanges(), google.sends()), (2, 2));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_google_is_asked_once() {
    let google = FakeGoogle::open().await;
    let refusal = json!({"error": "invalid_grant", "error_description": "Invalid JWT Signature."});
    let (device, paid) = (device(), paid());
    let fcm = google.will_exchange(Say::json(400, &refusal));
    let results = join_all((0..50).map(|_| fcm.send(&device, &paid))).await;
    for result in results {
        assert!(matches!(&result, Err(PushError::Auth(message)) if message.contains("invalid_grant")), "{result:?}");
    }
    assert_eq!((google.exchanges(), google.sends()), (1, 0));
}

#[tokio::test]
async fn a_token_that_does_not_come_now_may_come_later() {
    let unreadable = [Say::json(200, &json!({"access_token": "only"})), Say::json(200, &json!("<html>"))];
    let busy = [429, 500, 503].map(|status| Say::json(status, &json!({})));
    for say in busy.into_iter().chain(unreadable).chain([Say::Nothing]) {
        let google = FakeGoogle::open().await;
        google.will_exchange(say);
        let hasty = FcmSettings { timeout: Duration::from_millis(200), ..settings(&google.base_url) };
        let result = Fcm::new(hasty).unwrap().send(&device(), &paid()).await;
        assert!(matches!(result, Err(PushError::Retry { after: None })), "{result:?}");
        assert_eq!(google.sends(), 0);
    }
}

#[test]
fn a_service_account_signs_for_google_or_this_machine() {
    for good in ["https://oauth2.googleapis.com/token", "http://127.0.0.1:9/token", "http://localhost:9/token"] {
        assert!(ServiceAccount::from_json(&account(good)).is_ok(), "{good}");
    }
    let bad =
        ["https://oauth2.googleapis.com.evil.example/token", "http://oauth2.googleapis.com/token", "", "file:///"];
    for bad in bad {
        assert!(ServiceAccount::from_json(&account(bad)).is_err(), "{bad}");
    }
    assert!(ServiceAccount::from_json("{}").is_err());
    let shown = format!("{:?}", ServiceAccount::from_json(&account("http://localhost/token")).unwrap());
    assert!(!shown.contains("BEGIN"), "{shown}");
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    for bad in ["http://fcm.googleapis.com", "ftp://127.0.0.1", ""] {
        let settings = FcmSettings { base_url: bad.into(), ..settings("http://127.0.0.1:9") };
        assert!(matches!(Fcm::new(settings), Err(SetupError::BaseUrl(_))), "{bad}");
    }
    assert!(Fcm::new(FcmSettings::new(settings("http://127.0.0.1:9").service_account)).is_ok());

    let other_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let mut account: Value = serde_json::from_str(&account("http://127.0.0.1:9/token")).unwrap();
    account["private_key"] = other_key.into();
    let service_account = ServiceAccount::from_json(&account.to_string()).unwrap();
    assert!(matches!(Fcm::new(FcmSettings::new(service_account)), Err(SetupError::PrivateKey(_))));
}
