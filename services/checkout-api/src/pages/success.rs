use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use database::orders;
use domain::{OrderId, OrderState, ProviderOrderId, Won};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::frame::Frame;
use super::notice::{Notice, no_such_order};
use super::page;
use crate::app::{App, database_trouble};
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/success", get(success))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderQuery {
    order_id: ProviderOrderId,
}

#[derive(Template)]
#[template(path = "success.html")]
struct Success<'a> {
    frame: &'a Frame,
    status: &'static str,
    name: String,
    amount: Won,
    order: OrderId,
    method: Option<String>,
    receipt_url: Option<String>,
    deposit: Option<(String, String, DateTime<Utc>)>,
}

async fn success(
    State(app): State<App>,
    frame: Frame,
    Visitor(customer): Visitor,
    ApiQuery(query): ApiQuery<OrderQuery>,
) -> Result<Response, Problem> {
    let found = match customer {
        Some(customer) => {
            orders::find(&app.db, query.order_id.order, customer.id).await.map_err(|error| database_trouble(&error))?
        }
        None => None,
    };
    let Some(found) = found else { return Ok(no_such_order(&frame)) };
    if matches!(found.order.state, OrderState::Pending | OrderState::Expired | OrderState::Canceled) {
        let mut notice = Notice::new(&frame, "not-paid", "not-paid-text");
        if let Some(line) = found.lines.first() {
            notice = notice.first(format!("/checkout/{}", line.product), "try-again");
        }
        return Ok(notice.page(StatusCode::OK));
    }
    let payment = found.payment;
    let template = Success {
        frame: &frame,
        status: found.order.state.name(),
        name: found.order.name,
        amount: found.order.amount,
        order: found.order.id,
        method: payment.as_ref().and_then(|payment| payment.method.clone()),
        receipt_url: payment.as_ref().and_then(|payment| payment.receipt_url.clone()),
        deposit: payment.and_then(|payment| payment.deposit),
    };
    Ok(page(StatusCode::OK, &frame, &template))
}
