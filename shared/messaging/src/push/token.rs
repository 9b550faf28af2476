//! The token that comes with a push request: who sent it, and for which subscription.

use std::fmt;
use std::sync::Arc;

use chrono::Utc;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::key::{self, PushKey};
use super::keys::{KeySet, NoKey};
use crate::embedded::PROJECT;
use crate::topology::{SUBSCRIPTIONS, Subscription};

/// Google's are less than 1 KB.
const LENGTH_LIMIT: usize = 8 * 1024;

/// How far clocks may differ.
const LEEWAY: u64 = 60;

/// On whose behalf Google must have signed.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The service account that the subscriptions push as. Anybody can have Google sign a token for our audiences; only
    /// this says that it is Pub/Sub on our behalf.
    pub service_account: String,
    /// Where the keys are.
    pub jwks_url: String,
}

/// Verifies tokens. A token is for one subscription, whose full name is its audience.
pub(super) struct TokenVerifier {
    issuer: Issuer,
    rules: Validation,
}

/// Whose tokens are taken.
enum Issuer {
    /// Google's, by a key that it publishes, for this service account.
    Google { keys: Box<KeySet>, service_account: String },
    /// The embedded broker's, by the key that it shares with the workers.
    Broker(Arc<DecodingKey>),
}

/// Why a token is not good.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadToken {
    /// It proves nothing.
    #[error("it does not hold: {0}")]
    Unproven(&'static str),
    /// It is a good token, but not for this.
    #[error("it is somebody else's: {0}")]
    Foreign(&'static str),
    /// It could not be examined.
    #[error("it cannot be examined now")]
    NotNow,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    iat: i64,
}

impl TokenVerifier {
    /// Takes Google's tokens for the subscriptions of this project.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub(super) fn google(project: &str, sender: Sender) -> reqwest::Result<Self> {
        let keys = Box::new(KeySet::new(sender.jwks_url)?);
        let issuers = ["https://accounts.google.com", "accounts.google.com"];
        let issuer = Issuer::Google { keys, service_account: sender.service_account };
        Ok(Self::new(issuer, project, &issuers))
    }

    /// Takes the embedded broker's tokens.
    pub(super) fn broker(key: &PushKey) -> Self {
        Self::new(Issuer::Broker(Arc::new(key.verifying())), PROJECT, &[key::ISSUER])
    }

    fn new(issuer: Issuer, project: &str, issuers: &[&str]) -> Self {
        let mut rules = Validation::new(issuer.algorithm());
        rules.leeway = LEEWAY;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(issuers);
        rules.set_audience(&SUBSCRIPTIONS.each_ref().map(|it| it.resource(project)));
        Self { issuer, rules }
    }

    /// The subscription that a good token is for.
    pub(super) async fn verify(&self, token: &str) -> Result<&'static Subscription, BadToken> {
        if token.len() > LENGTH_LIMIT {
            return Err(BadToken::Unproven("it is too long"));
        }
        let header = decode_header(token).map_err(|_| BadToken::Unproven("it is not a JSON web token"))?;
        // Before any key is looked at: with HS256 Google's public key would do as the secret.
        if header.alg != self.issuer.algorithm() {
            return Err(BadToken::Unproven("it is not signed as ours are"));
        }
        if header.crit.is_some() {
            return Err(BadToken::Unproven("it has extensions that we do not know"));
        }
        let key = self.issuer.key(header.kid.as_deref()).await?;
        let claims = decode::<Claims>(token, &key, &self.rules).map_err(|error| refusal(error.kind()))?.claims;
        if claims.iat > Utc::now().timestamp() + LEEWAY.cast_signed() {
            return Err(BadToken::Unproven("it was issued in the future"));
        }
        if let Issuer::Google { service_account, .. } = &self.issuer
            && (claims.email.as_ref() != Some(service_account) || !claims.email_verified)
        {
            return Err(BadToken::Foreign("not our service account's"));
        }
        Subscription::of_resource(&claims.aud).ok_or(BadToken::Foreign("meant for another audience"))
    }
}

impl Issuer {
    /// The only one that is taken.
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Google { .. } => Algorithm::RS256,
            Self::Broker(_) => key::ALGORITHM,
        }
    }

    async fn key(&self, kid: Option<&str>) -> Result<Arc<DecodingKey>, BadToken> {
        match self {
            Self::Broker(key) => Ok(Arc::clone(key)),
            Self::Google { keys, .. } => {
                let kid = kid.ok_or(BadToken::Unproven("it names no key"))?;
                keys.get(kid).await.map_err(|no_key| match no_key {
                    NoKey::Unknown => BadToken::Unproven("its key is not one of Google's"),
                    NoKey::Unavailable => BadToken::NotNow,
                })
            }
        }
    }
}

fn refusal(error: &ErrorKind) -> BadToken {
    match error {
        ErrorKind::InvalidSignature => BadToken::Unproven("the signature is wrong"),
        ErrorKind::ExpiredSignature => BadToken::Unproven("it has expired"),
        ErrorKind::ImmatureSignature => BadToken::Unproven("it is not yet valid"),
        ErrorKind::InvalidAudience => BadToken::Foreign("meant for another audience"),
        ErrorKind::InvalidIssuer => BadToken::Foreign("issued by somebody else"),
        _ => BadToken::Unproven("it is malformed"),
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").finish_non_exhaustive()
    }
}
