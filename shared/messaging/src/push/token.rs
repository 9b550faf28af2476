//! The token that Pub/Sub puts on a push request: who sent it, and to whom.

use std::fmt;

use chrono::Utc;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::keys::{KeySet, NoKey};

/// Google's are less than 1 KB.
const LENGTH_LIMIT: usize = 8 * 1024;

/// How far clocks may differ.
const LEEWAY: u64 = 60;

/// Whose tokens are taken, and whom they must be meant for.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The service account that the subscriptions push as. Anybody can have Google sign a token for our audience; only
    /// this says that it is Pub/Sub on our behalf.
    pub service_account: String,
    /// The audience that the subscriptions name: this worker, and no other.
    pub audience: String,
    /// Where the keys are.
    pub jwks_url: String,
}

/// Verifies tokens.
pub struct TokenVerifier {
    keys: KeySet,
    service_account: String,
    rules: Validation,
}

/// Why a token is not good.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadToken {
    /// It proves nothing.
    #[error("it does not hold: {0}")]
    Unproven(&'static str),
    /// It is a token of Google's, but not for this.
    #[error("it is somebody else's: {0}")]
    Foreign(&'static str),
    /// It could not be examined.
    #[error("it cannot be examined now")]
    NotNow,
}

#[derive(Deserialize)]
struct Claims {
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
    iat: i64,
}

impl TokenVerifier {
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(sender: Sender) -> reqwest::Result<Self> {
        let mut rules = Validation::new(Algorithm::RS256);
        rules.leeway = LEEWAY;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&["https://accounts.google.com", "accounts.google.com"]);
        rules.set_audience(&[sender.audience]);
        Ok(Self { keys: KeySet::new(sender.jwks_url)?, service_account: sender.service_account, rules })
    }

    pub(super) async fn verify(&self, token: &str) -> Result<(), BadToken> {
        if token.len() > LENGTH_LIMIT {
            return Err(BadToken::Unproven("it is too long"));
        }
        let header = decode_header(token).map_err(|_| BadToken::Unproven("it is not a JSON web token"))?;
        // Before any key is looked at: with HS256 a public key would do as the secret.
        if header.alg != Algorithm::RS256 {
            return Err(BadToken::Unproven("it is not signed with RS256"));
        }
        if header.crit.is_some() {
            return Err(BadToken::Unproven("it has extensions that we do not know"));
        }
        let kid = header.kid.ok_or(BadToken::Unproven("it names no key"))?;
        let key = self.keys.get(&kid).await.map_err(|no_key| match no_key {
            NoKey::Unknown => BadToken::Unproven("its key is not one of Google's"),
            NoKey::Unavailable => BadToken::NotNow,
        })?;
        let claims = decode::<Claims>(token, &key, &self.rules).map_err(|error| refusal(error.kind()))?.claims;
        if claims.iat > Utc::now().timestamp() + LEEWAY.cast_signed() {
            return Err(BadToken::Unproven("it was issued in the future"));
        }
        if claims.email.as_deref() != Some(&self.service_account) || !claims.email_verified {
            return Err(BadToken::Foreign("not our service account's"));
        }
        Ok(())
    }
}

fn refusal(error: &ErrorKind) -> BadToken {
    match error {
        ErrorKind::InvalidSignature => BadToken::Unproven("the signature is wrong"),
        ErrorKind::ExpiredSignature => BadToken::Unproven("it has expired"),
        ErrorKind::ImmatureSignature => BadToken::Unproven("it is not yet valid"),
        ErrorKind::InvalidAudience => BadToken::Foreign("meant for another audience"),
        ErrorKind::InvalidIssuer => BadToken::Foreign("not issued by Google's accounts"),
        _ => BadToken::Unproven("it is malformed"),
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}
