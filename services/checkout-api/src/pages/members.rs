//! What a sign-in that did not work, and a sign-out, look like.

use axum::response::Response;
use http::header::REFRESH;
use http::{HeaderValue, StatusCode};

use super::frame::Frame;
use super::notice::Notice;
use crate::members::NoIdentity;

pub(crate) fn sign_in_problem(frame: &Frame, why: NoIdentity) -> Response {
    let (title, text, status) = match why {
        NoIdentity::Unavailable => ("sign-in-unavailable", "sign-in-unavailable-text", StatusCode::SERVICE_UNAVAILABLE),
        NoIdentity::Refused => ("sign-in-refused", "sign-in-refused-text", StatusCode::BAD_REQUEST),
    };
    Notice::new(frame, title, text).page(status)
}

/// Goes on to the provider if it ends its session, too. Not by a redirect, which the page that the button is on forbids:
/// its forms lead nowhere but here.
pub(crate) fn signed_out(frame: &Frame, farewell: Option<String>) -> Response {
    let mut page = Notice::new(frame, "signed-out", "signed-out-text").page(StatusCode::OK);
    let onward = farewell.and_then(|address| HeaderValue::try_from(format!("0; url={address}")).ok());
    if let Some(onward) = onward {
        page.headers_mut().insert(REFRESH, onward);
    }
    page
}
