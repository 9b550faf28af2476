//! What the browser talks to: the widget script, and the request with which it opens a payment.
//!
//! Both are reached from the shop's pages, so these routes alone answer any origin.

use std::sync::LazyLock;

use axum::extract::State as AppState;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::payment::{Flow, Method, Payment, State};
use super::refusal;
use crate::{Sandbox, ids};

static SCRIPT: LazyLock<(&str, &str)> =
    LazyLock::new(|| include_str!("../../assets/standard.js").split_once("__SANDBOX__").unwrap_or_default());

pub(super) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/v2/standard", get(script))
        .route("/browser/payments", post(open).options(preflight))
        .layer(map_response(for_any_origin))
}

async fn for_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

async fn script(AppState(sandbox): AppState<Sandbox>) -> Response {
    let (before, after) = *SCRIPT;
    let address = Value::from(sandbox.settings().public_url.as_str());
    let headers = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, format!("{before}{address}{after}")).into_response()
}

/// What `requestPayment` was called with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewPayment {
    client_key: String,
    customer_key: String,
    order_id: String,
    order_name: String,
    amount: Amount,
    success_url: String,
    fail_url: String,
    #[serde(default = "widget")]
    flow: Flow,
    /// What the buyer marked on the shop's page; the window offers it first.
    method: Option<Method>,
    customer_name: Option<String>,
    #[serde(default)]
    tax_free_amount: i64,
    metadata: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Amount {
    value: i64,
    currency: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    payment_key: String,
    window_url: String,
}

/// An error of the SDK, which the script throws.
#[derive(Debug, PartialEq, Serialize)]
struct SdkError {
    code: &'static str,
    message: &'static str,
}

fn widget() -> Flow {
    Flow::Widget
}

async fn open(AppState(sandbox): AppState<Sandbox>, Json(new): Json<NewPayment>) -> Response {
    if let Err(error) = new.check(&sandbox.settings().client_key) {
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let now = sandbox.now();
    let payment_key = ids::payment_key(now);
    let base = &sandbox.settings().public_url;
    let preferred = if new.method == Some(Method::VirtualAccount) { "?method=VIRTUAL_ACCOUNT" } else { "" };
    let window_url = format!("{base}/toss/window/{payment_key}{preferred}");
    sandbox.book().open(Payment {
        key: payment_key.as_str().into(),
        order_id: new.order_id.into(),
        order_name: new.order_name,
        amount: new.amount.value,
        tax_free_amount: new.tax_free_amount,
        customer_name: new.customer_name,
        metadata: new.metadata,
        flow: new.flow,
        success_url: new.success_url,
        fail_url: new.fail_url,
        requested_at: now,
        state: State::Ready,
        cancels: Vec::new(),
        last_transaction_key: None,
    });
    Json(Opened { payment_key, window_url }).into_response()
}

impl NewPayment {
    fn check(&self, client_key: &str) -> Result<(), SdkError> {
        let fail = |code, message| Err(SdkError { code, message });
        let is_id = |text: &str, also: &[u8]| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || also.contains(&byte))
        };
        let has_origin = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if self.client_key != client_key {
            return fail(refusal::INVALID_CLIENT_KEY.code, refusal::INVALID_CLIENT_KEY.message);
        }
        if !(2..=50).contains(&self.customer_key.len()) || !is_id(&self.customer_key, b"=.@") {
            return fail(
                "INVALID_CUSTOMER_KEY",
                "customerKey는 영문 대소문자, 숫자, 특수문자 -, _, =, ., @ 로 2자 이상 50자 이하여야 합니다.",
            );
        }
        if !(6..=64).contains(&self.order_id.len()) || !is_id(&self.order_id, b"") {
            return fail(
                "INVALID_PARAMETER",
                "orderId는 영문 대소문자, 숫자, 특수문자 -, _ 로 6자 이상 64자 이하여야 합니다.",
            );
        }
        if !(1..=100).contains(&self.order_name.chars().count()) {
            return fail("INVALID_PARAMETER", "orderName은 1자 이상 100자 이하여야 합니다.");
        }
        if self.amount.currency != "KRW" {
            return fail("INVALID_AMOUNT_CURRENCY", "샌드박스는 KRW만 지원합니다.");
        }
        if self.amount.value <= 0 || !(0..=self.amount.value).contains(&self.tax_free_amount) {
            return fail("BELOW_ZERO_AMOUNT", "금액은 0보다 커야 합니다.");
        }
        if !has_origin(&self.success_url) {
            return fail("INCORRECT_SUCCESS_URL_FORMAT", "successUrl은 도메인을 포함한 주소여야 합니다.");
        }
        if !has_origin(&self.fail_url) {
            return fail("INCORRECT_FAIL_URL_FORMAT", "failUrl은 도메인을 포함한 주소여야 합니다.");
        }
        let mut metadata = self.metadata.iter().flatten();
        let is_pair = |(key, value): (&String, &Value)| {
            key.chars().count() <= 40
                && !key.contains(['[', ']'])
                && value.as_str().is_some_and(|text| text.chars().count() <= 2_000)
        };
        if self.metadata.as_ref().is_some_and(|metadata| metadata.len() > 5) || !metadata.all(is_pair) {
            return fail("INVALID_METADATA", "metadata는 5개 이하의 짧은 문자열이어야 합니다.");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use serde_json::json;

    use crate::testing::Desk;

    #[tokio::test]
    async fn the_script_knows_its_own_address_and_runs_on_any_page() {
        let desk = Desk::new();
        let script = desk.get("/toss/v2/standard").await;
        assert!(script.text().contains("const SANDBOX = \"http://127.0.0.1:8090\";"));
        assert_eq!(script.header("access-control-allow-origin"), "*");
        let preflight = Request::options("/toss/browser/payments").body(Body::empty()).unwrap();
        let preflight = desk.send(preflight).await;
        assert_eq!(preflight.header("access-control-allow-headers"), "content-type");
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        let elsewhere = desk.get("/sandbox/book").await;
        assert_eq!(elsewhere.header("access-control-allow-origin"), "");
    }

    #[tokio::test]
    async fn the_window_opens_only_for_what_the_sdk_accepts() {
        let desk = Desk::new();
        for (change, code) in [
            (json!({"clientKey": "test_gck_other"}), "INVALID_CLIENT_KEY"),
            (json!({"customerKey": "x"}), "INVALID_CUSTOMER_KEY"),
            (json!({"orderId": "short"}), "INVALID_PARAMETER"),
            (json!({"orderId": "has space"}), "INVALID_PARAMETER"),
            (json!({"orderName": ""}), "INVALID_PARAMETER"),
            (json!({"amount": {"value": 0, "currency": "KRW"}}), "BELOW_ZERO_AMOUNT"),
            (json!({"amount": {"value": 10, "currency": "USD"}}), "INVALID_AMOUNT_CURRENCY"),
            (json!({"successUrl": "/ok"}), "INCORRECT_SUCCESS_URL_FORMAT"),
            (json!({"failUrl": "javascript:alert(1)"}), "INCORRECT_FAIL_URL_FORMAT"),
            (json!({"metadata": {"a[b]": "c"}}), "INVALID_METADATA"),
        ] {
            assert_eq!(desk.open_with(change).await.refusal(), (400, code.to_owned()));
        }
        let opened = desk.open_with(json!({"method": "VIRTUAL_ACCOUNT"})).await.json();
        let window = opened["windowUrl"].as_str().unwrap().strip_prefix("http://127.0.0.1:8090").unwrap().to_owned();
        assert_eq!(desk.get(&window).await.status, StatusCode::OK);
        assert_eq!(desk.sandbox.totals().payments, 1);
    }
}
