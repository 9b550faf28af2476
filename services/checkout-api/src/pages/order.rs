//! One order: how it stands, what was bought, what happened so far, and paying it another way.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use chrono::{DateTime, Utc};
use database::history::{self, Step};
use database::orders::{self, OrderDetails};
use database::products::{self, Product};
use database::refunds::{self, RefundDetails};
use domain::{Line, OrderId, ProductId, Won};
use http::StatusCode;
use service::{ApiPath, Problem};
use uuid::Uuid;

use super::frame::Frame;
use super::notice::no_such_order;
use super::standing::{Mood, Next, Standing};
use super::{HoldsWidget, ask, page, provider};
use crate::app::{App, Shop, database_trouble};
use crate::language::Text;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/orders/{id}", get(order))
        .route("/orders/{id}/pay", get(pay))
        .route("/orders/{id}/cancel", post(cancel))
}

/// A line of an order, with what the catalogue knows of its product today.
struct Goods {
    line: Line,
    name_en: String,
    image_url: Option<String>,
    total: Won,
}

async fn goods(app: &App, lines: Vec<Line>) -> Result<Vec<Goods>, Problem> {
    let ids: Vec<_> = lines.iter().map(|line| line.product).collect();
    let found = products::find(&app.db, &ids).await.map_err(|error| database_trouble(&error))?;
    let mut found: HashMap<ProductId, Product> = found.into_iter().map(|product| (product.id, product)).collect();
    let goods = lines.into_iter().map(|line| {
        let (name_en, image_url) = match found.remove(&line.product) {
            Some(product) => (product.name_en, product.image_url),
            None => (line.name.clone(), None), // no longer on sale
        };
        let total = line.unit_price.times(line.quantity).map_err(|_| Problem::internal())?;
        Ok(Goods { line, name_en, image_url, total })
    });
    goods.collect()
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    frame: &'a Frame,
    standing: Standing,
    goods: Vec<Goods>,
    amount: Won,
    created_at: DateTime<Utc>,
    method: Option<String>,
    receipt_url: Option<String>,
    refunds: Vec<RefundDetails>,
    past: Vec<(DateTime<Utc>, Text)>,
}

async fn order(
    State(app): State<App>,
    frame: Frame,
    visitor: Visitor,
    ApiPath(id): ApiPath<OrderId>,
) -> Result<Response, Problem> {
    let Some(found) = ask::own(&app, &visitor, id).await? else { return Ok(no_such_order(&frame)) };
    let trouble = |error| database_trouble(&error);
    let refunds = refunds::of_order(&app.db, id).await.map_err(trouble)?;
    let steps = history::steps(&app.db, id).await.map_err(trouble)?;
    let mut standing = Standing::of(&frame, &found);
    let taken_back =
        steps.last().is_some_and(|step| (step.from.as_deref(), step.to) == (Some("paid"), "awaiting_deposit"));
    if taken_back && standing.deposit.is_some() {
        standing = standing.told(Mood::Wait, frame.say("deposit-gone"), frame.say("deposit-gone-text"));
    }
    let OrderDetails { order, lines, created_at, payment, .. } = found;
    let (method, receipt_url) = payment.map(|payment| (payment.method, payment.receipt_url)).unwrap_or_default();
    let template = OrderPage {
        frame: &frame,
        standing,
        goods: goods(&app, lines).await?,
        amount: order.amount,
        created_at,
        method: method.map(|name| provider::method(&name).map_or(name, |key| frame.language.say(key).to_string())),
        receipt_url,
        past: past(&frame, created_at, &steps, &refunds),
        refunds,
    };
    Ok(page(StatusCode::OK, &frame, &template))
}

/// What happened to an order, oldest first. Refunds tell their own story, so the states they bring are left out.
fn past(
    frame: &Frame,
    created_at: DateTime<Utc>,
    steps: &[Step],
    refunds: &[RefundDetails],
) -> Vec<(DateTime<Utc>, Text)> {
    let mut past = vec![(created_at, frame.say("past-placed"))];
    for step in steps {
        let text = match (step.from.as_deref(), step.to) {
            (_, "confirming") => "past-confirming",
            (Some("confirming"), "pending") => "past-declined",
            (Some("paid"), "awaiting_deposit") => "past-deposit-gone",
            (_, "awaiting_deposit") => "past-awaiting",
            (Some("refunding"), "paid") | (_, "refunding" | "refunded" | "pending") => continue,
            (_, "paid") => "past-paid",
            (_, "expired") => "past-expired",
            _ => "past-canceled",
        };
        past.push((step.at, frame.say(text)));
    }
    for refund in refunds {
        past.push((refund.created_at, frame.say("past-refund-begun").with("amount", frame.won(refund.amount))));
        if let Some(at) = refund.done_at {
            // The provider's clock knows whole seconds only: nothing is told to end before it began.
            let at = at.max(refund.created_at);
            past.push((at, frame.say("past-refund-done").with("amount", frame.won(refund.amount))));
        }
    }
    past.sort_by_key(|(at, _)| *at);
    past
}

#[derive(Template)]
#[template(path = "pay.html")]
struct PayPage<'a> {
    frame: &'a Frame,
    order: OrderId,
    goods: Vec<Goods>,
    amount: Won,
    expires_at: DateTime<Utc>,
    shop: &'a Shop,
    customer_key: Uuid,
}

/// The payment window again, for an order that is there already: the same goods at the same prices.
async fn pay(
    State(app): State<App>,
    frame: Frame,
    visitor: Visitor,
    ApiPath(id): ApiPath<OrderId>,
) -> Result<Response, Problem> {
    let Some(found) = ask::own(&app, &visitor, id).await? else { return Ok(no_such_order(&frame)) };
    let (Some(customer), Next::Pay) = (visitor.0, Standing::of(&frame, &found).next) else {
        return Ok(Redirect::to(&format!("/orders/{id}")).into_response());
    };
    let template = PayPage {
        frame: &frame,
        order: id,
        goods: goods(&app, found.lines).await?,
        amount: found.order.amount,
        expires_at: found.expires_at,
        shop: &app.shop,
        customer_key: customer.key,
    };
    Ok((Extension(HoldsWidget), page(StatusCode::OK, &frame, &template)).into_response())
}

/// Gives an unpaid order up. One that is being paid by now is left as it is, and its page says so.
async fn cancel(State(app): State<App>, visitor: Visitor, ApiPath(id): ApiPath<OrderId>) -> Result<Redirect, Problem> {
    let customer = visitor.0.ok_or_else(Problem::not_found)?;
    orders::cancel(&app.db, id, customer.id).await.map_err(|error| database_trouble(&error))?;
    Ok(Redirect::to(&format!("/orders/{id}")))
}
