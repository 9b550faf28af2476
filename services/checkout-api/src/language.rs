//! Korean first, English for who asks for it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header::{ACCEPT_LANGUAGE, COOKIE};
use http::request::Parts;

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Korean,
    English,
}

impl Language {
    /// The language tag of the page.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Korean => "ko",
            Self::English => "en",
        }
    }

    /// Picks the text.
    pub(crate) const fn say<'a>(self, korean: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Korean => korean,
            Self::English => english,
        }
    }

    fn parse(tag: &str) -> Option<Self> {
        match tag {
            "ko" => Some(Self::Korean),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// The first language of the list that the shop speaks. Browsers send their list in order of preference.
    fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(|item| Self::parse(item.trim().get(..2)?))
    }
}

/// The switch (`?lang=`) beats the cookie it sets, the cookie beats the browser.
impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let switched = query.split('&').find_map(|pair| Self::parse(pair.strip_prefix("lang=")?));
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let remembered = || text(COOKIE).split(';').find_map(|pair| Self::parse(pair.trim().strip_prefix("lang=")?));
        let chosen = switched.or_else(remembered).or_else(|| Self::accepted(text(ACCEPT_LANGUAGE)));
        Ok(chosen.unwrap_or(Self::Korean))
    }
}

/// `39000` as `₩39,000`.
pub(crate) fn won(amount: domain::Won) -> String {
    let digits = amount.get().to_string();
    let mut text = String::from("₩");
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn language(uri: &str, headers: &[(http::HeaderName, &str)]) -> Language {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Language::from_request_parts(&mut parts, &()).await.unwrap()
    }

    #[tokio::test]
    async fn the_switch_beats_the_cookie_beats_the_browser() {
        let browser = (ACCEPT_LANGUAGE, "fr-FR,en;q=0.8,ko;q=0.5");
        let cookie = (COOKIE, "sid=1; lang=ko");
        assert_eq!(language("/", &[]).await, Language::Korean);
        assert_eq!(language("/", std::slice::from_ref(&browser)).await, Language::English);
        assert_eq!(language("/", &[browser.clone(), cookie.clone()]).await, Language::Korean);
        assert_eq!(language("/?a=b&lang=en", &[cookie]).await, Language::English);
        assert_eq!(language("/?lang=xx", &[]).await, Language::Korean);
    }

    #[test]
    fn won_are_grouped() {
        let text = |amount| won(domain::Won::new(amount).unwrap());
        assert_eq!([0, 999, 1_000, 39_000, 1_234_567].map(text), ["₩0", "₩999", "₩1,000", "₩39,000", "₩1,234,567"]);
    }
}
