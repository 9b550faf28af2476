//! The payment window, where the buyer authenticates or gives up.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State as AppState};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::payment::{Flow, Method, Payment, State};
use super::refusal::{self, Refusal};
use crate::Sandbox;

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The declines offered in the window; a plain client may send any code of the table.
static DECLINES: [&Refusal; 6] = [
    &refusal::REJECT_CARD_PAYMENT,
    &refusal::REJECT_CARD_COMPANY,
    &refusal::INVALID_STOPPED_CARD,
    &refusal::EXCEED_MAX_DAILY_PAYMENT_COUNT,
    &refusal::PROVIDER_ERROR,
    &refusal::FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING,
];

#[derive(Template)]
#[template(path = "window.html")]
struct WindowPage<'a> {
    order_name: &'a str,
    order_id: &'a str,
    amount: i64,
    account_first: bool,
    declines: &'static [&'static Refusal],
}

#[derive(Template)]
#[template(path = "closed.html")]
struct ClosedPage {
    status: Option<&'static str>,
}

#[derive(Deserialize)]
pub(super) struct Preference {
    method: Option<Method>,
}

pub(super) async fn show(
    AppState(sandbox): AppState<Sandbox>,
    Path(key): Path<String>,
    Query(preference): Query<Preference>,
) -> Response {
    let now = sandbox.now();
    let mut book = sandbox.book();
    let Some(payment) = book.find(&key, now) else { return closed(None) };
    if !matches!(payment.state, State::Ready) {
        return closed(Some(payment));
    }
    let page = WindowPage {
        order_name: &payment.order_name,
        order_id: &payment.order_id,
        amount: payment.amount,
        account_first: preference.method == Some(Method::VirtualAccount),
        declines: &DECLINES,
    };
    crate::pages::html(StatusCode::OK, &page)
}

/// What the buyer pressed.
#[derive(Deserialize)]
#[serde(tag = "choice", rename_all = "kebab-case")]
pub(super) enum Choice {
    Card,
    VirtualAccount,
    /// Authenticates; confirm will be refused with the code.
    Decline {
        code: &'static Refusal,
    },
    /// Authentication itself fails.
    Abort,
    Cancel,
}

pub(super) async fn choose(
    AppState(sandbox): AppState<Sandbox>,
    Path(key): Path<String>,
    Form(choice): Form<Choice>,
) -> Response {
    let now = sandbox.now();
    let mut book = sandbox.book();
    let Some(payment) = book.find(&key, now) else { return closed(None) };
    if !matches!(payment.state, State::Ready) {
        return closed(Some(payment));
    }
    let authenticated = |method, decline| State::InProgress { method, authenticated_at: now, decline };
    let address = match choice {
        Choice::Card => {
            payment.state = authenticated(Method::Card, None);
            success_address(payment)
        }
        Choice::VirtualAccount => {
            payment.state = authenticated(Method::VirtualAccount, None);
            success_address(payment)
        }
        Choice::Decline { code } => {
            payment.state = authenticated(Method::Card, Some(code));
            success_address(payment)
        }
        Choice::Abort => {
            payment.state = State::Aborted { method: None, failure: &refusal::REJECT_CARD_COMPANY };
            sandbox.announce(payment, now);
            let message = "결제가 중단되었습니다.";
            let result = [("code", "PAY_PROCESS_ABORTED"), ("message", message), ("orderId", &payment.order_id)];
            with_query(&payment.fail_url, &result)
        }
        // Nothing happened to the payment: the buyer may come back until the window's time is over.
        Choice::Cancel => {
            let result = [("code", "PAY_PROCESS_CANCELED"), ("message", "사용자에 의해 결제가 취소되었습니다.")];
            with_query(&payment.fail_url, &result)
        }
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response()
}

fn success_address(payment: &Payment) -> String {
    let amount = payment.amount.to_string();
    let result = [
        ("paymentType", "NORMAL"),
        ("orderId", &*payment.order_id),
        ("paymentKey", &*payment.key),
        ("amount", &amount),
    ];
    match payment.flow {
        Flow::Widget => with_query(&payment.success_url, &result),
        Flow::Payment => with_query(&payment.success_url, &result[1..]),
    }
}

/// Appends to whatever query the shop's address has, before its fragment.
fn with_query(address: &str, pairs: &[(&str, &str)]) -> String {
    let (address, fragment) = match address.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (address, None),
    };
    let mut out = address.to_owned();
    let mut separator = match address.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    for (name, value) in pairs {
        out.push_str(separator);
        out.push_str(name);
        out.push('=');
        out.extend(utf8_percent_encode(value, QUERY));
        separator = "&";
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    out
}

fn closed(payment: Option<&mut Payment>) -> Response {
    let status = if payment.is_some() { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
    crate::pages::html(status, &ClosedPage { status: payment.map(|payment| payment.status().as_str()) })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use http::StatusCode;
    use serde_json::json;

    use super::with_query;
    use crate::testing::Desk;

    #[tokio::test]
    async fn success_carries_what_the_shop_confirms_with() {
        let desk = Desk::new();
        let key = desk.open("order-1", 15_000).await;
        let page = desk.get(&format!("/toss/window/{key}")).await;
        assert!(page.text().contains("이것은 토스페이먼츠가 아닙니다"));
        let back = desk.choose(&key, "choice=card").await;
        assert_eq!(back.status, StatusCode::SEE_OTHER);
        let expected =
            format!("http://shop.test/ok?lang=ko&paymentType=NORMAL&orderId=order-1&paymentKey={key}&amount=15000");
        assert_eq!(back.header("location"), expected);
        let twice = desk.choose(&key, "choice=card").await;
        assert_eq!(twice.status, StatusCode::CONFLICT);
        assert!(twice.text().contains("IN_PROGRESS"));
    }

    #[tokio::test]
    async fn the_payment_half_of_the_sdk_has_no_payment_type() {
        let desk = Desk::new();
        let opened = desk.open_with(json!({"flow": "payment", "method": "CARD"})).await.json();
        let key = opened["paymentKey"].as_str().unwrap();
        let back = desk.choose(key, "choice=card").await;
        let expected = format!("http://shop.test/ok?lang=ko&orderId=order-1&paymentKey={key}&amount=15000");
        assert_eq!(back.header("location"), expected);
    }

    #[tokio::test]
    async fn a_cancel_names_no_order_and_changes_nothing_and_an_abort_does() {
        let desk = Desk::new();
        let key = desk.open("order-1", 15_000).await;
        let canceled = desk.choose(&key, "choice=cancel").await;
        let address = canceled.header("location");
        assert!(address.starts_with("http://shop.test/fail?code=PAY_PROCESS_CANCELED&message="), "{address}");
        assert!(!address.contains("orderId"));
        assert_eq!(desk.status(&key).await, "READY");
        let aborted = desk.choose(&key, "choice=abort").await;
        assert!(aborted.header("location").contains("code=PAY_PROCESS_ABORTED"));
        assert!(aborted.header("location").ends_with("&orderId=order-1"));
        assert_eq!(desk.status(&key).await, "ABORTED");
    }

    #[tokio::test]
    async fn a_closed_window_lets_nobody_authenticate() {
        let desk = Desk::new();
        let key = desk.open("order-1", 15_000).await;
        desk.sandbox.advance_clock(TimeDelta::minutes(30));
        assert_eq!(desk.choose(&key, "choice=card").await.status, StatusCode::CONFLICT);
        assert_eq!(desk.choose("no-such-key", "choice=card").await.status, StatusCode::NOT_FOUND);
        assert_eq!(desk.choose(&key, "choice=decline&code=NOT_A_CODE").await.status.as_u16(), 422);
    }

    #[test]
    fn the_result_joins_the_query_that_is_there() {
        let pairs = [("orderId", "o-1"), ("message", "취소 & 끝")];
        let encoded = "orderId=o-1&message=%EC%B7%A8%EC%86%8C%20%26%20%EB%81%9D";
        for (address, expected) in [
            ("http://shop/ok", format!("http://shop/ok?{encoded}")),
            ("http://shop/ok?", format!("http://shop/ok?{encoded}")),
            ("http://shop/ok?a=1", format!("http://shop/ok?a=1&{encoded}")),
            ("http://shop/ok?a=1#top", format!("http://shop/ok?a=1&{encoded}#top")),
        ] {
            assert_eq!(with_query(address, &pairs), expected);
        }
    }
}
