//! The language of a page: Korean, or English on request. Texts are in `locales/`, one catalogue each.

mod catalogue;
mod numbers;

use http::header::{ACCEPT_LANGUAGE, COOKIE};
use http::{HeaderMap, HeaderName, Uri};

pub(crate) use catalogue::Text;
pub(crate) use numbers::won;

/// What a page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Korean,
    English,
}

impl Language {
    /// Those there are, in the order in which they are offered.
    pub(crate) const ALL: [Self; 2] = [Self::Korean, Self::English];

    /// The language tag of the page.
    pub(crate) const fn tag(self) -> &'static str {
        match self {
            Self::Korean => "ko",
            Self::English => "en",
        }
    }

    /// What a request wants to read: the switch (`?lang=`) beats the cookie it sets, the cookie beats the browser.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let remembered = || text(COOKIE).split(';').find_map(|pair| Self::parse(pair.trim().strip_prefix("lang=")?));
        let chosen = Self::switched(uri).or_else(remembered).or_else(|| Self::accepted(text(ACCEPT_LANGUAGE)));
        chosen.unwrap_or(Self::Korean)
    }

    /// What the switch in the address says.
    pub(crate) fn switched(uri: &Uri) -> Option<Self> {
        uri.query().unwrap_or_default().split('&').find_map(|pair| Self::parse(pair.strip_prefix("lang=")?))
    }

    fn parse(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The first language of the list that the shop speaks. Browsers send their list in order of preference.
    fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(|item| Self::parse(item.trim().get(..2)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(uri: &str, headers: &[(HeaderName, &'static str)]) -> Language {
        let headers = headers.iter().map(|(name, value)| (name.clone(), http::HeaderValue::from_static(value)));
        Language::of(&uri.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn the_switch_beats_the_cookie_beats_the_browser() {
        let browser = (ACCEPT_LANGUAGE, "fr-FR,en;q=0.8,ko;q=0.5");
        let cookie = (COOKIE, "sid=1; lang=ko");
        assert_eq!(language("/", &[]), Language::Korean);
        assert_eq!(language("/", std::slice::from_ref(&browser)), Language::English);
        assert_eq!(language("/", &[browser.clone(), cookie.clone()]), Language::Korean);
        assert_eq!(language("/?a=b&lang=en", &[cookie]), Language::English);
        assert_eq!(language("/?lang=xx", &[]), Language::Korean);
    }
}
