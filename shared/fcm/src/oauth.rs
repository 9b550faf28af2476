//! Access tokens: the service account's signature in exchange for a token that lasts an hour.

use std::time::{Duration, Instant};

use chrono::Utc;
use domain::PushError;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, de};
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::answer::excerpt;
use crate::client;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long Google's refusal, or its silence, is good for everybody: otherwise each of a thousand waiting
/// notifications would ask again, one after the other.
const FAILURE_HOLDS: Duration = Duration::from_secs(1);

/// The identity we send as: the JSON file that the Firebase console hands out.
#[derive(Debug, Deserialize)]
pub struct ServiceAccount {
    pub(crate) project_id: String,
    client_email: String,
    #[serde(deserialize_with = "secret")]
    private_key: SecretString,
    private_key_id: String,
    #[serde(deserialize_with = "token_uri")]
    token_uri: String,
}

impl ServiceAccount {
    /// Reads the text of the file.
    pub fn from_json(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    /// The key to sign with, proven by signing once.
    pub(crate) fn key(&self) -> jsonwebtoken::errors::Result<EncodingKey> {
        let key = EncodingKey::from_rsa_pem(self.private_key.expose_secret().as_bytes())?;
        self.assertion(&key)?;
        Ok(key)
    }

    fn assertion(&self, key: &EncodingKey) -> jsonwebtoken::errors::Result<String> {
        let header = Header { kid: Some(self.private_key_id.clone()), ..Header::new(Algorithm::RS256) };
        let iat = Utc::now().timestamp();
        let claims = Claims { iss: &self.client_email, scope: SCOPE, aud: &self.token_uri, iat, exp: iat + 60 * 60 };
        jsonwebtoken::encode(&header, &claims, key)
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    expires_in: u64,
}

/// Why there is no token.
#[derive(Clone)]
enum Denial {
    Refused(String),
    NotNow,
}

impl From<Denial> for PushError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(message) => Self::Auth(message),
            // Nothing was sent: whatever kept the token away, the notification did not arrive.
            Denial::NotNow => Self::Retry { after: None },
        }
    }
}

/// The current access token. Everybody waits for the one exchange that is under way and shares what comes of it.
pub(crate) struct Tokens {
    http: Client,
    account: ServiceAccount,
    key: EncodingKey,
    last: Mutex<Option<Exchange>>,
}

struct Exchange {
    outcome: Result<HeaderValue, Denial>,
    good_until: Instant,
}

impl Tokens {
    pub(crate) fn new(http: Client, account: ServiceAccount, key: EncodingKey) -> Self {
        Self { http, account, key, last: Mutex::default() }
    }

    /// The `Authorization` header to send with.
    pub(crate) async fn bearer(&self) -> Result<HeaderValue, PushError> {
        let mut last = self.last.lock().await;
        let exchange = match last.take() {
            Some(exchange) if Instant::now() < exchange.good_until => exchange,
            _ => self.exchange().await,
        };
        Ok(last.insert(exchange).outcome.clone()?)
    }

    /// FCM did not accept this one. Somebody may have replaced it meanwhile.
    pub(crate) async fn reject(&self, bearer: &HeaderValue) {
        let mut last = self.last.lock().await;
        last.take_if(|exchange| exchange.outcome.as_ref().is_ok_and(|current| current == bearer));
    }

    async fn exchange(&self) -> Exchange {
        let asked_at = Instant::now();
        match self.ask().await {
            Ok((bearer, lifetime)) => {
                debug!("Got an access token for {} s", lifetime.as_secs());
                // Early enough for a message that is still on its way when the token expires.
                let margin = (lifetime / 10).min(Duration::from_mins(1));
                Exchange { outcome: Ok(bearer), good_until: asked_at + lifetime.saturating_sub(margin) }
            }
            Err(denial) => Exchange { outcome: Err(denial), good_until: Instant::now() + FAILURE_HOLDS },
        }
    }

    async fn ask(&self) -> Result<(HeaderValue, Duration), Denial> {
        let not_now = |why: &dyn std::fmt::Display| {
            warn!("No access token from {}: {why}", self.account.token_uri);
            Denial::NotNow
        };
        let assertion = self.account.assertion(&self.key).map_err(|error| Denial::Refused(error.to_string()))?;
        let form = [("grant_type", GRANT), ("assertion", &assertion)];
        let response =
            self.http.post(&self.account.token_uri).form(&form).send().await.map_err(|error| not_now(&error))?;
        let status = response.status();
        let body = client::read(response).await.map_err(|error| not_now(&error))?;
        if status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(Denial::Refused(excerpt(&String::from_utf8_lossy(&body))));
        }
        if status != reqwest::StatusCode::OK {
            return Err(not_now(&status));
        }
        // The error itself might quote the token.
        let grant: Grant = serde_json::from_slice(&body).map_err(|_| not_now(&"the answer is unreadable"))?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", grant.access_token))
            .map_err(|_| not_now(&"the token does not fit in a header"))?;
        bearer.set_sensitive(true);
        // A day at most: this is added to a clock.
        Ok((bearer, Duration::from_secs(grant.expires_in).min(Duration::from_hours(24))))
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(Into::into)
}

/// Whoever answers at `token_uri` receives our signature, so a file from somebody else must not choose freely.
fn token_uri<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let uri = String::deserialize(deserializer)?;
    let google = |url: &Url| {
        url.scheme() == "https" && matches!(url.host_str(), Some("oauth2.googleapis.com" | "accounts.google.com"))
    };
    if Url::parse(&uri).is_ok_and(|url| google(&url) || client::on_this_machine(&url)) {
        Ok(uri)
    } else {
        Err(de::Error::custom("token_uri is neither Google's nor on this machine"))
    }
}
