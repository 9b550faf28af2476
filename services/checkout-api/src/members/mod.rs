//! Signing in and out at the shop's own identity provider. Everybody else buys as a guest.

mod local_path;
mod provider;
mod settings;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use database::members;
use domain::TokenKind;
use http::HeaderMap;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use service::{ApiForm, ApiQuery, Problem};
use tracing::info;

pub(crate) use provider::{NoIdentity, Provider};
pub use settings::ProviderSettings;

use crate::app::{App, database_trouble};
use crate::pages::{Frame, sign_in_problem, signed_out};
use crate::routes::parse_device;
use crate::session::{Guest, NewCookie, Visitor, hash, session};
use crate::web_push::WebPush;
use local_path::local_path;

/// Where the provider sends people back to: registered there, below the shop's own address.
const CALLBACK: &str = "/sign-in/callback";

pub(crate) fn router() -> Router<App> {
    Router::new().route("/sign-in", get(depart)).route(CALLBACK, get(arrive)).route("/sign-out", post(sign_out))
}

/// Told to every page, as an extension of its request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Offer {
    /// Whether there is a provider to sign in at.
    pub(crate) sign_in: bool,
    /// How a browser registers for notifications, if it can.
    pub(crate) push: Option<Arc<WebPush>>,
}

/// How a page is to greet its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// There is no signing in, or nobody has asked who it is.
    None,
    /// Nobody has signed in on this browser.
    Guest,
    /// Somebody has.
    Member,
}

impl Account {
    pub(crate) fn of(offer: &Offer, Visitor(customer): Visitor) -> Self {
        match customer {
            _ if !offer.sign_in => Self::None,
            Some(customer) if customer.member => Self::Member,
            _ => Self::Guest,
        }
    }
}

#[derive(Deserialize)]
struct DepartQuery {
    #[serde(default, rename = "return")]
    return_to: String,
}

/// Sends the buyer to the provider. What must come back with them is bound to the session of this very browser, a
/// guest's, which begins here if there is none.
async fn depart(
    State(app): State<App>,
    frame: Frame,
    guest: Guest,
    ApiQuery(query): ApiQuery<DepartQuery>,
) -> Result<Response, Problem> {
    let provider = app.provider.as_ref().ok_or_else(Problem::not_found)?;
    let departure = match provider.depart(local_path(&query.return_to)).await {
        Ok(departure) => departure,
        Err(why) => return Ok((guest.cookie, sign_in_problem(&frame, why)).into_response()),
    };
    let (state, session) = (hash(departure.state.expose_secret()), hash(guest.session.expose_secret()));
    let begun = members::begin(&app.db, &state, &session, &departure.sign_in).await;
    begun.map_err(|error| database_trouble(&error))?;
    Ok((guest.cookie, Redirect::to(&departure.address)).into_response())
}

/// The provider answers with a code, or with an error.
#[derive(Deserialize)]
struct ArriveQuery {
    state: String,
    #[serde(default)]
    code: Option<String>,
}

/// A sign-in comes back: once, in the browser that it left from, and with a code that the provider vouches for. No
/// connection to the database is held while the provider is asked.
async fn arrive(
    State(app): State<App>,
    frame: Frame,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<ArriveQuery>,
) -> Result<Response, Problem> {
    let provider = app.provider.as_ref().ok_or_else(Problem::not_found)?;
    let refused = || sign_in_problem(&frame, NoIdentity::Refused);
    let Some(former) = session(&headers, &app.shop.public_url) else { return Ok(refused()) };
    let taken = members::take(&app.db, &hash(&query.state), &former).await;
    let Some(sign_in) = taken.map_err(|error| database_trouble(&error))? else { return Ok(refused()) };
    // Who thinks better of it at the provider's goes on as a guest.
    let Some(code) = query.code else { return Ok(Redirect::to(&sign_in.return_to).into_response()) };
    let who = match provider.identify(code, &sign_in).await {
        Ok(who) => who,
        Err(why) => return Ok(sign_in_problem(&frame, why)),
    };
    let (fresh, cookie) = NewCookie::for_member(&app.shop.public_url)?;
    let orders = members::sign_in(&app.db, &who, &fresh, Some(&former)).await;
    let orders = orders.map_err(|error| database_trouble(&error))?;
    info!(orders, "A member signed in");
    Ok((cookie, Redirect::to(&sign_in.return_to)).into_response())
}

/// The form of the button, with the device that stops being the member's.
#[derive(Deserialize)]
struct SignOutForm {
    #[serde(default)]
    kind: TokenKind,
    #[serde(default)]
    device: String,
}

/// Ends the session here, and then at the provider. A guest's goes on, with its cookie: a page that was opened as a member
/// may be older than it.
async fn sign_out(
    State(app): State<App>,
    mut frame: Frame,
    headers: HeaderMap,
    ApiForm(form): ApiForm<SignOutForm>,
) -> Result<Response, Problem> {
    let device = if form.device.is_empty() { None } else { Some(parse_device(form.kind, form.device)?) };
    let ended = match session(&headers, &app.shop.public_url) {
        Some(session) => {
            let ended = members::sign_out(&app.db, &session, device.as_ref()).await;
            ended.map_err(|error| database_trouble(&error))?
        }
        None => true,
    };
    let farewell = match &app.provider {
        Some(provider) => provider.farewell(&app.shop.public_url).await,
        None => None,
    };
    frame.account = Account::Guest;
    let cookie = ended.then(|| NewCookie::taken_away(&app.shop.public_url));
    Ok((cookie, signed_out(&frame, farewell)).into_response())
}
