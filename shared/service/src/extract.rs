//! Extractors whose refusals are `application/problem+json` and never quote a body's values.

use std::error::Error;
use std::iter::successors;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::connection::BodyTooSlow;
use crate::problem::Problem;

/// The body as it came, within the route's limit: what signatures are made of.
#[derive(Debug, Clone)]
pub struct ApiBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for ApiBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    let cause: Option<&dyn Error> = Some(rejection);
    if successors(cause, |it| (*it).source()).any(<dyn Error>::is::<BodyTooSlow>) {
        return Problem::of(StatusCode::REQUEST_TIMEOUT);
    }
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Problem::of(StatusCode::BAD_REQUEST).detail("the body did not arrive whole"),
    }
}

/// A JSON body. 415 if it does not say so, 413 if too large, 422 with the field if it does not fit.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says_json(request.headers()) {
            return Err(
                Problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE).detail("expected content-type application/json")
            );
        }
        let ApiBytes(bytes) = ApiBytes::from_request(request, state).await?;
        from_json(&bytes).map(Self)
    }
}

/// What a page's form sends. 415 if it is something else, 413 if too large, 422 if it does not fit.
#[derive(Debug, Clone, Copy)]
pub struct ApiForm<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says(request.headers(), "application/x-www-form-urlencoded") {
            return Err(Problem::of(StatusCode::UNSUPPORTED_MEDIA_TYPE).detail("expected a form"));
        }
        let ApiBytes(bytes) = ApiBytes::from_request(request, state).await?;
        if bytes.windows(3).any(|it| it == b"%00") || bytes.contains(&0) {
            return Err(Problem::invalid("a NUL character in the form"));
        }
        serde_urlencoded::from_bytes(&bytes).map(Self).map_err(|_| Problem::invalid("not the form of that page"))
    }
}

/// Whether a request calls its body JSON.
pub fn says_json(headers: &HeaderMap) -> bool {
    says(headers, "application/json")
}

fn says(headers: &HeaderMap, kind: &str) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next();
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case(kind))
}

fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if let Some(at) = escaped_nul(bytes) {
        return Err(Problem::invalid(format!("a NUL character at byte {at}")));
    }
    serde_json::from_slice(bytes).map_err(|_| misfit::<T>(bytes))
}

/// Reads again, now keeping track of the path: only those who are refused pay for it.
fn misfit<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => Problem::invalid("more follows after the end of the JSON value"),
        Err(error) => {
            let problem = Problem::invalid(explain(error.inner()));
            let field = error.path().to_string();
            if error.inner().is_data() && field != "." { problem.with("field", field) } else { problem }
        }
    }
}

/// What serde says, without the value that it says it about.
fn explain(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let place = format!(" at line {line} column {column}");
    let message = error.to_string();
    let message = message.strip_suffix(&place).unwrap_or(&message);
    let names_value =
        ["invalid type", "invalid value", "invalid length", "unknown "].iter().find(|it| message.starts_with(**it));
    match (names_value, message.rsplit_once(", expected ")) {
        (Some(kind), Some((_, expected))) => {
            format!("{}, expected {expected}{place}", kind.trim_end())
        }
        _ => format!("{message}{place}"),
    }
}

/// `PostgreSQL` cannot store NUL in text, and in JSON it can only come escaped.
fn escaped_nul(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += found;
        if json[at..].starts_with(b"\\u0000") {
            return Some(at);
        }
        // The escaped character may itself be a backslash.
        at = (at + 2).min(json.len());
    }
    None
}

/// Path parameters. What does not parse names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub struct ApiPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::not_found());
        }
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) if rejection.status().is_server_error() => Err(Problem::internal()),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

/// Query parameters: 422 if they do not fit.
#[derive(Debug, Clone, Copy)]
pub struct ApiQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|it| it.contains("%00")) {
            return Err(Problem::invalid("a NUL character in the query"));
        }
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| Problem::invalid(rejection.body_text()))
    }
}

#[cfg(test)]
mod tests;
