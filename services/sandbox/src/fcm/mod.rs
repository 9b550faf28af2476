//! FCM: Google's OAuth exchange and the HTTP v1 send, mounted under `/fcm`.

mod check;
mod oauth;
mod script;
mod send;
mod web;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::post;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::Serialize;

pub(crate) use oauth::service_account_json;
use script::Script;
pub use script::{Step, UnknownStep};

use crate::lock::Lock;
use crate::{Sandbox, ids};

/// What Google answers by default.
const TOKEN_LIFETIME_SECONDS: i64 = 3599;

pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/token", post(oauth::exchange))
        .route("/v1/projects/{project}/messages:send", post(send::handle))
        .merge(web::router())
        .fallback(not_found)
}

/// Google's front end answers a page, not JSON: no proof that a device is gone.
async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Html("<html><title>Error 404 (Not Found)!!1</title><p>That's an error.</html>"))
        .into_response()
}

/// One notification on the pretended phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Google's name of the message.
    pub name: String,
    /// The device token it was sent to.
    #[serde(serialize_with = "shared_text")]
    pub token: Arc<str>,
    /// What the device replaces an earlier notification by: Android's tag, else the web's, else Apple's collapse id.
    pub tag: Option<String>,
    /// The title the buyer reads.
    pub title: Option<String>,
    /// The text the buyer reads.
    pub body: Option<String>,
    /// The app's own data.
    pub data: BTreeMap<String, String>,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
}

impl Notification {
    /// Where opening it leads to, if a browser registered it: the order's page in the shop that it was on.
    pub(crate) fn opens(&self) -> Option<String> {
        let (_, shop) = self.token.split_once('@')?;
        let order = self.data.get("orderId")?;
        (shop.starts_with("http://") || shop.starts_with("https://")).then(|| format!("{shop}/orders/{order}"))
    }
}

fn shared_text<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

#[derive(Debug)]
pub(crate) struct Fcm {
    access_tokens: Lock<HashMap<String, DateTime<Utc>>>,
    token_lifetime: AtomicI64,
    phone: Lock<Phone>,
    exchanges: AtomicU64,
    sends: AtomicU64,
}

#[derive(Debug, Default)]
struct Phone {
    notifications: Vec<Notification>,
    by_token: HashMap<Arc<str>, Vec<usize>>,
    scripts: HashMap<String, Script>,
}

impl Default for Fcm {
    fn default() -> Self {
        Self {
            access_tokens: Lock::default(),
            token_lifetime: AtomicI64::new(TOKEN_LIFETIME_SECONDS),
            phone: Lock::default(),
            exchanges: AtomicU64::new(0),
            sends: AtomicU64::new(0),
        }
    }
}

impl Fcm {
    /// An access token and its lifetime in seconds.
    fn issue(&self, now: DateTime<Utc>) -> (String, i64) {
        let lifetime = self.token_lifetime.load(Ordering::Relaxed);
        let token = ids::access_token();
        self.access_tokens.lock().insert(token.clone(), now + TimeDelta::seconds(lifetime));
        self.exchanges.fetch_add(1, Ordering::Relaxed);
        (token, lifetime)
    }

    fn count_send(&self) {
        self.sends.fetch_add(1, Ordering::Relaxed);
    }

    fn knows(&self, access_token: &str, now: DateTime<Utc>) -> bool {
        self.access_tokens.lock().get(access_token).is_some_and(|expires_at| now < *expires_at)
    }

    pub(crate) fn revoke_access_tokens(&self) {
        self.access_tokens.lock().clear();
    }

    pub(crate) fn set_token_lifetime(&self, seconds: i64) {
        self.token_lifetime.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn script(&self, token: &str, steps: Vec<Step>) {
        self.phone.lock().scripts.insert(token.to_owned(), Script::new(steps));
    }

    fn next_step(&self, token: &str) -> Step {
        self.phone.lock().scripts.get_mut(token).map_or(Step::Ok, Script::next)
    }

    fn deliver(&self, notification: Notification) {
        let mut phone = self.phone.lock();
        let index = phone.notifications.len();
        phone.by_token.entry(Arc::clone(&notification.token)).or_default().push(index);
        phone.notifications.push(notification);
    }

    pub(crate) fn notifications(&self, token: &str) -> Vec<Notification> {
        let phone = self.phone.lock();
        let indexes = phone.by_token.get(token);
        indexes.into_iter().flatten().map(|index| phone.notifications[*index].clone()).collect()
    }

    /// Oldest first.
    pub(crate) fn all_notifications(&self) -> Vec<Notification> {
        self.phone.lock().notifications.clone()
    }

    /// Newest first, at most `limit`.
    pub(crate) fn latest(&self, limit: usize) -> Vec<Notification> {
        self.phone.lock().notifications.iter().rev().take(limit).cloned().collect()
    }

    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    pub(crate) fn sends(&self) -> u64 {
        self.sends.load(Ordering::Relaxed)
    }

    /// As new, except that access tokens stay good.
    pub(crate) fn reset(&self) {
        *self.phone.lock() = Phone::default();
        self.token_lifetime.store(TOKEN_LIFETIME_SECONDS, Ordering::Relaxed);
        self.exchanges.store(0, Ordering::Relaxed);
        self.sends.store(0, Ordering::Relaxed);
    }
}
