//! `POST /v1/payments/confirm`: the buyer's money is taken.

use axum::extract::State as AppState;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Deserialize;

use super::answer::Answer;
use super::book::Book;
use super::call::Call;
use super::payment::{Means, Method, State, VirtualAccount};
use super::payment_json::PaymentJson;
use super::refusal::{self, Refusal};
use crate::Sandbox;
use crate::faults::Endpoint;

const LEAST_CARD_AMOUNT: i64 = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    payment_key: String,
    order_id: String,
    amount: i64,
}

pub(super) async fn handle(AppState(sandbox): AppState<Sandbox>, headers: HeaderMap, body: Bytes) -> Response {
    let call = match Call::open(&sandbox, Endpoint::Confirm, "/v1/payments/confirm", &headers) {
        Ok(call) => call,
        Err(answer) => return answer.into_response(),
    };
    let request = serde_json::from_slice::<Request>(&body).ok();
    let order_id = request.as_ref().map(|request| request.order_id.as_str());
    if let Some(order_id) = order_id {
        sandbox.book().count_confirm(order_id);
    }
    call.answer(order_id, || confirm(&sandbox, request.as_ref().ok_or(&refusal::INVALID_REQUEST)?)).await
}

fn confirm(sandbox: &Sandbox, request: &Request) -> Result<Answer, &'static Refusal> {
    let now = sandbox.now();
    let mut book = sandbox.book();
    let (method, decline) = judge(&mut book, request, now)?;
    if let Some(failure) = decline {
        if let Some(payment) = book.find(&request.payment_key, now).filter(|_| failure.is_final()) {
            payment.state = State::Aborted { method: Some(method), failure };
            sandbox.announce(payment, now);
        }
        return Err(failure);
    }
    match method {
        Method::Card => book.approve(&request.payment_key, Means::Card, now),
        Method::VirtualAccount => book.issue(&request.payment_key, VirtualAccount::issue(now), now),
    }
    let payment = book.find(&request.payment_key, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
    sandbox.announce(payment, now);
    Ok(Answer::ok(&PaymentJson::new(payment, &sandbox.settings().public_url, now)))
}

/// Whether the payment may be confirmed as asked, and what the buyer chose in the window.
fn judge(
    book: &mut Book,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<(Method, Option<&'static Refusal>), &'static Refusal> {
    let payment = book.find(&request.payment_key, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
    // Which code Toss sends for another order or amount is not known; this one is an assumption.
    if *payment.order_id != *request.order_id || payment.amount != request.amount {
        return Err(&refusal::INVALID_REQUEST);
    }
    let choice = match payment.state {
        State::InProgress { method, decline, .. } => (method, decline),
        State::Ready | State::Expired => return Err(&refusal::NOT_FOUND_PAYMENT_SESSION),
        _ => return Err(&refusal::ALREADY_PROCESSED_PAYMENT),
    };
    if payment.amount < LEAST_CARD_AMOUNT {
        return Err(&refusal::BELOW_MINIMUM_AMOUNT);
    }
    if book.is_order_occupied(&request.order_id) {
        return Err(&refusal::DUPLICATED_ORDER_ID);
    }
    Ok(choice)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::{Value, json};

    use crate::testing::{Desk, confirm, with};

    #[tokio::test]
    async fn a_card_is_charged_once() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let payment = desk.confirm(&key, "order-1", 15_000).await.json();
        let expected = [
            ("status", json!("DONE")),
            ("method", json!("카드")),
            ("totalAmount", json!(15_000)),
            ("balanceAmount", json!(15_000)),
            ("suppliedAmount", json!(13_636)),
            ("vat", json!(1_364)),
            ("currency", json!("KRW")),
            ("virtualAccount", Value::Null),
            ("cancels", Value::Null),
        ];
        for (field, value) in expected {
            assert_eq!(payment[field], value, "{field}");
        }
        assert!(payment["approvedAt"].as_str().unwrap().ends_with("+09:00"));
        let again = desk.confirm(&key, "order-1", 15_000).await;
        assert_eq!(again.refusal(), (400, "ALREADY_PROCESSED_PAYMENT".to_owned()));
        assert_eq!(desk.sandbox.money_taken("order-1"), 15_000);
        assert_eq!(desk.sandbox.approvals("order-1"), 1);
        assert_eq!(desk.sandbox.confirm_calls("order-1"), 2);
    }

    #[tokio::test]
    async fn what_does_not_match_takes_no_money() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=card").await;
        let unseen = desk.open("order-2", 15_000).await;
        let tiny = desk.authenticated("order-3", 99, "choice=card").await;
        for (key, order_id, amount, status, code) in [
            (key.as_str(), "order-1", 1_000, 400, "INVALID_REQUEST"),
            (&key, "order-9", 15_000, 400, "INVALID_REQUEST"),
            ("no-such-key", "order-1", 15_000, 404, "NOT_FOUND_PAYMENT"),
            (&unseen, "order-2", 15_000, 404, "NOT_FOUND_PAYMENT_SESSION"),
            (&tiny, "order-3", 99, 400, "BELOW_MINIMUM_AMOUNT"),
        ] {
            assert_eq!(desk.confirm(key, order_id, amount).await.refusal(), (status, code.to_owned()));
        }
        let body = json!({"paymentKey": key, "orderId": "order-1", "amount": "15000"});
        let text = desk.post("/toss/v1/payments/confirm", &body).await;
        assert_eq!(text.refusal(), (400, "INVALID_REQUEST".to_owned()));
        assert_eq!(desk.sandbox.totals().approved, 0);
    }

    #[tokio::test]
    async fn an_order_is_paid_by_one_payment_only() {
        let desk = Desk::new();
        let first = desk.authenticated("order-1", 15_000, "choice=card").await;
        let second = desk.authenticated("order-1", 15_000, "choice=card").await;
        desk.confirm(&first, "order-1", 15_000).await;
        let refused = desk.confirm(&second, "order-1", 15_000).await;
        assert_eq!(refused.refusal(), (400, "DUPLICATED_ORDER_ID".to_owned()));
        let found = desk.get("/toss/v1/payments/orders/order-1").await.json();
        assert_eq!((found["paymentKey"].as_str(), found["status"].as_str()), (Some(first.as_str()), Some("DONE")));
    }

    #[tokio::test]
    async fn a_declined_card_is_final_and_a_failing_toss_is_not() {
        let desk = Desk::new();
        let declined = desk.authenticated("order-1", 15_000, "choice=decline&code=REJECT_CARD_PAYMENT").await;
        let refused = desk.confirm(&declined, "order-1", 15_000).await;
        assert_eq!(refused.refusal(), (403, "REJECT_CARD_PAYMENT".to_owned()));
        let payment = desk.get(&format!("/toss/v1/payments/{declined}")).await.json();
        assert_eq!(payment["status"], "ABORTED");
        assert_eq!(payment["failure"]["code"], "REJECT_CARD_PAYMENT");
        assert_eq!(payment["balanceAmount"], 15_000);

        let next = desk.authenticated("order-1", 15_000, "choice=card").await;
        let failed = desk.send(with(confirm(&next, "order-1", 15_000), "sandbox-fault", "decline=COMMON_ERROR")).await;
        assert_eq!(failed.refusal(), (500, "COMMON_ERROR".to_owned()));
        assert_eq!(desk.status(&next).await, "IN_PROGRESS");
        assert_eq!(desk.sandbox.money_taken("order-1"), 0);
    }

    #[tokio::test]
    async fn both_windows_close() {
        let desk = Desk::new();
        let opened = desk.open("order-1", 15_000).await;
        let authenticated = desk.authenticated("order-2", 15_000, "choice=card").await;
        desk.sandbox.advance_clock(TimeDelta::minutes(10));
        assert_eq!(desk.status(&opened).await, "READY");
        let late = desk.confirm(&authenticated, "order-2", 15_000).await;
        assert_eq!(late.refusal(), (404, "NOT_FOUND_PAYMENT_SESSION".to_owned()));
        assert_eq!(desk.status(&authenticated).await, "EXPIRED");
        desk.sandbox.advance_clock(TimeDelta::minutes(20));
        let payment = desk.get("/toss/v1/payments/orders/order-1").await.json();
        assert_eq!(payment["status"], "EXPIRED");
        assert_eq!(payment["failure"]["code"], "EXPIRED_PAYMENT");
        assert_eq!(payment["useEscrow"], Value::Null);
    }

    #[tokio::test]
    async fn a_virtual_account_is_paid_when_somebody_pays() {
        let desk = Desk::new();
        let key = desk.authenticated("order-1", 15_000, "choice=virtual-account").await;
        let payment = desk.confirm(&key, "order-1", 15_000).await.json();
        assert_eq!(payment["status"], "WAITING_FOR_DEPOSIT");
        assert_eq!(payment["approvedAt"], Value::Null);
        assert!(payment["secret"].as_str().unwrap().starts_with("ps_"));
        assert!(payment["virtualAccount"]["accountNumber"].as_str().unwrap().starts_with('X'));
        assert_eq!(desk.sandbox.money_taken("order-1"), 0);
        assert!(desk.sandbox.deposit("order-1"));
        assert!(!desk.sandbox.deposit("order-1"), "only one deposit is awaited");
        assert_eq!(desk.status(&key).await, "DONE");
        assert_eq!(desk.sandbox.money_taken("order-1"), 15_000);
    }
}
