//! Stand-ins for Toss Payments, FCM and an identity provider on loopback; never deployed.
//!
//! Everything is kept in memory. The same binaries that run against the real providers run against this one by
//! changing a base URL and a key:
//!
//! | Provider | Base URL |
//! |---|---|
//! | Toss Payments (core API v1, SDK v2) | `{sandbox}/toss` |
//! | FCM (OAuth exchange, HTTP v1) | `{sandbox}/fcm` |
//! | An identity provider (three people, no passwords) | `{sandbox}/oidc` |
//!
//! What the sandbox proves is our code against our reading of the providers' documents, not against the providers.
//!
//! # A purchase without a browser
//!
//! The script at `{sandbox}/toss/v2/standard` does no more than the first of these three requests:
//!
//! 1. Open a payment, as `requestPayment` does. The answer is `{"paymentKey","windowUrl"}`:
//!    `POST {sandbox}/toss/browser/payments` with JSON `{"clientKey", "customerKey", "orderId", "orderName",
//!    "amount": {"value": 15000, "currency": "KRW"}, "successUrl", "failUrl"}`; optional `"flow": "widget"|"payment"`,
//!    `"method": "CARD"|"VIRTUAL_ACCOUNT"`, `"customerName"`, `"taxFreeAmount"`, `"metadata"`.
//! 2. Authenticate, as the buyer does in the window: `POST {windowUrl}` as a form with `choice=card`,
//!    `choice=virtual-account`, `choice=decline&code=REJECT_CARD_PAYMENT`, `choice=abort` or `choice=cancel`. The answer
//!    is 303 with the shop's `successUrl` or `failUrl` in `Location`.
//! 3. Confirm, as the shop's server does: `POST {sandbox}/toss/v1/payments/confirm` with Basic authentication and JSON
//!    `{"paymentKey", "orderId", "amount"}`.
//!
//! Beyond the providers' own interfaces there are fault switches ([`faults`]), a control API ([`control`]) and an
//! overview page at `/`. A test in the same process uses the methods of [`Sandbox`] instead.

mod clock;
pub mod control;
pub mod faults;
mod fcm;
mod ids;
mod lock;
mod oidc;
mod pages;
mod rsa_key;
mod serving;
mod settings;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod testing;
mod toss;

use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

pub use faults::{Endpoint, Fault, FaultOrder};
pub use fcm::{Notification, Step, UnknownStep};
pub use oidc::IdTokenLie;
pub use rsa_key::RsaKey;
pub use serving::{Serving, run};
pub use settings::Settings;
pub use toss::{Entry, Refusal, Status, Totals, Webhook};

use clock::Clock;
use faults::Faults;
use fcm::Fcm;
use lock::Lock;
use oidc::Oidc;
use toss::{Book, IdempotencyStore, PostOffice};

/// What the Firebase console would show as the sandbox's web configuration.
pub const FIREBASE_CONFIG: &str =
    r#"{"apiKey":"sandbox","projectId":"jumun-sandbox","messagingSenderId":"1","appId":"1:1:web:sandbox"}"#;

/// The public key that goes with it.
pub const FIREBASE_VAPID_KEY: &str = "sandbox";

/// Longer than any client waits; so that a call nobody ends does not stay for ever.
const LONGEST_HANG: Duration = Duration::from_mins(10);

/// One sandbox. Clones share it.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    clock: Clock,
    book: Lock<Book>,
    idempotency: IdempotencyStore,
    faults: Faults,
    post_office: PostOffice,
    fcm: Fcm,
    oidc: Oidc,
    requests: AtomicU64,
    hangs: Notify,
}

/// All providers, the control API and the overview page.
pub fn router(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/", get(pages::overview))
        .route("/deposit", post(pages::deposit))
        .route("/deposit/reverse", post(pages::reverse_deposit))
        .nest("/toss", toss::router())
        .nest("/fcm", fcm::router())
        .nest("/oidc", oidc::router(sandbox.clone()))
        .nest("/sandbox", control::router())
        .with_state(sandbox)
}

impl Sandbox {
    /// An empty book and a silent phone.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            clock: Clock::default(),
            book: Lock::default(),
            idempotency: IdempotencyStore::default(),
            faults: Faults::default(),
            post_office: PostOffice::default(),
            fcm: Fcm::default(),
            oidc: Oidc::default(),
            requests: AtomicU64::new(0),
            hangs: Notify::new(),
        }))
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The service-account file our FCM adapter signs in with. Its key pair is made afresh by each process.
    pub fn service_account_json(&self) -> String {
        fcm::service_account_json(&self.0.settings)
    }

    /// Queues a fault for calls to come.
    pub fn fault(&self, order: FaultOrder) {
        self.0.faults.push(order);
    }

    /// Forgets the faults nobody has met yet.
    pub fn clear_faults(&self) {
        self.0.faults.clear();
    }

    /// Ends the calls that hang at this moment, by closing their connections. A server shutting down wants this.
    pub fn release_hanging_calls(&self) {
        self.0.hangs.notify_waiters();
    }

    /// Moves the clock the payments live by.
    pub fn advance_clock(&self, by: TimeDelta) {
        self.0.clock.advance(by);
        self.announce_expired();
    }

    /// Tells the shop of payments whose window or whose time for the confirm has passed. Of an account that nobody paid
    /// into in time Toss says nothing.
    pub(crate) fn announce_expired(&self) {
        let now = self.now();
        let mut book = self.book();
        for payment in book.run_out(now) {
            self.announce(payment, now);
        }
    }

    /// Pays into the order's virtual account; false when none is waiting.
    pub fn deposit(&self, order_id: &str) -> bool {
        let now = self.now();
        let mut book = self.book();
        let paid = book.deposit(order_id, now);
        if let Some(payment) = &paid {
            self.announce(payment, now);
        }
        paid.is_some()
    }

    /// The bank takes the deposit back: it was an error. False when the order has none, or some of it was given back.
    pub fn reverse_deposit(&self, order_id: &str) -> bool {
        let now = self.now();
        let mut book = self.book();
        let reversed = book.reverse_deposit(order_id, now);
        if let Some(payment) = &reversed {
            self.announce(payment, now);
        }
        reversed.is_some()
    }

    /// What FCM will answer for a device token: step by step, the last one for ever.
    pub fn fcm_script(&self, token: &str, steps: Vec<Step>) {
        self.0.fcm.script(token, steps);
    }

    /// Every access token handed out so far stops working.
    pub fn revoke_access_tokens(&self) {
        self.0.fcm.revoke_access_tokens();
    }

    /// How long the next access tokens live.
    pub fn set_access_token_lifetime(&self, seconds: i64) {
        self.0.fcm.set_token_lifetime(seconds);
    }

    /// As new: payments, answers, faults, webhooks, scripts, notifications, counters and the clock. Access tokens stay good.
    pub fn reset(&self) {
        *self.book() = Book::default();
        self.0.idempotency.clear();
        self.0.faults.clear();
        self.0.post_office.clear();
        self.0.fcm.reset();
        self.0.oidc.reset();
        self.0.clock.reset();
        self.0.requests.store(0, Ordering::Relaxed);
        self.release_hanging_calls();
    }

    /// Won taken for an order and not given back.
    pub fn money_taken(&self, order_id: &str) -> i64 {
        self.book().money_taken(order_id)
    }

    /// How often money was taken for an order; more than once is a double charge.
    pub fn approvals(&self, order_id: &str) -> usize {
        self.book().approvals(order_id)
    }

    /// How often confirm was called for an order, replays and faults included.
    pub fn confirm_calls(&self, order_id: &str) -> u64 {
        self.book().confirm_calls(order_id)
    }

    /// The payments of one order, or of all, oldest first.
    pub fn payments(&self, order_id: Option<&str>) -> Vec<Entry> {
        self.book().entries(order_id, self.now())
    }

    /// Since when it remembers payments: it knows none that was begun before.
    pub fn book_since(&self) -> DateTime<Utc> {
        self.book().since()
    }

    /// Sums over the whole book.
    pub fn totals(&self) -> Totals {
        self.book().totals()
    }

    /// Calls to Toss's API, whatever became of them.
    pub fn total_requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// What a device received, oldest first.
    pub fn notifications(&self, token: &str) -> Vec<Notification> {
        self.0.fcm.notifications(token)
    }

    /// What all devices received, oldest first.
    pub fn all_notifications(&self) -> Vec<Notification> {
        self.0.fcm.all_notifications()
    }

    /// Access tokens handed out.
    pub fn token_exchanges(&self) -> u64 {
        self.0.fcm.exchanges()
    }

    /// Calls to FCM's send, whatever became of them.
    pub fn sends(&self) -> u64 {
        self.0.fcm.sends()
    }

    /// Makes the next id token wrong in that way.
    pub fn lie_about_identity(&self, lie: IdTokenLie) {
        self.0.oidc.lie(lie);
    }

    /// The identity provider signs with another key, and publishes that one alone.
    pub fn rotate_identity_keys(&self) {
        self.0.oidc.rotate();
    }

    /// The identity provider answers 503, or does not any more.
    pub fn set_identity_provider_down(&self, down: bool) {
        self.0.oidc.set_down(down);
    }

    /// Requests to the identity provider, whatever became of them.
    pub fn identity_requests(&self) -> u64 {
        self.0.oidc.requests()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock()
    }

    pub(crate) fn idempotency(&self) -> &IdempotencyStore {
        &self.0.idempotency
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn post_office(&self) -> &PostOffice {
        &self.0.post_office
    }

    pub(crate) fn fcm(&self) -> &Fcm {
        &self.0.fcm
    }

    pub(crate) fn oidc(&self) -> &Oidc {
        &self.0.oidc
    }

    pub(crate) fn count_request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A call by payment key belongs to an order only in the book. Looked up only while faults are waiting.
    pub(crate) fn order_id_for_fault(&self, payment_key: &str) -> Option<String> {
        if !self.0.faults.are_waiting() {
            return None;
        }
        self.book().order_id_of(payment_key).map(str::to_owned)
    }

    /// Says nothing until somebody ends it, then closes the connection.
    pub(crate) async fn hang(&self) -> Response {
        tokio::select! {
            () = self.0.hangs.notified() => {}
            () = tokio::time::sleep(LONGEST_HANG) => {}
        }
        faults::closed_connection()
    }
}
