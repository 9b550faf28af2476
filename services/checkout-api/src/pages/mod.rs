//! The storefront: pages rendered here, one file each, and at most one small script per page.

mod ask;
mod assets;
mod callback;
mod checkout;
mod failure;
mod frame;
mod members;
mod notice;
mod order;
mod orders;
mod provider;
mod shelf;
mod standing;
mod success;
mod trouble;

use askama::Template;
use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use service::Problem;
use tracing::error;

use crate::app::App;
pub(crate) use frame::Frame;
pub(crate) use members::{sign_in_problem, signed_out};
pub(crate) use trouble::explained;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .merge(shelf::router())
        .merge(checkout::router())
        .merge(callback::router())
        .merge(success::router())
        .merge(failure::router())
        .merge(orders::router())
        .merge(order::router())
        .merge(assets::router())
}

/// Renders a page, and remembers the language if the reader has just chosen one.
fn page(status: StatusCode, frame: &Frame, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = (status, Html(html)).into_response();
            if let Some(remember) = frame.switched.as_deref().and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
                response.headers_mut().append(SET_COOKIE, remember);
            }
            response
        }
        Err(error) => {
            error!(%error, "A page could not be rendered");
            Problem::internal().into_response()
        }
    }
}

/// Marks the answer of a page that holds Toss's widget: only such a page may load it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HoldsWidget;
