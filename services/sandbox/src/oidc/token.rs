//! `POST /oidc/token`: a code becomes an id token, for the shop that it was made for and once.

use std::sync::atomic::Ordering;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::issuer;
use super::sign::{Claims, id_token};
use crate::{Sandbox, Settings, ids};

#[derive(Deserialize)]
pub(super) struct Exchange {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<String>,
}

pub(super) async fn exchange(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    Form(asked): Form<Exchange>,
) -> Response {
    let refused = |status: StatusCode, error: &str| (status, Json(json!({"error": error}))).into_response();
    if !is_client(&headers, &asked, sandbox.settings()) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    if asked.grant_type != "authorization_code" {
        return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    // Gone, whatever is wrong with the rest: who tries twice has lost.
    let Some(grant) = sandbox.oidc().redeem(&asked.code) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, asked.code_verifier.as_bytes()));
    if grant.redirect_uri != asked.redirect_uri || grant.challenge != challenge {
        return refused(StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let claims = Claims {
        issuer: &issuer(&headers),
        subject: &grant.subject,
        audience: &sandbox.settings().oidc_client_id,
        nonce: grant.nonce.as_deref(),
    };
    let lie = sandbox.oidc().lies.lock().pop_front();
    let key = sandbox.oidc().key.load(Ordering::Relaxed);
    let mut answer = json!({"access_token": ids::access_token(), "token_type": "Bearer", "expires_in": 300});
    if let Some(token) = id_token(key, &claims, lie) {
        answer["id_token"] = token.into();
    }
    Json(answer).into_response()
}

/// By either of the two ways that providers commonly offer.
fn is_client(headers: &HeaderMap, asked: &Exchange, settings: &Settings) -> bool {
    let (id, secret) = (&settings.oidc_client_id, &settings.oidc_client_secret);
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == basic.as_bytes())
        || (asked.client_id.as_ref() == Some(id) && asked.client_secret.as_ref() == Some(secret))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http::header::{CONTENT_TYPE, LOCATION};

    use crate::testing::{Desk, Reply};

    use super::*;

    const VERIFIER: &str = "a-verifier-that-is-long-enough-for-the-specification";

    async fn code(desk: &Desk) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let asked = format!(
            "/oidc/authorize?response_type=code&client_id=jumun-shop&redirect_uri=http%3A%2F%2Fshop.test%2Fback&scope=openid\
             &state=s&nonce=n&code_challenge={challenge}&code_challenge_method=S256"
        );
        assert!(desk.get(&asked).await.text().contains("김주문"));
        let reply = post(desk, &asked, "person=jumun-kim").await;
        let back = reply.headers[LOCATION].to_str().unwrap();
        let code = back.strip_prefix("http://shop.test/back?code=").unwrap().strip_suffix("&state=s").unwrap();
        code.to_owned()
    }

    async fn post(desk: &Desk, path: &str, form: &str) -> Reply {
        let request = Request::post(path)
            .header("host", "idp.test")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        desk.send(request.unwrap()).await
    }

    async fn status(desk: &Desk, code: &str, change: (&str, &str)) -> u16 {
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2Fshop.test%2Fback&code_verifier={VERIFIER}\
             &client_id=jumun-shop&client_secret={}",
            Settings::default().oidc_client_secret
        );
        post(desk, "/oidc/token", &form.replace(change.0, change.1)).await.status.as_u16()
    }

    #[tokio::test]
    async fn a_code_is_good_once_for_who_asked_for_it() {
        let desk = Desk::new();
        let good = code(&desk).await;
        assert_eq!(status(&desk, &good, ("", "")).await, 200);
        assert_eq!(status(&desk, &good, ("", "")).await, 400, "once");
        for (change, expected) in [
            (("a-verifier", "b-verifier"), 400),
            (("shop.test", "evil.test"), 400),
            (("authorization_code", "password"), 400),
            (("client_secret=", "client_secret=x"), 401),
        ] {
            let code = code(&desk).await;
            assert_eq!(status(&desk, &code, change).await, expected, "{change:?}");
        }
    }
}
