//! Rules for browsers (cross-site requests, security headers) in one layer around every route, so that none is forgotten.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderName, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use service::{Problem, says_json};
use tracing::warn;

use crate::pages::HoldsWidget;
use crate::settings::Settings;
use crate::web_push::WebPush;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Toss's payment window opens as a popup and reports back to its opener; Toss asks for exactly this value.
const POPUPS_REPORT_BACK: HeaderValue = HeaderValue::from_static("same-origin-allow-popups");

/// Other sites learn nothing either way. Under `no-referrer` a browser that knows no `Sec-Fetch-Site` sends our own forms with
/// `Origin: null`, which cannot be told from a foreign page's.
const TELLS_OURSELVES: HeaderValue = HeaderValue::from_static("same-origin");

/// No `includeSubDomains`: what else runs under the shop's domain is not ours to decide.
const A_YEAR_OF_HTTPS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Where browsers tell what they refused to load. `report-uri`, since some know no `report-to`, and one that knows both would not use both.
pub(crate) const CSP_REPORTS: &str = "/api/csp-reports";

/// The widget's own hosts. Toss publishes no list, so its domain is trusted as a whole; scripts come from one host only.
const TOSS_DOMAIN: &str = "tosspayments.com";

/// Refuses changes that another site asked for, before anything else looks at them.
pub(crate) fn guarded(router: Router, rules: Arc<Rules>) -> Router {
    router.layer(from_fn_with_state(rules, guard))
}

/// Has every answer say what a browser may make of it.
pub(crate) fn dressed(router: Router, rules: Arc<Rules>) -> Router {
    router.layer(from_fn_with_state(rules, dress))
}

pub(crate) struct Rules {
    /// Whose scripts may change anything.
    origin: String,
    https: bool,
    pages: Option<HeaderValue>,
    /// For pages that hold the payment widget.
    widget_pages: Option<HeaderValue>,
}

impl Rules {
    pub(crate) fn new(settings: &Settings) -> Self {
        let push = settings.web_push.as_ref();
        Self {
            origin: origin(&settings.public_url),
            https: settings.public_url.starts_with("https://"),
            // An address that cannot stand in a header: pages keep the policy of the API, which allows nothing.
            pages: HeaderValue::try_from(policy(None, push)).ok(),
            widget_pages: HeaderValue::try_from(policy(Some(&settings.toss_sdk_url), push)).ok(),
        }
    }

    /// Whether a request that changes something can only have been meant by who sends it.
    ///
    /// A browser says where a request comes from, in `Sec-Fetch-Site` or, an older one, in `Origin`; a script can
    /// forge neither. One without both comes from a program, which nobody can trick into sending its own cookie:
    /// it is taken as JSON, which a foreign page could not send without asking first (and we never answer that
    /// question), or without any cookie, since then there is nothing to abuse. That is how servers, webhooks and `curl` work.
    fn allows(&self, headers: &HeaderMap) -> bool {
        match (headers.get(SEC_FETCH_SITE), headers.get(ORIGIN)) {
            // "none" is the address bar. "same-site" is not enough: a neighbor's subdomain is not this shop.
            (Some(site), _) => site == "same-origin" || site == "none",
            (None, Some(origin)) => origin.as_bytes() == self.origin.as_bytes(),
            (None, None) => says_json(headers) || !headers.contains_key(COOKIE),
        }
    }
}

async fn guard(State(rules): State<Arc<Rules>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method().is_safe() || rules.allows(headers) {
        return next.run(request).await;
    }
    if !headers.contains_key(SEC_FETCH_SITE) && !headers.contains_key(ORIGIN) {
        // No browser that we know of: a program that has a cookie and did not say what it sends.
        return Problem::json_needed().into_response();
    }
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or("none");
    warn!(origin, path = request.uri().path(), "Refused a change that another site asked for");
    let title = "This request comes from another site";
    Problem::new(StatusCode::FORBIDDEN, "foreign-origin", title).into_response()
}

async fn dress(State(rules): State<Arc<Rules>>, request: Request, next: Next) -> Response {
    // Where the provider's answer stands in the address, as the payment key does.
    let tells_nobody = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let page = is_page(response.headers());
    let holds_widget = response.extensions().get::<HoldsWidget>().is_some();
    let headers = response.headers_mut();
    if rules.https {
        headers.insert(STRICT_TRANSPORT_SECURITY, A_YEAR_OF_HTTPS);
    }
    let policy = if holds_widget { &rules.widget_pages } else { &rules.pages };
    if let Some(policy) = policy.clone().filter(|_| page) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        headers.insert(OPENER_POLICY, POPUPS_REPORT_BACK);
        if !tells_nobody {
            headers.insert(REFERRER_POLICY, TELLS_OURSELVES);
        }
    }
    response
}

fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// What a page of the shop may load and talk to: itself, and the payment widget where there is one, and
/// Firebase where browsers may register for notifications. Pictures of
/// products may come from anywhere, since that is where shops have them. There are no inline scripts, so no nonces.
fn policy(sdk_url: Option<&str>, push: Option<&WebPush>) -> String {
    let (mut script, mut toss, mut style) = (String::new(), String::new(), "");
    if let Some(url) = sdk_url {
        let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        script = format!(" {}", origin(url));
        let all_of_toss = host.ends_with(&format!(".{TOSS_DOMAIN}"));
        toss = if all_of_toss { format!(" https://*.{TOSS_DOMAIN}") } else { script.clone() };
        style = " 'unsafe-inline'"; // the widget's script styles the frames that it adds
    }
    let mut talk = toss.clone();
    if let Some(push) = push {
        let (scripts, services) = push.hosts();
        script = format!("{script} {scripts}"); // and our own worker, which follows the same rule
        if !services.is_empty() {
            talk = format!("{talk} {services}");
        }
    }
    let frames = if toss.is_empty() { " 'none'" } else { &toss };
    [
        "default-src 'none'",
        &format!("script-src 'self'{script}"),
        &format!("frame-src{frames}"),
        &format!("connect-src 'self'{talk}"),
        &format!("style-src 'self'{style}"),
        "img-src 'self' data: https:",
        &format!("form-action 'self'{toss}"),
        "frame-ancestors 'none'",
        "base-uri 'none'",
        &format!("report-uri {CSP_REPORTS}"),
    ]
    .join("; ")
}

/// Scheme, host and port, as a browser writes them in `Origin`.
pub(crate) fn origin(url: &str) -> String {
    let uri = url.parse::<Uri>().unwrap_or_default();
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}").to_ascii_lowercase(),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { origin: "https://shop.example".to_owned(), https: true, pages: None, widget_pages: None }
    }

    fn allowed(pairs: &[(&'static str, &'static str)]) -> bool {
        let pairs = pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        rules().allows(&pairs.collect())
    }

    #[test]
    fn a_change_comes_from_the_shops_own_pages() {
        const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
        const COOKIE: (&str, &str) = ("cookie", "sid=x");
        assert!(allowed(&[("origin", "https://shop.example"), COOKIE, JSON]));
        assert!(allowed(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:1"), COOKIE]));
        for foreign in ["null", "https://evil.example", "https://shop.example.evil", "http://shop.example", ""] {
            assert!(!allowed(&[("origin", foreign), COOKIE, JSON]), "{foreign}");
            assert!(!allowed(&[("origin", foreign)]), "{foreign}, even with nothing to abuse");
        }
        for site in ["cross-site", "same-site", "anything"] {
            assert!(!allowed(&[("sec-fetch-site", site), ("origin", "https://shop.example"), COOKIE, JSON]), "{site}");
        }
    }

    #[test]
    fn a_program_is_no_browser() {
        let cookie = ("cookie", "sid=x");
        assert!(allowed(&[cookie, ("content-type", "application/json")]));
        assert!(allowed(&[("content-type", "text/plain")]), "no cookie, nothing to abuse");
        for form in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
            assert!(!allowed(&[cookie, ("content-type", form)]), "{form}");
        }
        assert!(!allowed(&[cookie]), "a body-less post is what a foreign page can send");
    }

    #[test]
    fn scripts_come_from_the_widgets_host_alone() {
        let real = policy(Some("https://js.tosspayments.com/v2/standard"), None);
        assert!(real.contains("script-src 'self' https://js.tosspayments.com;"), "{real}");
        assert!(real.contains("frame-src https://*.tosspayments.com;"), "{real}");
        let sandbox = policy(Some("http://127.0.0.1:8090/toss/v2/standard"), None);
        assert!(sandbox.contains("script-src 'self' http://127.0.0.1:8090;"), "{sandbox}");
        assert!(!sandbox.contains("tosspayments"), "{sandbox}");
        assert!(!policy(Some("https://js.eviltosspayments.com/v2"), None).contains("*.tosspayments.com"));
    }

    #[test]
    fn a_page_without_the_widget_loads_nothing_of_it() {
        let plain = policy(None, None);
        assert!(plain.contains("script-src 'self';") && plain.contains("frame-src 'none';"), "{plain}");
        assert!(plain.contains("style-src 'self';"), "{plain}");
    }
}
