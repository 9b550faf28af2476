//! Requests that do not fit, and what their senders are told.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cart {
    #[serde(rename = "items")]
    _items: Vec<Line>,
    #[serde(rename = "note", default)]
    _note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "quantity")]
    _quantity: u8,
}

async fn answer(request: Request) -> (StatusCode, Value) {
    let routes = Router::new()
        .route("/cart", post(async |ApiJson(_): ApiJson<Cart>| "taken"))
        .route("/form", post(async |ApiForm(_): ApiForm<Line>| "taken"))
        .route("/line/{id}", get(async |ApiPath(_): ApiPath<u32>| "found"))
        .route("/find", get(async |ApiQuery(_): ApiQuery<Line>| "found"))
        .layer(axum::extract::DefaultBodyLimit::max(256));
    let response = routes.oneshot(request).await.unwrap();
    let status = response.status();
    let problem = response.headers().get(CONTENT_TYPE).cloned();
    let body = to_bytes(response.into_body(), 4096).await.unwrap();
    if status.is_success() {
        return (status, Value::Null);
    }
    assert_eq!(problem.unwrap(), "application/problem+json");
    (status, serde_json::from_slice(&body).unwrap())
}

async fn send(content_type: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::post("/cart").header(CONTENT_TYPE, content_type).body(Body::from(body.to_owned()));
    answer(request.unwrap()).await
}

#[tokio::test]
async fn json_that_fits_is_taken() {
    for (content_type, body) in [
        ("application/json", r#"{"items":[{"quantity":2}]}"#),
        ("Application/JSON; charset=utf-8", r#"{"items":[]}"#),
        // An escaped backslash before `u0000` is six harmless characters.
        ("application/json", r#"{"items":[],"note":"\\u0000 \u0041"}"#),
    ] {
        let (status, problem) = send(content_type, body).await;
        assert_eq!(status, StatusCode::OK, "{body}: {problem}");
    }
}

#[tokio::test]
async fn json_that_does_not_fit_is_told_where() {
    for (body, field, detail) in [
        ("", None, "EOF while parsing a value at line 1 column 0"),
        ("{", None, "EOF while parsing an object at line 1 column 1"),
        ("{}", None, "missing field `items` at line 1 column 2"),
        (r#"{"items":[]} x"#, None, "more follows after the end of the JSON value"),
        (
            r#"{"items":[{"quantity":"canary"}]}"#,
            Some("items[0].quantity"),
            "invalid type, expected u8 at line 1 column 30",
        ),
        (
            r#"{"items":[{"quantity":256}]}"#,
            Some("items[0].quantity"),
            "invalid value, expected u8 at line 1 column 25",
        ),
        (r#"{"items":[],"canary":1}"#, Some("canary"), "unknown, expected `items` or `note` at line 1 column 20"),
        (r#"{"items":[],"note":"a\u0000canary"}"#, None, "a NUL character at byte 21"),
    ] {
        let (status, problem) = send("application/json", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(problem["detail"], detail, "{body}");
        assert_eq!(problem["field"].as_str(), field, "{body}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json_and_be_small() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let (status, _) = send(content_type, r#"{"items":[]}"#).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let (status, _) = send("application/json", &" ".repeat(257)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_form_that_is_not_its_pages_is_refused() {
    let form = "application/x-www-form-urlencoded";
    for (content_type, body, expected) in [
        (form, "_quantity=7", StatusCode::UNPROCESSABLE_ENTITY),
        (form, "quantity=7", StatusCode::OK),
        (form, "quantity=7%00", StatusCode::UNPROCESSABLE_ENTITY),
        (form, "quantity=seven", StatusCode::UNPROCESSABLE_ENTITY),
        (form, "", StatusCode::UNPROCESSABLE_ENTITY),
        ("multipart/form-data", "quantity=7", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("", "quantity=7", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (form, &"x".repeat(257), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let request = Request::post("/form").header(CONTENT_TYPE, content_type).body(Body::from(body.to_owned()));
        let (status, problem) = answer(request.unwrap()).await;
        assert_eq!(status, expected, "{body}: {problem}");
    }
}

#[tokio::test]
async fn paths_and_queries_are_refused_alike() {
    for (uri, expected) in [
        ("/line/7", StatusCode::OK),
        ("/line/seven", StatusCode::NOT_FOUND),
        ("/line/7%00", StatusCode::NOT_FOUND),
        ("/find?quantity=7", StatusCode::OK),
        ("/find?quantity=", StatusCode::UNPROCESSABLE_ENTITY),
        ("/find?quantity=7&x=1", StatusCode::UNPROCESSABLE_ENTITY),
        ("/find?quantity=7%00", StatusCode::UNPROCESSABLE_ENTITY),
        ("/find", StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let (status, problem) = answer(Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(status, expected, "{uri}: {problem}");
    }
}
