//! Problem details (RFC 9457): the one shape of every error answer.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// An error answer in `application/problem+json`.
///
/// What goes in here reaches the buyer: no causes, no identifiers that are not theirs.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    retry_after: Option<u64>,
    members: Map<String, Value>,
}

impl Problem {
    /// What every problem is sent as.
    pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

    /// A problem that clients tell apart by `code`, a word that never changes.
    pub fn new(status: StatusCode, code: &'static str, title: impl Into<Cow<'static, str>>) -> Self {
        Self { status, retry_after: None, members: Map::new() }
            .with("title", title.into())
            .with("status", status.as_u16())
            .with("type", format!("urn:jumun:problem:{code}"))
            .with("code", code)
    }

    /// A problem that its status says all about.
    pub fn of(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::BAD_REQUEST => "bad-request",
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not-found",
            StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
            StatusCode::REQUEST_TIMEOUT => "request-timeout",
            StatusCode::PAYLOAD_TOO_LARGE => "payload-too-large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal-server-error",
        };
        Self::new(status, code, status.canonical_reason().unwrap_or("Error"))
    }

    /// 415: the body has to be JSON, and to say so.
    pub fn json_needed() -> Self {
        Self::of(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .detail("send the body as JSON, with content-type: application/json")
    }

    /// 422: the request was understood and is not one that this route takes.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid").detail(detail)
    }

    /// 404: nothing here, or nothing of yours.
    pub fn not_found() -> Self {
        Self::of(StatusCode::NOT_FOUND)
    }

    /// 500: our fault. The cause belongs in the log.
    pub fn internal() -> Self {
        Self::of(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// 503: the same request may succeed after `retry_after`.
    pub fn unavailable(retry_after: Duration) -> Self {
        Self::of(StatusCode::SERVICE_UNAVAILABLE).retry_after(retry_after)
    }

    /// Says what is wrong with this very request.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with("detail", detail.into())
    }

    /// Adds a member of our own, such as the provider's code.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Sends `Retry-After`, in whole seconds, never too early.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after.as_nanos().div_ceil(1_000_000_000).try_into().unwrap_or(u64::MAX).max(1));
        self
    }

    /// The status it will be sent with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Value::Object(self.members).to_string();
        let mut response = (self.status, [(CONTENT_TYPE, Self::CONTENT_TYPE)], body).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    async fn body(response: Response) -> Value {
        let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_problem_with_a_code_says_all_it_knows() {
        let response = Problem::new(StatusCode::CONFLICT, "sold-out", "품절되었습니다")
            .detail("mug: 0 left")
            .with("errors", json!([{ "field": "items[0]" }]))
            .into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            body(response).await,
            json!({
                "type": "urn:jumun:problem:sold-out", "code": "sold-out", "status": 409,
                "title": "품절되었습니다", "detail": "mug: 0 left",
                "errors": [{ "field": "items[0]" }],
            })
        );
    }

    #[tokio::test]
    async fn a_plain_status_has_a_code_too() {
        let response = Problem::unavailable(Duration::from_millis(10)).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let expected = json!({
            "type": "urn:jumun:problem:unavailable", "code": "unavailable", "title": "Service Unavailable", "status": 503,
        });
        assert_eq!(body(response).await, expected);
    }
}
