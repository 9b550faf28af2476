//! `GET /v1/payments/{paymentKey}` and `GET /v1/payments/orders/{orderId}`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use super::answer::Answer;
use super::call::Call;
use super::payment_json::PaymentJson;
use super::refusal;
use crate::Sandbox;
use crate::faults::Endpoint;

pub(super) async fn by_key(State(sandbox): State<Sandbox>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    let call = match Call::open(&sandbox, Endpoint::Query, "/v1/payments/{paymentKey}", &headers) {
        Ok(call) => call,
        Err(answer) => return answer.into_response(),
    };
    let order_id = sandbox.order_id_for_fault(&key);
    call.answer(order_id.as_deref(), || {
        let now = sandbox.now();
        let mut book = sandbox.book();
        let payment = book.find(&key, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
        Ok(Answer::ok(&PaymentJson::new(payment, &sandbox.settings().public_url, now)))
    })
    .await
}

pub(super) async fn by_order(
    State(sandbox): State<Sandbox>,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let call = match Call::open(&sandbox, Endpoint::Query, "/v1/payments/orders/{orderId}", &headers) {
        Ok(call) => call,
        Err(answer) => return answer.into_response(),
    };
    call.answer(Some(&order_id), || {
        let now = sandbox.now();
        let mut book = sandbox.book();
        let payment = book.find_by_order(&order_id, now).ok_or(&refusal::NOT_FOUND_PAYMENT)?;
        Ok(Answer::ok(&PaymentJson::new(payment, &sandbox.settings().public_url, now)))
    })
    .await
}
