//! Firebase's scripts for browsers, `/fcm/web/…`: they make the browser the sandbox's phone.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};

use crate::Sandbox;

pub(super) fn router() -> Router<Sandbox> {
    Router::new().route("/web/{script}", get(script))
}

async fn script(Path(name): Path<String>) -> Response {
    let text = match name.as_str() {
        "firebase-app.js" => include_str!("../../assets/firebase-app.js"),
        "firebase-messaging.js" => include_str!("../../assets/firebase-messaging.js"),
        "firebase-app-compat.js" | "firebase-messaging-compat.js" => include_str!("../../assets/firebase-compat.js"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // Modules of another origin are loaded only if that says so.
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")], text).into_response()
}
