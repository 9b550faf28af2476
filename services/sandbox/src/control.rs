//! `/sandbox/…`: fault switches and the record of what happened, in JSON, for tests and people.
//!
//! | Request | Body | Does |
//! |---|---|---|
//! | `POST faults` | `{"endpoint":"confirm\|query\|cancel","fault":"answer-lost","orderId":"…"?,"times":1?}` | queues a fault; the names are in [`faults`](crate::faults) |
//! | `DELETE faults` | | forgets queued faults |
//! | `POST fcm/scripts` | `{"token":"…","steps":["unavailable:1","ok"]}` | scripts a device token |
//! | `POST fcm/revoke` | `{"expiresIn":5?}` | revokes all access tokens; later ones live that long |
//! | `POST oidc/lies` | `{"lie":"wrong-nonce"}` | makes the next id token wrong; the names are in [`IdTokenLie`] |
//! | `POST oidc/rotate` | | the identity provider signs with another key |
//! | `POST oidc/down` | `{"down":true}` | the identity provider answers 503, or no more |
//! | `POST clock` | `{"advanceSeconds":600}` | moves the payments' clock |
//! | `POST deposits` | `{"orderId":"…"}` | pays into the order's virtual account |
//! | `POST deposits/reverse` | `{"orderId":"…"}` | takes that deposit back: it was an error |
//! | `POST webhooks/hold` | | webhooks wait |
//! | `POST webhooks/release` | `{"reversed":true?}` | sends those that waited, in that order |
//! | `POST webhooks/repeat` | `{"id":"…","times":2}` | sends a webhook again, so often at once |
//! | `POST webhooks/forge` | `{"body":"…"}` | sends what Toss never wrote |
//! | `POST webhooks/payout` | `{"status":"COMPLETED"}` | tells of a payout: the event that is signed |
//! | `GET webhooks` | `?orderId=…` | the latest webhooks, and what they were answered |
//! | `POST reset` | | forgets payments, notifications, faults, webhooks, scripts, counters; ends hanging calls |
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
use crate::oidc::IdTokenLie;
use crate::toss::{Entry, Totals, Webhook};

pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/faults", post(fault).delete(clear_faults))
        .route("/fcm/scripts", post(script))
        .route("/fcm/revoke", post(revoke))
        .route("/oidc/lies", post(lie))
        .route("/oidc/rotate", post(rotate))
        .route("/oidc/down", post(take_down))
        .route("/clock", post(advance))
        .route("/deposits", post(deposit))
        .route("/deposits/reverse", post(reverse_deposit))
        .route("/webhooks", get(webhooks))
        .route("/webhooks/hold", post(hold_webhooks))
        .route("/webhooks/release", post(release_webhooks))
        .route("/webhooks/repeat", post(repeat_webhook))
        .route("/webhooks/forge", post(forge_webhook))
        .route("/webhooks/payout", post(announce_payout))
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
#[serde(deny_unknown_fields)]
struct Lie {
    lie: IdTokenLie,
}

async fn lie(State(sandbox): State<Sandbox>, Json(told): Json<Lie>) -> StatusCode {
    sandbox.lie_about_identity(told.lie);
    StatusCode::NO_CONTENT
}

async fn rotate(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.rotate_identity_keys();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Availability {
    down: bool,
}

async fn take_down(State(sandbox): State<Sandbox>, Json(availability): Json<Availability>) -> StatusCode {
    sandbox.set_identity_provider_down(availability.down);
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

async fn reverse_deposit(State(sandbox): State<Sandbox>, Json(deposit): Json<Deposit>) -> StatusCode {
    if sandbox.reverse_deposit(&deposit.order_id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn webhooks(State(sandbox): State<Sandbox>, Query(filter): Query<BookFilter>) -> Json<Vec<Webhook>> {
    Json(sandbox.webhooks(filter.order_id.as_deref()))
}

async fn hold_webhooks(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.hold_webhooks();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    #[serde(default)]
    reversed: bool,
}

async fn release_webhooks(State(sandbox): State<Sandbox>, Json(release): Json<Release>) -> StatusCode {
    sandbox.release_webhooks(release.reversed);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repetition {
    id: String,
    times: u32,
}

async fn repeat_webhook(State(sandbox): State<Sandbox>, Json(again): Json<Repetition>) -> StatusCode {
    if sandbox.repeat_webhook(&again.id, again.times) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgery {
    body: String,
}

async fn forge_webhook(State(sandbox): State<Sandbox>, Json(forgery): Json<Forgery>) -> StatusCode {
    sandbox.forge_webhook(forgery.body);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payout {
    status: String,
}

async fn announce_payout(State(sandbox): State<Sandbox>, Json(payout): Json<Payout>) -> StatusCode {
    sandbox.announce_payout(&payout.status);
    StatusCode::NO_CONTENT
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
