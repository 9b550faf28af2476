//! `POST /fcm/token`: a signed assertion becomes an access token, as at Google's token endpoint.

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::Utc;
use http::StatusCode;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{RsaKey, Sandbox, Settings};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPES: [&str; 2] =
    ["https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"];
const LONGEST_ASSERTION_SECONDS: i64 = 3600;
const CLOCK_SKEW_SECONDS: i64 = 300;

/// Google takes base64 with and without padding, and the sandbox must not be stricter.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One per process.
static KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::generate("sandbox"));

/// The file Google's console would offer for download, for an account that exists only here.
pub(crate) fn service_account_json(settings: &Settings) -> String {
    json!({
        "type": "service_account",
        "project_id": settings.project_id,
        "private_key_id": KEY.id,
        "private_key": KEY.pem,
        "client_email": client_email(settings),
        "client_id": "100000000000000000000",
        "token_uri": token_uri(settings),
    })
    .to_string()
}

fn client_email(settings: &Settings) -> String {
    format!("jumun@{}.iam.gserviceaccount.com", settings.project_id)
}

fn token_uri(settings: &Settings) -> String {
    format!("{}/fcm/token", settings.public_url)
}

#[derive(Deserialize)]
pub(super) struct Request {
    grant_type: String,
    assertion: String,
}

#[derive(Serialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
    token_type: &'static str,
}

#[derive(Debug, PartialEq, Serialize)]
struct OauthError {
    error: &'static str,
    error_description: &'static str,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    scope: String,
    iat: i64,
    exp: i64,
}

pub(super) async fn exchange(State(sandbox): State<Sandbox>, Form(request): Form<Request>) -> Response {
    let now = Utc::now();
    match check(&request, sandbox.settings(), now.timestamp()) {
        Ok(()) => {
            let (access_token, expires_in) = sandbox.fcm().issue(now);
            Json(Granted { access_token, expires_in, token_type: "Bearer" }).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(error)).into_response(),
    }
}

fn check(request: &Request, settings: &Settings, now: i64) -> Result<(), OauthError> {
    if request.grant_type != GRANT_TYPE {
        return Err(OauthError { error: "unsupported_grant_type", error_description: "Invalid grant_type" });
    }
    let invalid = |error_description| OauthError { error: "invalid_grant", error_description };
    let claims = verified_claims(&request.assertion).ok_or_else(|| invalid("Invalid JWT Signature."))?;
    if claims.iss != client_email(settings) {
        return Err(invalid("Invalid grant: account not found"));
    }
    if claims.aud != token_uri(settings) {
        return Err(invalid("Invalid JWT: Failed audience check."));
    }
    let lifetime = claims.exp - claims.iat;
    if !(1..=LONGEST_ASSERTION_SECONDS).contains(&lifetime)
        || claims.iat > now + CLOCK_SKEW_SECONDS
        || claims.exp <= now
    {
        return Err(invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        ));
    }
    let mut scopes = claims.scope.split_whitespace().peekable();
    if scopes.peek().is_none() || !scopes.all(|scope| SCOPES.contains(&scope)) {
        return Err(OauthError {
            error: "invalid_scope",
            error_description: "Invalid OAuth scope or ID token audience provided.",
        });
    }
    Ok(())
}

/// The claims, if the signature over the text exactly as sent is the service account's.
fn verified_claims(assertion: &str) -> Option<Claims> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&BASE64_URL.decode(header).ok()?).ok()?;
    if header.alg != "RS256" {
        return None;
    }
    let key = DecodingKey::from_jwk(&KEY.public).ok()?;
    let unpadded = signature.trim_end_matches('=');
    let genuine = jsonwebtoken::crypto::verify(unpadded, signed.as_bytes(), &key, Algorithm::RS256).ok()?;
    if !genuine {
        return None;
    }
    serde_json::from_slice(&BASE64_URL.decode(claims).ok()?).ok()
}

/// Signs as a client library would; for the tests of everything behind the token.
#[cfg(test)]
pub(super) mod signing {
    use serde_json::Value;

    use super::*;

    pub(crate) fn assertion(claims: &Value) -> String {
        let header = jsonwebtoken::Header::new(Algorithm::RS256);
        jsonwebtoken::encode(&header, claims, &KEY.private).unwrap()
    }

    pub(crate) fn claims(settings: &Settings) -> Value {
        let now = Utc::now().timestamp();
        json!({
            "iss": client_email(settings), "aud": token_uri(settings), "scope": SCOPES[0],
            "iat": now, "exp": now + 3600,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn answer(change: impl FnOnce(&mut Value)) -> Result<(), OauthError> {
        let settings = Settings::default();
        let mut claims = signing::claims(&settings);
        change(&mut claims);
        let request = Request { grant_type: GRANT_TYPE.to_owned(), assertion: signing::assertion(&claims) };
        check(&request, &settings, Utc::now().timestamp())
    }

    #[test]
    fn an_honest_assertion_is_accepted() {
        assert_eq!(answer(|_| {}), Ok(()));
    }

    #[test]
    fn every_claim_is_checked() {
        let now = Utc::now().timestamp();
        let lies: [(&str, Value, &str); 6] = [
            ("iss", "somebody@else".into(), "invalid_grant"),
            ("aud", "https://oauth2.googleapis.com/token".into(), "invalid_grant"),
            ("scope", "https://www.googleapis.com/auth/drive".into(), "invalid_scope"),
            ("scope", "".into(), "invalid_scope"),
            ("exp", (now + 3601).into(), "invalid_grant"),
            ("exp", (now - 1).into(), "invalid_grant"),
        ];
        for (claim, value, error) in lies {
            let refused = answer(|claims| claims[claim] = value).unwrap_err();
            assert_eq!(refused.error, error, "{claim}");
        }
        let future = answer(|claims| {
            claims["iat"] = (now + 1_000).into();
            claims["exp"] = (now + 2_000).into();
        });
        assert!(future.is_err());
    }

    #[test]
    fn a_changed_or_foreign_signature_is_refused_and_padding_is_not() {
        let settings = Settings::default();
        let good = signing::assertion(&signing::claims(&settings));
        assert!(verified_claims(&good).is_some());
        assert!(verified_claims(&format!("{good}==")).is_some());
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert!(verified_claims(&format!("{signed}.{}", "A".repeat(342))).is_none());
        assert!(verified_claims(&good.replacen('.', ".A", 1)).is_none());
        assert!(verified_claims("").is_none());
    }
}
