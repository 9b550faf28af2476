//! Tokens as Google signs them, with keys of our own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use axum::Json;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use chrono::Utc;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, Header, encode};
use sandbox::RsaKey;
use serde_json::{Value, json};

/// The service account that pushes come from.
pub const PUSHER: &str = "pusher@shop.iam.gserviceaccount.com";

/// All tests share them.
static KEYS: LazyLock<[RsaKey; 4]> =
    LazyLock::new(|| [0, 1, 2, 3].map(|number| RsaKey::generate(&format!("key-{number}"))));

/// What Google has: a key to sign with, and the set that it publishes, which always holds two.
#[derive(Default)]
pub struct KeyRing {
    current: Mutex<usize>,
    asked: AtomicUsize,
}

impl KeyRing {
    /// Signs with a key that nobody has seen published, and withdraws an old one.
    pub fn rotate(&self) {
        *self.current.lock().unwrap() += 2;
    }

    /// How often the set was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The published set, with an age of an hour.
    pub fn publish(&self) -> impl IntoResponse + use<> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = [self.key(0), self.key(1)].map(|key| key.public.clone());
        ([(CACHE_CONTROL, "public, max-age=3600")], Json(json!({"keys": keys})))
    }

    /// A good token.
    pub fn token(&self, audience: &str) -> String {
        self.sign(&self.header(), &claims(audience))
    }

    /// The header of a good token.
    pub fn header(&self) -> Header {
        Header { kid: Some(self.key(0).id.clone()), ..Header::new(Algorithm::RS256) }
    }

    /// A token that says whatever it is told to say, by the key that the header should name.
    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key(0).private).expect("a token")
    }

    /// A token by a key that is not published, whatever the header says.
    pub fn forge(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.key(2).private).expect("a token")
    }

    /// The public key that good tokens are verified with, as everybody can read it.
    pub fn public_key(&self) -> &'static Jwk {
        &self.key(0).public
    }

    fn key(&self, further: usize) -> &'static RsaKey {
        &KEYS[(*self.current.lock().unwrap() + further) % KEYS.len()]
    }
}

/// What a good token says.
pub fn claims(audience: &str) -> Value {
    let now = Utc::now().timestamp();
    json!({
        "iss": "https://accounts.google.com", "aud": audience, "azp": "113774264463038321964",
        "sub": "113774264463038321964", "email": PUSHER, "email_verified": true, "iat": now, "exp": now + 3600,
    })
}
