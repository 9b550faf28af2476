//! Sessions. A guest gets a customer and a cookie on the first visit; the database knows only the cookie's hash.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use database::customers::{Customer, TokenHash};
use database::members;
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use secrecy::SecretBox;
use service::Problem;
use sha2::{Digest as _, Sha256};

use crate::app::{App, database_trouble, unavailable};

/// Half a year, like the session in the database.
const MAX_AGE: u32 = 180 * 24 * 60 * 60;

/// Half a day, the most that a member's session lasts in the database.
const MEMBER_MAX_AGE: u32 = 12 * 60 * 60;

/// Whoever holds a live session, if anybody does. A request asks once, however many want to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor(pub(crate) Option<Customer>);

/// Whoever is asking; a guest from now on, if nobody was known.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) customer: Customer,
    /// What the guest's cookie holds.
    pub(crate) session: SecretBox<[u8; 32]>,
    /// To be sent along with the answer.
    pub(crate) cookie: NewCookie,
}

/// The cookie of a session that has just begun; nothing for one that goes on.
#[derive(Debug)]
pub(crate) struct NewCookie(Option<HeaderValue>);

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(*known);
        }
        let Some(hash) = session(&parts.headers, &app.shop.public_url) else { return Ok(Self(None)) };
        let customer = app.desk.sessions.submit(hash).await.map_err(|problem| unavailable(&problem))?;
        if customer.is_some_and(|customer| customer.in_need_of_keeping) {
            members::keep(&app.db, &hash).await.map_err(|error| database_trouble(&error))?;
        }
        parts.extensions.insert(Self(customer));
        Ok(Self(customer))
    }
}

impl FromRequestParts<App> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let known = presented(&parts.headers, cookie_name(&app.shop.public_url));
        if let (Some(token), Visitor(Some(customer))) = (known, Visitor::from_request_parts(parts, app).await?) {
            return Ok(Self { customer, session: SecretBox::new(Box::new(token)), cookie: NewCookie(None) });
        }
        app.pace.newcomer(&parts.extensions, &parts.headers)?;
        let token: [u8; 32] = rand::random();
        let customer = app.desk.guests.submit(hash(&token)).await.map_err(|problem| unavailable(&problem))?;
        let public_url = &app.shop.public_url;
        let cookie = cookie(public_url, cookie_name(public_url), &token, MAX_AGE).map_err(|_| Problem::internal())?;
        Ok(Self { customer, session: SecretBox::new(Box::new(token)), cookie: NewCookie(Some(cookie)) })
    }
}

impl NewCookie {
    /// The cookie of a member's new session, and what the database is to know it by.
    pub(crate) fn for_member(public_url: &str) -> Result<(TokenHash, Self), Problem> {
        let token: [u8; 32] = rand::random();
        let cookie = cookie(public_url, cookie_name(public_url), &token, MEMBER_MAX_AGE);
        Ok((hash(&token), Self(Some(cookie.map_err(|_| Problem::internal())?))))
    }

    /// Takes the cookie away.
    pub(crate) fn taken_away(public_url: &str) -> Self {
        Self(cookie(public_url, cookie_name(public_url), &[0; 32], 0).ok())
    }
}

impl IntoResponseParts for NewCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        if let Some(cookie) = self.0 {
            parts.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(parts)
    }
}

/// `__Host-` binds the cookie to this host and to https; over plain http, in development, browsers refuse it.
fn cookie_name(public_url: &str) -> &'static str {
    if is_secure(public_url) { "__Host-sid" } else { "sid" }
}

pub(crate) fn is_secure(public_url: &str) -> bool {
    public_url.starts_with("https://")
}

/// A cookie that holds a secret. Lax and not Strict: the buyer comes back from Toss by a cross-site navigation and
/// must still be known.
pub(crate) fn cookie(
    public_url: &str,
    name: &str,
    token: &[u8; 32],
    seconds: u32,
) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let secure = if is_secure(public_url) { "; Secure" } else { "" };
    let mut value = HeaderValue::try_from(format!(
        "{name}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}",
        hex::encode(token)
    ))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The session that a request claims to belong to. Whether it lives only the database can tell.
pub(crate) fn session(headers: &HeaderMap, public_url: &str) -> Option<TokenHash> {
    presented(headers, cookie_name(public_url)).as_ref().map(hash)
}

/// Tells one session of a browser from its next one.
pub(crate) fn tag(headers: &HeaderMap) -> String {
    let token = ["__Host-sid", "sid"].into_iter().find_map(|name| presented(headers, name));
    token.map(|token| hex::encode(&hash(&hash(&token))[..6])).unwrap_or_default()
}

/// What a cookie of that name holds.
pub(crate) fn presented(headers: &HeaderMap, name: &str) -> Option<[u8; 32]> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = pairs.find(|(key, _)| *key == name)?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(token, &mut bytes).ok()?;
    Some(bytes)
}

/// What the database knows a secret by.
pub(crate) fn hash(secret: &(impl AsRef<[u8]> + ?Sized)) -> TokenHash {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie).unwrap())])
    }

    #[test]
    fn a_cookie_that_was_set_is_recognized() {
        for url in ["http://localhost:8080", "https://shop.example"] {
            let set = cookie(url, cookie_name(url), &[7; 32], MAX_AGE).unwrap();
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            assert_eq!(presented(&headers(&format!("lang=ko; {pair}; a=b")), cookie_name(url)), Some([7; 32]));
        }
    }

    #[test]
    fn a_cookie_says_how_it_may_be_used() {
        let plain = cookie("http://localhost:8080", "sid", &[7; 32], MAX_AGE).unwrap();
        assert!(plain.to_str().unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=15552000"));
        let secure = cookie("https://shop.example", "__Host-sid", &[7; 32], MAX_AGE).unwrap();
        assert!(secure.to_str().unwrap().starts_with("__Host-sid=") && secure.to_str().unwrap().ends_with("; Secure"));
        assert!(!format!("{secure:?}").contains("0707"));
    }

    #[test]
    fn what_is_not_a_token_is_nobody() {
        for bad in ["sid=", "sid=zz", "sid=0707", "xsid=", "sid", ""] {
            assert_eq!(presented(&headers(bad), "sid"), None, "{bad}");
        }
    }
}
