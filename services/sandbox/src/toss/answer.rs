//! An answer of the Toss API: status, JSON bytes and trace id, as it is kept for replay.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::refusal::Refusal;
use crate::ids;

/// What Toss means to say. Cloning is cheap: the bytes are shared.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) trace: String,
}

impl Answer {
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self { status: 200, body: json(body), trace: ids::trace() }
    }

    /// The same bytes under a trace id of their own, followed by the first one's.
    pub(super) fn replayed(self) -> Self {
        Self { trace: format!("{}, {}", ids::trace(), self.trace), ..self }
    }
}

impl From<&'static Refusal> for Answer {
    fn from(refusal: &'static Refusal) -> Self {
        Self { status: refusal.status, body: json(refusal), trace: ids::trace() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(trace) = HeaderValue::try_from(self.trace) {
            headers.insert("x-tosspayments-trace-id", trace);
        }
        response
    }
}

#[expect(clippy::expect_used, reason = "our structs have text keys and no failing serializers")]
fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).expect("plain structs serialize").into()
}
