//! The key that the embedded broker signs its pushes with, and shares with the workers.

use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use service::Env;

/// How it signs.
pub(super) const ALGORITHM: Algorithm = Algorithm::HS256;

/// Who signs with it.
pub(super) const ISSUER: &str = "jumun";

/// As long as the hash: anything shorter is easier to guess than to forge.
const SHORTEST: usize = 32;

/// How long a token holds, in seconds: it is made for one request.
const LIFE: i64 = 300;

/// `PUSH_KEY`.
#[derive(Debug, Clone)]
pub struct PushKey(SecretString);

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl PushKey {
    /// A key, unless it is shorter than 32 bytes.
    pub fn new(secret: SecretString) -> Option<Self> {
        (secret.expose_secret().len() >= SHORTEST).then_some(Self(secret))
    }

    /// Reads the setting; what is wrong with it is refused by `env.finish()`.
    pub fn read(env: &mut Env) -> Option<Self> {
        let secret = env.optional_secret(
            "PUSH_KEY",
            "key with which the embedded broker signs its pushes, at least 32 characters; the same for broker and workers",
        )?;
        let key = Self::new(secret);
        if key.is_none() {
            env.refuse("PUSH_KEY", format_args!("must have at least {SHORTEST} characters"));
        }
        key
    }

    /// A token for a push of the subscription of this full name.
    pub(crate) fn token(&self, resource: &str) -> jsonwebtoken::errors::Result<String> {
        let now = Utc::now().timestamp();
        let claims = Claims { iss: ISSUER, aud: resource, iat: now, exp: now + LIFE };
        encode(&Header::new(ALGORITHM), &claims, &EncodingKey::from_secret(self.0.expose_secret().as_bytes()))
    }

    pub(super) fn verifying(&self) -> DecodingKey {
        DecodingKey::from_secret(self.0.expose_secret().as_bytes())
    }
}
