//! What a browser sees of the provider.

use std::time::Instant;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::{Grant, PEOPLE};
use crate::Sandbox;
use crate::pages::html;

#[derive(Deserialize)]
pub(super) struct Asked {
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    state: String,
    #[serde(default)]
    nonce: Option<String>,
    code_challenge: String,
    code_challenge_method: String,
}

impl Asked {
    /// What a provider refuses to show a page for.
    fn refusal(&self, sandbox: &Sandbox) -> Option<&'static str> {
        if self.client_id != sandbox.settings().oidc_client_id {
            return Some("unknown client_id");
        }
        if self.response_type != "code" || !self.scope.split(' ').any(|scope| scope == "openid") {
            return Some("expected response_type=code and scope openid");
        }
        if self.code_challenge_method != "S256" || self.code_challenge.len() != 43 {
            return Some("expected a code_challenge by S256");
        }
        None
    }

    fn back(&self, name: &str, value: &str) -> Redirect {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let joint = if self.redirect_uri.contains('?') { '&' } else { '?' };
        Redirect::to(&format!("{}{joint}{name}={}&state={}", self.redirect_uri, escaped(value), escaped(&self.state)))
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    people: [(&'static str, &'static str); PEOPLE.len()],
}

pub(super) async fn ask(State(sandbox): State<Sandbox>, Query(asked): Query<Asked>) -> Response {
    match asked.refusal(&sandbox) {
        Some(why) => (StatusCode::BAD_REQUEST, why).into_response(),
        None => html(StatusCode::OK, &SignIn { people: PEOPLE }),
    }
}

#[derive(Deserialize)]
pub(super) struct Choice {
    /// Who it is; nobody when the buyer thought better of it.
    person: String,
}

pub(super) async fn choose(
    State(sandbox): State<Sandbox>,
    Query(asked): Query<Asked>,
    Form(choice): Form<Choice>,
) -> Response {
    if let Some(why) = asked.refusal(&sandbox) {
        return (StatusCode::BAD_REQUEST, why).into_response();
    }
    let known = PEOPLE.iter().any(|(subject, _)| *subject == choice.person);
    if !known {
        return asked.back("error", "access_denied").into_response();
    }
    let code = sandbox.oidc().grant(Grant {
        subject: choice.person,
        redirect_uri: asked.redirect_uri.clone(),
        nonce: asked.nonce.clone(),
        challenge: asked.code_challenge.clone(),
        at: Instant::now(),
    });
    asked.back("code", &code).into_response()
}

#[derive(Deserialize)]
pub(super) struct Leaving {
    post_logout_redirect_uri: Option<String>,
}

/// There is no session here that could end: whoever signs in says anew who they are.
pub(super) async fn sign_out(Query(leaving): Query<Leaving>) -> Response {
    match leaving.post_logout_redirect_uri {
        Some(address) => Redirect::to(&address).into_response(),
        None => "signed out".into_response(),
    }
}
