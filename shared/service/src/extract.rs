//! Extractors whose refusals are `application/problem+json` and never quote a body's values.

use std::error::Error;
use std::iter::successors;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::connection::BodyTooSlow;
use crate::json::{self, Misfit};
use crate::problem::Problem;

/// The body as it came, within the route's limit: what signatures are made of.
#[derive(Debug, Clone)]
pub struct ApiBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for ApiBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get().copied();
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(rejection) => Err(unreadable(&rejection, limit)),
        }
    }
}

fn unreadable(rejection: &BytesRejection, limit: Option<BodyLimit>) -> Problem {
    let cause: Option<&dyn Error> = Some(rejection);
    if successors(cause, |it| (*it).source()).any(<dyn Error>::is::<BodyTooSlow>) {
        return Problem::of(StatusCode::REQUEST_TIMEOUT).detail("the body took too long to arrive");
    }
    match (rejection.status(), limit) {
        (StatusCode::PAYLOAD_TOO_LARGE, Some(BodyLimit(bytes))) => {
            Problem::of(StatusCode::PAYLOAD_TOO_LARGE).detail(format!("this route takes at most {} KiB", bytes / 1024))
        }
        (StatusCode::PAYLOAD_TOO_LARGE, None) => Problem::of(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Problem::of(StatusCode::BAD_REQUEST).detail("the body did not arrive whole"),
    }
}

/// The most bytes of a body, as the refusal says it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(usize);

/// Has a request's body be at most so long, unless somebody further in says otherwise.
pub fn limit_body<B>(request: &mut http::Request<B>, bytes: usize) {
    request.extensions_mut().insert(BodyLimit(bytes));
    DefaultBodyLimit::max(bytes).apply(request);
}

/// A JSON body. 415 if it does not say so, 413 if too large, 422 with the field if it does not fit.
#[derive(Debug, Clone, Copy)]
pub struct ApiJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for ApiJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says_json(request.headers()) {
            return Err(Problem::json_needed());
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
    json::read(bytes).map_err(|Misfit { field, reason }| {
        let problem = Problem::invalid(reason);
        field.into_iter().fold(problem, |problem, field| problem.with("field", field))
    })
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
        query.map(|Query(value)| Self(value)).map_err(|rejection| explain(&rejection))
    }
}

/// What axum says of a query, in plain words and without the value that it says it about.
fn explain(rejection: &QueryRejection) -> Problem {
    let text = rejection.body_text();
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let named = |what: &str| text.split_once(what)?.1.split('`').next();
    let (field, reason) = if let Some(field) = named("missing field `") {
        (field, "is required in the address")
    } else if let Some(field) = named("duplicate field `") {
        (field, "is there twice in the address")
    } else if let Some(field) = named("unknown field `") {
        (field, "is not known in the address")
    } else if let Some((field, _)) = text.split_once(": ") {
        (field, "has a value in the address that is not one")
    } else {
        return Problem::invalid("the address has a query that this route does not take");
    };
    Problem::invalid(format!("{field}: {reason}")).with("field", field)
}

#[cfg(test)]
mod tests;
