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
    steps: Vec<Step>,
}

/// Where the reader can go from there. The first step is the one that most will want.
pub(super) struct Step {
    pub(super) address: String,
    pub(super) text: Text,
}

impl<'a> Notice<'a> {
    /// A notice whose only way leads back to the shop.
    pub(super) fn new(frame: &'a Frame, title: &'static str, text: &'static str) -> Self {
        let back = Step { address: "/".to_owned(), text: frame.say("back-to-shop") };
        Self { frame, title: frame.say(title), text: frame.say(text), steps: vec![back] }
    }

    /// Another step, before those there are.
    pub(super) fn first(mut self, address: String, text: &'static str) -> Self {
        self.steps.insert(0, Step { address, text: self.frame.say(text) });
        self
    }

    pub(super) fn page(&self, status: StatusCode) -> Response {
        page(status, self.frame, self)
    }
}

/// What is not there, or not the reader's.
pub(super) fn no_such_order(frame: &Frame) -> Response {
    Notice::new(frame, "no-such-order", "no-such-order-text").page(StatusCode::NOT_FOUND)
}
