//! An identity provider with three people, mounted under `/oidc`: discovery, the page to sign in on, the token endpoint
//! with its PKCE check, the keys, and signing out. Nobody has a password.

mod lie;
mod page;
mod sign;
mod token;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::HOST;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

pub use lie::IdTokenLie;

use crate::lock::Lock;
use crate::{Sandbox, ids};

/// Who can sign in: the provider's name for them, and their own.
pub(crate) const PEOPLE: [(&str, &str); 3] = [
    ("jumun-kim", "김주문 · Kim Jumun"),
    ("baesong-lee", "이배송 · Lee Baesong"),
    ("alex-park", "박알렉스 · Alex Park"),
];

/// How long a code is good.
const CODE_AGE: Duration = Duration::from_mins(1);

/// What the provider remembers.
#[derive(Debug, Default)]
pub(crate) struct Oidc {
    codes: Lock<HashMap<String, Grant>>,
    lies: Lock<VecDeque<IdTokenLie>>,
    down: AtomicBool,
    /// Which of the keys signs.
    key: AtomicUsize,
    requests: AtomicU64,
}

/// What a code stands for.
#[derive(Debug, Clone)]
struct Grant {
    subject: String,
    redirect_uri: String,
    nonce: Option<String>,
    challenge: String,
    at: Instant,
}

impl Oidc {
    fn grant(&self, grant: Grant) -> String {
        let code = ids::code();
        self.codes.lock().insert(code.clone(), grant);
        code
    }

    /// A code is good once.
    fn redeem(&self, code: &str) -> Option<Grant> {
        self.codes.lock().remove(code).filter(|grant| grant.at.elapsed() < CODE_AGE)
    }

    pub(crate) fn lie(&self, lie: IdTokenLie) {
        self.lies.lock().push_back(lie);
    }

    pub(crate) fn rotate(&self) {
        self.key.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.codes.lock().clear();
        self.lies.lock().clear();
        self.set_down(false);
    }
}

pub(crate) fn router(sandbox: Sandbox) -> Router<Sandbox> {
    let counted = from_fn(move |request: Request, next: Next| {
        let sandbox = sandbox.clone();
        async move {
            sandbox.oidc().requests.fetch_add(1, Ordering::Relaxed);
            if sandbox.oidc().down.load(Ordering::Relaxed) {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            next.run(request).await
        }
    });
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/authorize", get(page::ask).post(page::choose))
        .route("/token", post(token::exchange))
        .route("/sign-out", get(page::sign_out))
        .layer(counted)
}

/// The provider's name is the address that it is asked at: the shop's server may reach it by another than browsers do.
fn issuer(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{host}/oidc")
}

async fn discovery(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Json<Value> {
    let issuer = issuer(&headers);
    let browsers = format!("{}/oidc", sandbox.settings().public_url);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{browsers}/authorize"),
        "end_session_endpoint": format!("{browsers}/sign-out"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid"],
    }))
}

async fn keys(State(sandbox): State<Sandbox>) -> Response {
    Json(sign::published(sandbox.oidc().key.load(Ordering::Relaxed))).into_response()
}
