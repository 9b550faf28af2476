//! The standard layers around every handler: it is never dropped half-way, always logged, and limited.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use futures_util::future::{Either, FutureExt as _, Map, Ready, ready};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};
use tracing::{Instrument as _, debug, error, error_span, warn};

use crate::extract::limit_body;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::trace_parent::TraceParent;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// For answers that are no pages: whatever a browser makes of them, it runs and shows nothing.
const NOTHING_TO_LOAD: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");

/// When the process is full, the next second usually is not.
const FULL_FOR: Duration = Duration::from_secs(1);

/// Wraps every route of a service, and adds the answers for what is not a route.
///
/// * A handler runs in a task of its own, tracked by `tasks`: a client that goes away does not drop
///   it in the middle of a transaction, and a panic is a 500.
/// * A request has an id (`x-request-id`), a [`TraceParent`] and a log span.
/// * Bodies and requests in work are limited; see [`Limits`].
/// * Answers are not sniffed and tell nobody where they were found; they are not cached and, if a browser shows them,
///   load nothing, unless the handler says otherwise.
/// * Unknown paths and methods are problems like any other.
///
/// Health routes belong outside, so that a full service still says that it is alive.
pub fn standard(router: Router, limits: &Limits, tasks: &TaskTracker) -> Router {
    router.fallback(async || Problem::not_found()).method_not_allowed_fallback(method_not_allowed).layer(Standard {
        tasks: tasks.clone(),
        body_bytes: limits.body_bytes,
        in_flight: Arc::new(Semaphore::new(limits.in_flight)),
    })
}

/// 405. The header `Allow` is added by the router.
pub async fn method_not_allowed(method: Method) -> Problem {
    Problem::of(StatusCode::METHOD_NOT_ALLOWED)
        .detail(format!("there is something here, but not for {method}: the header Allow says for what"))
}

#[derive(Clone)]
struct Standard {
    tasks: TaskTracker,
    body_bytes: usize,
    in_flight: Arc<Semaphore>,
}

impl Layer<Route> for Standard {
    type Service = StandardService;

    fn layer(&self, route: Route) -> StandardService {
        StandardService { route, around: self.clone() }
    }
}

#[derive(Clone)]
struct StandardService {
    route: Route,
    around: Standard,
}

type Answer = Result<Response, Infallible>;
type Handled = Map<JoinHandle<Response>, fn(Result<Response, JoinError>) -> Answer>;

impl Service<Request> for StandardService {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Handled>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.route, cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Ok(place) = Arc::clone(&self.around.in_flight).try_acquire_owned() else {
            let full = Problem::unavailable(FULL_FOR).detail("too many requests in work");
            return Either::Left(ready(Ok(full.into_response())));
        };
        let trace = TraceParent::of_request(request.headers());
        let id = request_id(request.headers(), trace);
        // Whatever is logged in it must be found again, at any level that logs are kept at.
        let span = error_span!(
            "http.request",
            request.id = id.to_str().unwrap_or_default(),
            trace.id = %trace.trace_id(),
            http.method = %request.method(),
            http.route = route_of(&request),
        );
        request.extensions_mut().insert(trace);
        limit_body(&mut request, self.around.body_bytes);

        let handler = AssertUnwindSafe(self.route.call(request)).catch_unwind();
        let work = async move {
            let started = Instant::now();
            let mut response = match handler.await {
                Ok(Ok(response)) => response,
                // The panic hook has told the log why.
                Err(_) => Problem::internal().into_response(),
            };
            log(response.status(), started.elapsed());
            dress(response.headers_mut(), id);
            drop(place);
            response
        };
        let task = self.around.tasks.spawn(work.instrument(span));
        // The runtime ends a task early only when it ends itself.
        let answer: fn(_) -> _ =
            |joined: Result<Response, JoinError>| Ok(joined.unwrap_or_else(|_| Problem::internal().into_response()));
        Either::Right(task.map(answer))
    }
}

/// The caller's id if it is one, else the trace's.
fn request_id(headers: &HeaderMap, trace: TraceParent) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=64).contains(&id.len()) && id.as_bytes().iter().all(word)
    };
    let generated = || HeaderValue::try_from(trace.trace_id().to_string());
    match headers.get(REQUEST_ID).filter(sane) {
        Some(id) => id.clone(),
        None => generated().unwrap_or_else(|_| HeaderValue::from_static("unknown")),
    }
}

fn route_of(request: &Request) -> &str {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or("none", MatchedPath::as_str)
}

/// One line per request, in the request's span.
fn log(status: StatusCode, latency: Duration) {
    let code = status.as_u16();
    match code {
        500 => error!(http.status = code, ?latency, "Failed: {status}"),
        501.. => warn!(http.status = code, ?latency, "Refused: {status}"),
        _ => debug!(http.status = code, ?latency, "Answered: {status}"),
    }
}

fn dress(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The query of an address may hold a payment key.
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NOTHING_TO_LOAD);
}

#[cfg(test)]
mod tests;
