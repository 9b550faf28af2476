//! The provider's keys, and the tokens that they sign.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::IdTokenLie;
use crate::RsaKey;

const TOKEN_LIFETIME_SECONDS: i64 = 300;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// One set per process. The last one is never published.
static KEYS: LazyLock<[RsaKey; 3]> =
    LazyLock::new(|| [0, 1, 2].map(|number| RsaKey::generate(&format!("sandbox-{number}"))));

fn key(number: usize) -> &'static RsaKey {
    &KEYS[number % (KEYS.len() - 1)]
}

/// The set that holds the key in use, and no other.
pub(super) fn published(number: usize) -> Value {
    json!({"keys": [key(number).public]})
}

/// What a token is to say.
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    pub(super) nonce: Option<&'a str>,
}

/// A token, or one that is wrong in the given way. `None` when that is to have none.
pub(super) fn id_token(number: usize, claims: &Claims<'_>, lie: Option<IdTokenLie>) -> Option<String> {
    let now = Utc::now().timestamp();
    let mut said = json!({
        "iss": claims.issuer, "sub": claims.subject, "aud": claims.audience, "nonce": claims.nonce,
        "iat": now, "exp": now + TOKEN_LIFETIME_SECONDS,
    });
    let key = key(number);
    let mut header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::RS256) };
    match lie {
        None => {}
        Some(IdTokenLie::WrongNonce) => said["nonce"] = "another".into(),
        Some(IdTokenLie::NoNonce) => said["nonce"] = Value::Null,
        Some(IdTokenLie::WrongAudience) => said["aud"] = "another-shop".into(),
        Some(IdTokenLie::SecondAudience) => said["aud"] = json!([claims.audience, "another-shop"]),
        Some(IdTokenLie::WrongIssuer) => said["iss"] = "http://127.0.0.1:1/oidc".into(),
        Some(IdTokenLie::Expired) => said["exp"] = (now - 60 * 60).into(),
        Some(IdTokenLie::FromTheFuture) => {
            said["iat"] = (now + DAY_SECONDS).into();
            said["exp"] = (now + 2 * DAY_SECONDS).into();
        }
        Some(IdTokenLie::Unsigned) => {
            let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
            return Some(format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&said)));
        }
        Some(IdTokenLie::PublicKeyAsSecret) => {
            header.alg = Algorithm::HS256;
            let secret = serde_json::to_vec(&key.public).unwrap_or_default();
            return encode(&header, &said, &EncodingKey::from_secret(&secret)).ok();
        }
        Some(IdTokenLie::ForeignKey) => return encode(&header, &said, &KEYS[KEYS.len() - 1].private).ok(),
        Some(IdTokenLie::Missing) => return None,
    }
    encode(&header, &said, &key.private).ok()
}
