//! A page that says one thing, and where to go from there.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::frame::Frame;
use super::page;
use crate::language::Text;

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) struct Notice<'a> {
    frame: &'a Frame,
    title: Text,
    text: Text,
}

impl<'a> Notice<'a> {
    pub(super) fn new(frame: &'a Frame, title: &'static str, text: &'static str) -> Self {
        Self { frame, title: frame.say(title), text: frame.say(text) }
    }

    pub(super) fn page(&self, status: StatusCode) -> Response {
        page(status, self.frame, self)
    }
}

/// What is not there, or not the reader's.
pub(super) fn no_such_order(frame: &Frame) -> Response {
    Notice::new(frame, "no-such-order", "no-such-order-text").page(StatusCode::NOT_FOUND)
}
