use axum::Router;
use axum::extract::State;
use axum::routing::post;
use database::messaging_tokens::{self, Locale, Registration};
use domain::{DeviceToken, TokenKind};
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use service::{ApiJson, Problem};

use crate::app::{App, database_trouble};
use crate::session::{Guest, NewCookie, Visitor};

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/messaging-tokens", post(register).delete(remove))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    #[serde(default)]
    kind: TokenKind,
    token: String,
    #[serde(default)]
    locale: Locale,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveBody {
    #[serde(default)]
    kind: TokenKind,
    token: String,
}

/// FCM's tokens are visible ASCII; 4096 is the column's limit.
pub(crate) fn parse_device(kind: TokenKind, token: String) -> Result<DeviceToken, Problem> {
    if (1..=4096).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(DeviceToken { kind, token: token.into() });
    }
    Err(Problem::invalid("token: expected 1 to 4096 visible ASCII characters").with("field", "token"))
}

/// The owner is whoever holds the session; the body cannot name one.
async fn register(
    State(app): State<App>,
    guest: Guest,
    headers: HeaderMap,
    ApiJson(body): ApiJson<RegisterBody>,
) -> Result<(NewCookie, StatusCode), Problem> {
    let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let registration = Registration {
        customer: guest.customer.id,
        token: parse_device(body.kind, body.token)?,
        locale: body.locale,
        user_agent: user_agent.map(|text| text.chars().take(300).collect()),
    };
    messaging_tokens::register(&app.db, &registration).await.map_err(|error| database_trouble(&error))?;
    Ok((guest.cookie, StatusCode::NO_CONTENT))
}

/// Also what signing out does first, so that the next owner's payments do not show here.
async fn remove(
    State(app): State<App>,
    Visitor(customer): Visitor,
    ApiJson(body): ApiJson<RemoveBody>,
) -> Result<StatusCode, Problem> {
    let customer = customer.ok_or_else(Problem::not_found)?;
    let token = parse_device(body.kind, body.token)?;
    match messaging_tokens::remove(&app.db, customer.id, &token).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err(Problem::not_found()),
        Err(error) => Err(database_trouble(&error)),
    }
}
