//! `GET /v1/transactions`: everything that happened to money, in the order in which it did.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as AppState};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::call::Call;
use super::payment::{Method, Payment, Status};
use super::refusal;
use crate::faults::Endpoint;
use crate::{Sandbox, clock, ids};

/// One line of the list. A payment has one for its approval and one for each cancel.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transaction {
    #[serde(rename = "transactionKey")]
    key: String,
    payment_key: Arc<str>,
    order_id: Arc<str>,
    method: Option<&'static str>,
    use_escrow: bool,
    status: Status,
    #[serde(rename = "transactionAt", serialize_with = "clock::serialize")]
    at: DateTime<Utc>,
    currency: &'static str,
    amount: i64,
}

impl Transaction {
    /// Notes what just happened to a payment, and gives it a key of its own.
    pub(super) fn note(payment: &mut Payment, amount: i64, at: DateTime<Utc>) -> Self {
        let key = ids::transaction_key();
        payment.last_transaction_key = Some(key.clone());
        Self::of(payment, key, amount, at)
    }

    /// The sum of a cancel has no sign. That of an account nobody paid into is listed like any other.
    pub(super) fn of_last_cancel(payment: &Payment) -> Option<Self> {
        let cancel = payment.cancels.last()?;
        Some(Self::of(payment, cancel.transaction_key.clone(), cancel.cancel_amount, cancel.canceled_at))
    }

    fn of(payment: &Payment, key: String, amount: i64, at: DateTime<Utc>) -> Self {
        Self {
            key,
            payment_key: Arc::clone(&payment.key),
            order_id: Arc::clone(&payment.order_id),
            method: payment.method().map(Method::in_korean),
            use_escrow: false,
            status: payment.status(),
            at,
            currency: "KRW",
            amount,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    start_date: NaiveDateTime,
    end_date: NaiveDateTime,
    starting_after: Option<String>,
    #[serde(default = "usual_limit")]
    limit: usize,
}

fn usual_limit() -> usize {
    100
}

pub(super) async fn list(
    AppState(sandbox): AppState<Sandbox>,
    span: Result<Query<Span>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let call = match Call::open(&sandbox, Endpoint::Query, "/v1/transactions", &headers) {
        Ok(call) => call,
        Err(answer) => return answer.into_response(),
    };
    call.answer(None, || {
        let Ok(Query(span)) = span else { return Err(&refusal::INVALID_REQUEST) };
        if !(100..=5_000).contains(&span.limit) {
            return Err(&refusal::INVALID_REQUEST);
        }
        // The last second is part of the span, to its end.
        let (from, to) = (clock::from_korea(span.start_date), clock::from_korea(span.end_date) + TimeDelta::seconds(1));
        let book = sandbox.book();
        let mut all = book.transactions();
        if let Some(key) = &span.starting_after {
            let last = all.iter().position(|it| it.key == *key).ok_or(&refusal::INVALID_TRANSACTION_KEY)?;
            all = &all[last + 1..];
        }
        let asked = all.iter().filter(|it| (from..to).contains(&it.at));
        Ok(Answer::ok(&asked.take(span.limit).collect::<Vec<_>>()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};
    use serde_json::{Value, json};

    use crate::testing::Desk;

    /// Everything of the last hour and the next.
    async fn list(desk: &Desk, more: &str) -> Value {
        let korea = |hours: i64| (Utc::now() + TimeDelta::hours(9 + hours)).format("%Y-%m-%dT%H:%M:%S").to_string();
        let (start, end) = (korea(-1), korea(1));
        desk.get(&format!("/toss/v1/transactions?startDate={start}&endDate={end}{more}")).await.json()
    }

    fn sums(list: &Value) -> Vec<(&str, i64)> {
        let line = |it: &'_ Value| it["amount"].as_i64().unwrap();
        list.as_array().unwrap().iter().map(|it| (it["status"].as_str().unwrap(), line(it))).collect()
    }

    #[tokio::test]
    async fn every_movement_is_listed_with_a_key_of_its_own() {
        let desk = Desk::new();
        let key = desk.paid("order-1", "choice=card").await;
        desk.cancel(&key, json!({"cancelReason": "x", "cancelAmount": 5_000})).await;
        let waiting = desk.paid("order-2", "choice=virtual-account").await;
        desk.cancel(&waiting, json!({"cancelReason": "x"})).await;
        desk.paid("order-3", "choice=virtual-account").await;
        assert!(desk.sandbox.deposit("order-3"));
        let all = list(&desk, "").await;
        let expected = [
            ("DONE", 15_000),
            ("PARTIAL_CANCELED", 5_000),
            ("WAITING_FOR_DEPOSIT", 0),
            ("CANCELED", 15_000),
            ("WAITING_FOR_DEPOSIT", 0),
            ("DONE", 15_000),
        ];
        assert_eq!(sums(&all), expected);
        let payment = desk.get(&format!("/toss/v1/payments/{key}")).await.json();
        assert_eq!(all[1]["transactionKey"], payment["lastTransactionKey"]);
        assert_ne!(all[0]["transactionKey"], all[1]["transactionKey"]);
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_time_is_a_limit() {
        let desk = Desk::new();
        for n in 0..101 {
            desk.paid(&format!("order-{n}"), "choice=card").await;
        }
        let first = list(&desk, "").await;
        assert_eq!(first.as_array().unwrap().len(), 100);
        let last = first[99]["transactionKey"].as_str().unwrap();
        let rest = list(&desk, &format!("&startingAfter={last}&limit=5000")).await;
        assert_eq!(rest.as_array().unwrap().len(), 1);
        assert_eq!(list(&desk, "&startingAfter=unheard-of").await["code"], "INVALID_TRANSACTION_KEY");
        assert_eq!(list(&desk, "&limit=99").await["code"], "INVALID_REQUEST");
        desk.sandbox.advance_clock(TimeDelta::hours(2));
        desk.paid("order-late", "choice=card").await;
        assert_eq!(list(&desk, "&limit=5000").await.as_array().unwrap().len(), 101);
    }
}
