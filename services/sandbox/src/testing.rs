//! A shop's desk for the tests: the three steps of a purchase, without sockets.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{Sandbox, Settings, router};

pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    router: Router,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and Toss's code.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["code"].as_str().unwrap().to_owned())
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let sandbox = Sandbox::new(settings);
        Self { router: router(sandbox.clone()), sandbox }
    }

    /// The response before its body is read; a closed connection has one that fails.
    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let (parts, body) = self.respond(request).await.into_parts();
        Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(signed(Request::get(path)).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(post(path, body)).await
    }

    /// Opens a payment as the script does, with whatever is to be different.
    pub(crate) async fn open_with(&self, changes: Value) -> Reply {
        let mut payment = json!({
            "clientKey": Settings::default().client_key, "customerKey": "@@ANONYMOUS",
            "orderId": "order-1", "orderName": "머그컵 외 1건", "amount": {"value": 15_000, "currency": "KRW"},
            "successUrl": "http://shop.test/ok?lang=ko", "failUrl": "http://shop.test/fail",
        });
        payment.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.post("/toss/browser/payments", &payment).await
    }

    pub(crate) async fn open(&self, order_id: &str, amount: i64) -> String {
        let reply = self.open_with(json!({"orderId": order_id, "amount": {"value": amount, "currency": "KRW"}})).await;
        reply.json()["paymentKey"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn choose(&self, payment_key: &str, form: &'static str) -> Reply {
        let request = Request::post(format!("/toss/window/{payment_key}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn authenticated(&self, order_id: &str, amount: i64, form: &'static str) -> String {
        let payment_key = self.open(order_id, amount).await;
        assert_eq!(self.choose(&payment_key, form).await.status, StatusCode::SEE_OTHER);
        payment_key
    }

    pub(crate) async fn confirm(&self, payment_key: &str, order_id: &str, amount: i64) -> Reply {
        self.send(confirm(payment_key, order_id, amount)).await
    }

    /// An order of 15,000 won paid in full.
    pub(crate) async fn paid(&self, order_id: &str, form: &'static str) -> String {
        let payment_key = self.authenticated(order_id, 15_000, form).await;
        assert_eq!(self.confirm(&payment_key, order_id, 15_000).await.status, StatusCode::OK);
        payment_key
    }

    pub(crate) async fn cancel(&self, payment_key: &str, body: Value) -> Reply {
        self.post(&format!("/toss/v1/payments/{payment_key}/cancel"), &body).await
    }

    pub(crate) async fn status(&self, payment_key: &str) -> String {
        let payment = self.get(&format!("/toss/v1/payments/{payment_key}")).await;
        payment.json()["status"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn confirm(payment_key: &str, order_id: &str, amount: i64) -> Request<Body> {
    let body = json!({"paymentKey": payment_key, "orderId": order_id, "amount": amount});
    post("/toss/v1/payments/confirm", &body)
}

pub(crate) fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn post(path: &str, body: &Value) -> Request<Body> {
    signed(Request::post(path))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn signed(request: http::request::Builder) -> http::request::Builder {
    let credentials = BASE64_STANDARD.encode(format!("{}:", Settings::default().secret_key));
    request.header(header::AUTHORIZATION, format!("Basic {credentials}"))
}
