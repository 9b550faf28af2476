//! Where the payment window leads back to, whatever came of it: `success.html` also tells of what did not work.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use domain::{ProviderOrderId, Won};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::ask::{Asked, Reader};
use super::frame::Frame;
use super::notice::no_such_order;
use super::standing::{Next, Standing};
use super::{page, provider};
use crate::app::App;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/success", get(success))
}

/// The page of an order that somebody has just come back to.
#[derive(Template)]
#[template(path = "success.html")]
pub(super) struct CameBackPage<'a> {
    frame: &'a Frame,
    standing: Standing,
    mine: bool,
    name: String,
    amount: Won,
    method: Option<String>,
    receipt_url: Option<String>,
}

impl<'a> CameBackPage<'a> {
    pub(super) fn new(frame: &'a Frame, asked: Asked, standing: Standing) -> Self {
        let Asked { found, mine } = asked;
        let (method, receipt_url) =
            found.payment.map(|payment| (payment.method, payment.receipt_url)).unwrap_or_default();
        let method = method.map(|name| match provider::method(&name) {
            Some(key) => frame.language.say(key).to_string(),
            None => name,
        });
        Self {
            frame,
            standing,
            mine,
            name: found.order.name,
            amount: found.order.amount,
            method: method.filter(|_| mine),
            receipt_url: receipt_url.filter(|_| mine),
        }
    }

    pub(super) fn page(&self) -> Response {
        page(StatusCode::OK, self.frame, self)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderQuery {
    order_id: ProviderOrderId,
}

async fn success(
    State(app): State<App>,
    frame: Frame,
    reader: Reader,
    ApiQuery(query): ApiQuery<OrderQuery>,
) -> Result<Response, Problem> {
    let Some(asked) = reader.known(&app, query.order_id.order).await? else {
        return Ok(no_such_order(&frame));
    };
    let standing = Standing::of(&frame, &asked.found);
    Ok(CameBackPage::new(&frame, asked, standing).page())
}
