//! `GET /`: the money the sandbox took and the notifications on its phone.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use tracing::error;

use crate::Sandbox;
use crate::control::Deposit;
use crate::fcm::Notification;
use crate::toss::{Entry, Status, Totals};

const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    totals: Totals,
    payments: Vec<Entry>,
    notifications: Vec<Notification>,
}

pub(crate) async fn overview(State(sandbox): State<Sandbox>) -> Response {
    let now = sandbox.now();
    let page = Overview {
        totals: sandbox.totals(),
        payments: sandbox.book().latest(SHOWN, now),
        notifications: sandbox.fcm().latest(SHOWN),
    };
    html(StatusCode::OK, &page)
}

/// The button beside a waiting virtual account.
pub(crate) async fn deposit(State(sandbox): State<Sandbox>, Form(deposit): Form<Deposit>) -> Response {
    if sandbox.deposit(&deposit.order_id) {
        Redirect::to("/").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// The button beside a virtual account that was paid into.
pub(crate) async fn reverse_deposit(State(sandbox): State<Sandbox>, Form(deposit): Form<Deposit>) -> Response {
    if sandbox.reverse_deposit(&deposit.order_id) {
        Redirect::to("/").into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

pub(crate) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            error!(%error, "Could not render a page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `12,000원`
#[expect(clippy::trivially_copy_pass_by_ref, reason = "askama passes arguments by reference")]
pub(crate) fn won(amount: &i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let mut text = String::from(if *amount < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text.push('원');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::won;
    use crate::testing::Desk;

    #[tokio::test]
    async fn the_page_says_what_it_is_not_and_escapes_what_it_shows() {
        let desk = Desk::new();
        let opened = desk.open_with(json!({"orderName": "<script>alert(1)</script>"})).await.json();
        let key = opened["paymentKey"].as_str().unwrap();
        desk.choose(key, "choice=virtual-account").await;
        desk.confirm(key, "order-1", 15_000).await;
        let page = desk.get("/").await;
        assert!(page.text().contains("이것은 토스페이먼츠가 아닙니다 · This is not Toss"));
        assert!(!page.text().contains("<script>alert"));
        assert!(page.text().contains("WAITING_FOR_DEPOSIT"));
        assert!(page.text().contains("15,000원"));
    }

    #[test]
    fn won_are_grouped() {
        for (amount, text) in [(0, "0원"), (999, "999원"), (1_000, "1,000원"), (-12_345_678, "-12,345,678원")] {
            assert_eq!(won(&amount), text);
        }
    }
}
