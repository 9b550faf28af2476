//! The admin API's bearer token.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};
use service::Problem;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::app::App;

/// A request that carries the admin token. Without such a token in the settings there is no such route.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let Some(token) = &app.admin_token else { return Err(Problem::not_found().into_response()) };
        let claimed = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if claimed.is_some_and(|claimed| is(token, claimed)) {
            return Ok(Self);
        }
        let refusal = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "An admin token is needed, as a Bearer");
        Err(([(WWW_AUTHENTICATE, "Bearer")], refusal).into_response())
    }
}

/// Hashes are compared, so that the time it takes tells neither the token nor its length.
fn is(token: &SecretString, claimed: &str) -> bool {
    let hash = |text: &str| Sha256::digest(text.as_bytes());
    hash(token.expose_secret()).ct_eq(&hash(claimed)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = SecretString::from("correct horse battery staple");
        assert!(is(&token, "correct horse battery staple"));
        for wrong in ["", "correct", "correct horse battery staple ", "Correct horse battery staple"] {
            assert!(!is(&token, wrong), "{wrong}");
        }
    }
}
