//! What a handler, its client and the log see of the standard layers.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::ApiBytes;

fn wrapped(router: Router) -> Router {
    standard(router, &Limits::default(), &TaskTracker::new())
}

async fn send(router: &Router, request: http::request::Builder) -> Response {
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 4096).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn assert_problem(response: &Response, status: StatusCode) {
    assert_eq!(response.status(), status);
    let content_type = &response.headers()[CONTENT_TYPE];
    assert_eq!(content_type, "application/problem+json");
}

#[tokio::test]
async fn a_handler_finishes_although_its_client_has_left() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let finished = Arc::new(Notify::new());
    let (begins, waits, ends) = (begun.clone(), go.clone(), finished.clone());
    let handler = move || async move {
        begins.notify_one();
        waits.notified().await;
        ends.notify_one();
    };
    let tasks = TaskTracker::new();
    let limits = Limits::default();
    let router = standard(Router::new().route("/", get(handler)), &limits, &tasks);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(crate::serve::serve(listener, router, limits, shutdown.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(client);
    // With no client left the server has no connection to wait for: it is gone for certain.
    shutdown.cancel();
    timeout(Duration::from_secs(10), served).await.unwrap().unwrap();
    assert_eq!(tasks.len(), 1, "the handler should still be at work");

    go.notify_one();
    tasks.close();
    timeout(Duration::from_secs(10), tasks.wait()).await.unwrap();
    timeout(Duration::from_secs(10), finished.notified()).await.expect("dropped halfway");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_service_goes_on() {
    async fn panics() {
        panic!("canary");
    }
    let router = wrapped(Router::new().route("/panic", get(panics)).route("/", get(async || "ok")));
    let response = send(&router, Request::get("/panic")).await;
    assert_problem(&response, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.headers().contains_key(REQUEST_ID));
    assert!(!text(response).await.contains("canary"));
    assert_eq!(text(send(&router, Request::get("/")).await).await, "ok");
}

#[tokio::test]
async fn what_is_not_a_route_is_a_problem() {
    let router = wrapped(Router::new().route("/", get(async || "ok")));
    let response = send(&router, Request::get("/nowhere")).await;
    assert_problem(&response, StatusCode::NOT_FOUND);
    let response = send(&router, Request::post("/")).await;
    assert_problem(&response, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn requests_are_named_and_answers_are_dressed() {
    let public = async || ([(CACHE_CONTROL, "public")], "x");
    let router = wrapped(Router::new().route("/", get(async || "x")).route("/public", get(public)));
    for (sent, kept) in [("order-1.a_B", true), ("", false), ("a b", false), (&"x".repeat(65), false)] {
        let response = send(&router, Request::get("/").header(REQUEST_ID, sent)).await;
        let id = response.headers()[REQUEST_ID].to_str().unwrap();
        assert_eq!(id == sent, kept, "{sent}");
        assert!(kept || id.len() == 32, "{id}");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
    let response = send(&router, Request::get("/public")).await;
    assert_eq!(response.headers()[CACHE_CONTROL], "public");
}

#[tokio::test]
async fn a_request_is_a_child_of_its_callers_trace() {
    let router = wrapped(Router::new().route("/", get(async |at: TraceParent| at.to_string())));
    let caller = TraceParent::new();
    let request = Request::get("/").header("traceparent", caller.to_string());
    let told = text(send(&router, request).await).await;
    let noted: TraceParent = told.parse().unwrap();
    assert_eq!(noted.trace_id().to_string(), caller.trace_id().to_string());
    assert_ne!(noted, caller);

    let response = send(&router, Request::get("/")).await;
    let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
    let started: TraceParent = text(response).await.parse().unwrap();
    assert_eq!(started.trace_id().to_string(), id);
}

#[tokio::test]
async fn a_full_service_says_so() {
    let limits = Limits { in_flight: 1, ..Limits::default() };
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (begun.clone(), go.clone());
    let handler = move || async move {
        begins.notify_one();
        waits.notified().await;
    };
    let router = Router::new().route("/", get(handler));
    let router = standard(router, &limits, &TaskTracker::new());
    let busy = router.clone();
    let first = tokio::spawn(async move { send(&busy, Request::get("/")).await });
    begun.notified().await;
    let second = send(&router, Request::get("/")).await;
    assert_problem(&second, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(second.headers()[RETRY_AFTER], "1");
    go.notify_one();
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    go.notify_one();
    assert_eq!(send(&router, Request::get("/")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn bodies_are_limited_unless_a_route_says_otherwise() {
    let length = async |ApiBytes(body)| body.len().to_string();
    let large = post(length).layer(axum::middleware::map_request(async |mut request: Request| {
        limit_body(&mut request, 64 * 1024);
        request
    }));
    let router = wrapped(Router::new().route("/", post(length)).route("/large", large));
    for (path, size, status) in [
        ("/", 16 * 1024, StatusCode::OK),
        ("/", 16 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE),
        ("/large", 64 * 1024, StatusCode::OK),
        ("/large", 64 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = Request::post(path).body(Body::from(vec![b'x'; size])).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path} {size}");
    }
}
