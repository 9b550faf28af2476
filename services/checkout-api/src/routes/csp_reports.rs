//! What browsers refused to load on our pages: a script that somebody smuggled in, or a host of the payment widget that the
//! policy does not know yet. Either is worth a line in the log.

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use serde::Deserialize;
use service::{ApiBytes, Problem};
use tracing::warn;

use crate::app::App;
use crate::browser::{CSP_REPORTS, origin};

pub(super) fn router() -> Router<App> {
    Router::new().route(CSP_REPORTS, post(take))
}

/// `report-uri`'s format, CSP level 2, which all browsers send. The page's own address is not read: it may hold what no log may.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "csp-report")]
    report: Report,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    violated_directive: String,
    #[serde(default)]
    blocked_uri: String,
}

async fn take(ApiBytes(body): ApiBytes) -> Result<StatusCode, Problem> {
    let Body { report } = serde_json::from_slice(&body).map_err(|_| Problem::invalid("expected a CSP report"))?;
    let from = origin(&report.blocked_uri);
    let (directive, blocked) = (word(&report.violated_directive), word(&from));
    warn!(csp.directive = directive, csp.blocked = blocked, "A browser refused to load something on a page of ours");
    Ok(StatusCode::NO_CONTENT)
}

/// Anybody can send anything here: what does not look like a directive or an origin is left out.
fn word(text: &str) -> &str {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:/[]".contains(&byte));
    if plain && text.len() <= 100 { text } else { "unreadable" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_is_a_report() {
        let taken = async |body: &'static str| take(ApiBytes(body.into())).await.map_err(|problem| problem.status());
        let good = r#"{"csp-report":{"document-uri":"http://s","violated-directive":"script-src-elem",
            "effective-directive":"script-src-elem","blocked-uri":"inline"}}"#;
        assert_eq!(taken(good).await, Ok(StatusCode::NO_CONTENT));
        for bad in ["", "{}", "[]", r#"{"csp-report":{}}"#] {
            assert_eq!(taken(bad).await, Err(StatusCode::UNPROCESSABLE_ENTITY), "{bad}");
        }
    }

    #[test]
    fn only_an_origin_gets_into_the_log() {
        assert_eq!(word(&origin("https://evil.example/?paymentKey=secret")), "https://evil.example");
        assert_eq!(word(&origin("data:text/javascript,secret")), "unreadable");
        assert_eq!(word("inline"), "inline");
        assert_eq!(word("a\nforged line"), "unreadable");
    }
}
