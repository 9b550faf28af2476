//! Toss Payments' core API and browser SDK, mounted under `/toss`.
//!
//! Every API call passes through `call` to `confirm`, `query`, `cancel` or `transactions`;
//! `book` is what they change. `sdk` and `window` are the browser's side, `webhook` is what the shop is told unasked.

mod answer;
mod book;
mod call;
mod cancel;
mod confirm;
mod idempotency;
mod payment;
mod payment_json;
mod query;
mod refusal;
mod sdk;
mod transactions;
mod webhook;
mod window;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

pub(crate) use book::Book;
pub use book::{Entry, Totals};
pub(crate) use idempotency::Store as IdempotencyStore;
pub use payment::Status;
pub use refusal::Refusal;
pub(crate) use webhook::PostOffice;
pub use webhook::Webhook;

use crate::Sandbox;
use answer::Answer;

pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/v1/payments/confirm", post(confirm::handle))
        .route("/v1/payments/orders/{orderId}", get(query::by_order))
        .route("/v1/payments/{paymentKey}", get(query::by_key))
        .route("/v1/payments/{paymentKey}/cancel", post(cancel::handle))
        .route("/v1/transactions", get(transactions::list))
        .route("/window/{paymentKey}", get(window::show).post(window::choose))
        .merge(sdk::router())
        .fallback(not_found)
}

async fn not_found() -> Response {
    Answer::from(&refusal::NOT_FOUND).into_response()
}
