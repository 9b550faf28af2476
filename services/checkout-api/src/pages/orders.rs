use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use database::history::{self, OrderLine};
use domain::{OrderId, Won};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::frame::Frame;
use super::page;
use crate::app::{App, database_trouble};
use crate::language::Text;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/orders", get(orders))
}

/// How many orders are on one page.
const MOST: u8 = 20;

#[derive(Deserialize)]
struct OlderQuery {
    #[serde(default)]
    before: Option<OrderId>,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    orders: Vec<OrderLine>,
    /// The last order of this page, if more come after it.
    older: Option<OrderId>,
}

impl OrdersPage {
    fn name(&self, order: &OrderLine) -> String {
        let name = self.frame.pick(&order.name, &order.name_en);
        match order.others {
            0 => name.to_owned(),
            others => self.frame.say("and-others").with("name", name.to_owned()).with("others", others).to_string(),
        }
    }

    fn status(&self, order: &OrderLine) -> Text {
        self.frame.say(match order.status {
            "pending" => "status-pending",
            "confirming" => "status-confirming",
            "awaiting_deposit" => "status-awaiting-deposit",
            "paid" if order.refunded > Won::ZERO => "status-part-refunded",
            "paid" => "status-paid",
            "refunding" => "status-refunding",
            "refunded" => "status-refunded",
            "expired" => "status-expired",
            _ => "status-canceled",
        })
    }
}

async fn orders(
    State(app): State<App>,
    frame: Frame,
    Visitor(customer): Visitor,
    ApiQuery(query): ApiQuery<OlderQuery>,
) -> Result<Response, Problem> {
    let mut orders = match customer {
        // One more than is shown says whether there are more.
        Some(customer) => history::of_customer(&app.db, customer.id, query.before, i64::from(MOST) + 1)
            .await
            .map_err(|error| database_trouble(&error))?,
        None => Vec::new(),
    };
    let more = orders.len() > usize::from(MOST);
    orders.truncate(MOST.into());
    let older = orders.last().filter(|_| more).map(|order| order.id);
    let orders = OrdersPage { frame, orders, older };
    Ok(page(StatusCode::OK, &orders.frame, &orders))
}
