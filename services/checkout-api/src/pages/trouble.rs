//! Problems as pages, for requests that accept HTML.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use service::Problem;

use super::frame::Frame;
use super::notice::Notice;

/// Turns the problems that a browser would show as text into pages. Programs and scripts do not ask for HTML.
pub(crate) async fn explained(request: Request, next: Next) -> Response {
    let frame =
        wants_page(request.headers()).then(|| Frame::of(request.uri(), request.headers(), request.extensions()));
    let answer = next.run(request).await;
    match frame {
        Some(frame) if is_problem(&answer) => retold(&frame, &answer),
        _ => answer,
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

fn is_problem(answer: &Response) -> bool {
    answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == Problem::CONTENT_TYPE)
}

fn retold(frame: &Frame, answer: &Response) -> Response {
    let (title, text) = match answer.status() {
        StatusCode::NOT_FOUND => ("no-such-page", "no-such-page-text"),
        StatusCode::FORBIDDEN => ("not-from-here", "not-from-here-text"),
        StatusCode::TOO_MANY_REQUESTS => ("too-fast", "too-fast-text"),
        status if status.is_server_error() => ("trouble", "trouble-text"),
        _ => ("bad-link", "bad-link-text"),
    };
    let mut page = Notice::new(frame, title, text).page(answer.status());
    if let Some(wait) = answer.headers().get(RETRY_AFTER) {
        page.headers_mut().insert(RETRY_AFTER, wait.clone());
    }
    page
}
