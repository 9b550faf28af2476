//! How a buyer comes back from the payment window in a browser that has no session, as apps open links in browsers of
//! their own. See [`database::return_tokens`] for what such a token may do.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponseParts, ResponseParts};
use database::customers::TokenHash;
use database::return_tokens;
use domain::{CustomerId, OrderId, ProviderOrderId};
use http::HeaderValue;
use http::header::SET_COOKIE;
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretBox};
use serde::Deserialize;

use crate::app::App;
use crate::session::{Guest, cookie, hash, is_secure, presented};

/// A secret that speaks for one order.
pub(crate) struct ReturnToken(SecretBox<[u8; 32]>);

impl ReturnToken {
    /// The token of an attempt to pay. Made of the buyer's own secret, so that asking twice for the same window gets
    /// the same answer twice.
    pub(crate) fn of(guest: &Guest, order: ProviderOrderId) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, guest.session.expose_secret());
        let tag = hmac::sign(&key, format!("return {order}").as_bytes());
        let mut token = Box::new([0; 32]);
        token.copy_from_slice(tag.as_ref());
        Self(SecretBox::new(token))
    }

    fn random() -> Self {
        Self(SecretBox::new(Box::new(rand::random())))
    }

    /// What the database knows it by.
    pub(crate) fn hash(&self) -> TokenHash {
        hash(self.0.expose_secret())
    }

    /// As it stands in an address.
    pub(crate) fn in_address(&self) -> String {
        hex::encode(self.0.expose_secret())
    }
}

impl fmt::Debug for ReturnToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ReturnToken([REDACTED])")
    }
}

impl FromStr for ReturnToken {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut token = Box::new([0; 32]);
        hex::decode_to_slice(text, token.as_mut_slice())?;
        Ok(Self(SecretBox::new(token)))
    }
}

impl<'de> Deserialize<'de> for ReturnToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The cookie of a browser that somebody came back in; nothing in any other.
#[derive(Debug)]
pub(crate) struct CameBack(Option<ReturnToken>);

impl CameBack {
    /// Whose order it may ask about.
    pub(crate) async fn owner(&self, app: &App, order: OrderId) -> sqlx::Result<Option<CustomerId>> {
        match &self.0 {
            Some(token) => return_tokens::owner(&app.db, order, token.hash()).await,
            None => Ok(None),
        }
    }
}

impl FromRequestParts<App> for CameBack {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let token = presented(&parts.headers, cookie_name(&app.shop.public_url));
        Ok(Self(token.map(|token| ReturnToken(SecretBox::new(Box::new(token))))))
    }
}

/// A cookie that takes the place of the token in the address, for as long as that would have been good.
pub(crate) struct ReturnCookie(HeaderValue);

impl IntoResponseParts for ReturnCookie {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        parts.headers_mut().append(SET_COOKIE, self.0);
        Ok(parts)
    }
}

/// Uses a token up: whose order it is, and the cookie that this browser holds instead from now on.
pub(crate) async fn exchange(
    app: &App,
    order: OrderId,
    token: &ReturnToken,
) -> sqlx::Result<Option<(CustomerId, ReturnCookie)>> {
    const HALF_AN_HOUR: u32 = 30 * 60;
    let next = ReturnToken::random();
    let public_url = &app.shop.public_url;
    let owner = return_tokens::exchange(&app.db, order, token.hash(), next.hash()).await?;
    let cookie = cookie(public_url, cookie_name(public_url), next.0.expose_secret(), HALF_AN_HOUR).ok();
    Ok(owner.zip(cookie.map(ReturnCookie)))
}

fn cookie_name(public_url: &str) -> &'static str {
    if is_secure(public_url) { "__Host-ret" } else { "ret" }
}
