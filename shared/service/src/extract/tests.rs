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
        .layer(axum::middleware::map_request(async |mut request: Request| {
            limit_body(&mut request, 2_048);
            request
        }));
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
        ("", None, "the body is empty"),
        (r#"{"items":[{"quantity":"canary"}]}"#, Some("items[0].quantity"), "expected a whole number"),
        ("[[],null]", None, "expected a JSON object"),
    ] {
        let (status, problem) = send("application/json", body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &"invalid-request".into()), "{body}");
        assert_eq!(problem["detail"], detail, "{body}");
        assert_eq!(problem["field"].as_str(), field, "{body}");
    }
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json_and_be_small() {
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let (status, problem) = send(content_type, r#"{"items":[]}"#).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(problem["code"], "unsupported-media-type");
    }
    let (status, problem) = send("application/json", &" ".repeat(2_049)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &"payload-too-large".into()));
    assert_eq!(problem["detail"], "this route takes at most 2 KiB");
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
        (form, &"x".repeat(2_049), StatusCode::PAYLOAD_TOO_LARGE),
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
    for (query, field, detail) in [
        ("", "quantity", "quantity: is required in the address"),
        ("?quantity=canary", "quantity", "quantity: has a value in the address that is not one"),
        ("?quantity=1&quantity=2", "quantity", "quantity: is there twice in the address"),
        ("?quantity=1&canary=2", "canary", "canary: is not known in the address"),
    ] {
        let (_, problem) = answer(Request::get(format!("/find{query}")).body(Body::empty()).unwrap()).await;
        assert_eq!((problem["field"].as_str(), problem["detail"].as_str()), (Some(field), Some(detail)));
    }
}
