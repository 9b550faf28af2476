//! What surrounds every page: its language, its header, and where its own address is needed.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use domain::Won;
use http::request::Parts;
use http::{Extensions, HeaderMap, Uri};
use service::Problem;

use super::assets;
use crate::app::App;
use crate::language::{Language, Text, won};
use crate::members::{Account, Offer};
use crate::session::{self, Visitor};
use crate::web_push::WebPush;

/// What `base.html` needs. Every page has one, called `frame`.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) language: Language,
    /// Whether the reader can sign in or out.
    pub(crate) account: Account,
    /// How this browser registers for notifications, if it can.
    pub(crate) push: Option<Arc<WebPush>>,
    /// Changes with the session, so that a registered browser notices whose it has become. Says nothing about it.
    pub(crate) owner: String,
    /// The page's own address without its language, for the switch.
    here: String,
    /// The language that the address asks for, if it does: to be remembered.
    pub(super) switched: Option<String>,
}

impl Frame {
    /// The frame of a page for nobody in particular.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let query = uri.query().unwrap_or_default().split('&');
        let mut here = format!("{}?", uri.path());
        for pair in query.filter(|pair| !pair.is_empty() && !pair.starts_with("lang=")) {
            here.push_str(pair);
            here.push('&');
        }
        let remember = |language: Language| format!("lang={}; Path=/; SameSite=Lax; Max-Age=31536000", language.tag());
        Self {
            language: Language::of(uri, headers),
            account: Account::None,
            push: extensions.get::<Offer>().and_then(|offer| offer.push.clone()),
            owner: session::tag(headers),
            here,
            switched: Language::switched(uri).map(remember),
        }
    }

    /// This page, without a language.
    pub(crate) fn here(&self) -> &str {
        self.here.trim_end_matches(['?', '&'])
    }

    /// The message of that key.
    pub(crate) fn say(&self, key: &'static str) -> Text {
        self.language.say(key)
    }

    /// What the shop itself calls a thing in two languages.
    pub(crate) fn pick<'a>(&self, korean: &'a str, english: &'a str) -> &'a str {
        match self.language {
            Language::Korean => korean,
            Language::English => english,
        }
    }

    /// `₩39,000`
    #[expect(clippy::unused_self, reason = "templates know the frame only")]
    pub(crate) fn won(&self, amount: Won) -> String {
        won(amount)
    }

    /// A moment, in Korea's time.
    pub(crate) fn moment(&self, at: DateTime<Utc>) -> Text {
        self.language.moment(at)
    }

    /// The address of a file of ours.
    #[expect(clippy::unused_self, reason = "templates know the frame only")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    /// This page in the language of that tag.
    pub(crate) fn switch(&self, tag: &str) -> String {
        format!("{}lang={tag}", self.here)
    }
}

impl FromRequestParts<App> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let account = Account::of(&app.offer, Visitor::from_request_parts(parts, app).await?);
        Ok(Self { account, ..Self::of(&parts.uri, &parts.headers, &parts.extensions) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_keeps_the_rest_of_the_address() {
        let switch = |uri: &str| Frame::of(&uri.parse().unwrap(), &HeaderMap::new(), &Extensions::new()).switch("en");
        assert_eq!(switch("/"), "/?lang=en");
        assert_eq!(switch("/checkout/success?orderId=1&lang=ko"), "/checkout/success?orderId=1&lang=en");
    }

    #[test]
    fn only_a_choice_is_remembered() {
        let remembered = |uri: &str| Frame::of(&uri.parse().unwrap(), &HeaderMap::new(), &Extensions::new()).switched;
        assert_eq!(remembered("/"), None);
        assert_eq!(remembered("/?lang=xx"), None);
        assert!(remembered("/?lang=en").unwrap().starts_with("lang=en; Path=/;"));
    }
}
