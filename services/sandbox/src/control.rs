//! `/sandbox/…`: the switches and the oracle, in JSON, for tests and operators.
//!
//! | Request | Body | Does |
//! |---|---|---|
//! | `POST faults` | `{"endpoint":"confirm\|query\|cancel","fault":"answer-lost","orderId":"…"?,"times":1?}` | queues a fault; the names are in [`faults`](crate::faults) |
//! | `DELETE faults` | | forgets queued faults |
//! | `POST fcm/scripts` | `{"token":"…","steps":["unavailable:1","ok"]}` | scripts a device token |
//! | `POST fcm/revoke` | `{"expiresIn":5?}` | revokes all access tokens; later ones live that long |
//! | `POST clock` | `{"advanceSeconds":600}` | moves the payments' clock |
//! | `POST deposits` | `{"orderId":"…"}` | pays into the order's virtual account |
//! | `POST reset` | | forgets payments, notifications, faults, scripts, counters; ends hanging calls |
//! | `GET book` | `?orderId=…` | totals and payments, and since when it remembers them |
//! | `GET phone` | `?token=…` | notifications and counters |
//! | `GET service-account` | | the FCM service account, as a file for our adapter |

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::Sandbox;
use crate::faults::FaultOrder;
use crate::fcm::{Notification, Step};
use crate::toss::{Entry, Totals};

pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/faults", post(fault).delete(clear_faults))
        .route("/fcm/scripts", post(script))
        .route("/fcm/revoke", post(revoke))
        .route("/clock", post(advance))
        .route("/deposits", post(deposit))
        .route("/reset", post(reset))
        .route("/book", get(book))
        .route("/phone", get(phone))
        .route("/service-account", get(service_account))
}

async fn fault(State(sandbox): State<Sandbox>, Json(order): Json<FaultOrder>) -> StatusCode {
    sandbox.fault(order);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.clear_faults();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewScript {
    token: String,
    steps: Vec<Step>,
}

async fn script(State(sandbox): State<Sandbox>, Json(new): Json<NewScript>) -> StatusCode {
    sandbox.fcm_script(&new.token, new.steps);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Revocation {
    expires_in: Option<i64>,
}

async fn revoke(State(sandbox): State<Sandbox>, Json(revocation): Json<Revocation>) -> StatusCode {
    if let Some(seconds) = revocation.expires_in {
        sandbox.set_access_token_lifetime(seconds);
    }
    sandbox.revoke_access_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advance {
    advance_seconds: i32,
}

async fn advance(State(sandbox): State<Sandbox>, Json(by): Json<Advance>) -> StatusCode {
    sandbox.advance_clock(TimeDelta::seconds(by.advance_seconds.into()));
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deposit {
    pub(crate) order_id: String,
}

async fn deposit(State(sandbox): State<Sandbox>, Json(deposit): Json<Deposit>) -> StatusCode {
    if sandbox.deposit(&deposit.order_id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn reset(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.reset();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookFilter {
    order_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BookPage {
    since: DateTime<Utc>,
    totals: Totals,
    requests: u64,
    payments: Vec<Entry>,
}

async fn book(State(sandbox): State<Sandbox>, Query(filter): Query<BookFilter>) -> Json<BookPage> {
    Json(BookPage {
        since: sandbox.book_since(),
        totals: sandbox.totals(),
        requests: sandbox.total_requests(),
        payments: sandbox.payments(filter.order_id.as_deref()),
    })
}

#[derive(Deserialize)]
struct PhoneFilter {
    token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhonePage {
    exchanges: u64,
    sends: u64,
    notifications: Vec<Notification>,
}

async fn phone(State(sandbox): State<Sandbox>, Query(filter): Query<PhoneFilter>) -> Json<PhonePage> {
    Json(PhonePage {
        exchanges: sandbox.token_exchanges(),
        sends: sandbox.sends(),
        notifications: match filter.token {
            Some(token) => sandbox.notifications(&token),
            None => sandbox.all_notifications(),
        },
    })
}

async fn service_account(State(sandbox): State<Sandbox>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], sandbox.service_account_json()).into_response()
}
