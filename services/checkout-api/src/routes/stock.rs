use std::str::FromStr;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use domain::ProductId;
use http::{Extensions, HeaderMap, HeaderName};
use serde::Deserialize;
use service::{ApiQuery, Lasting, Problem, client_address};

use crate::app::App;

/// The most products that a page may follow: the address of the stream must fit into a request's head.
const MOST: usize = 100;

/// Proxies close what is silent, commonly after a minute, and only writing finds out that a reader is gone.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Whoever finds no place comes again when some pages have been closed.
const FULL_FOR: Duration = Duration::from_secs(30);

/// Tells nginx not to wait for the end of what has none.
const NO_BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/stock/events", get(events))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    products: String,
}

/// Server-sent events of what is left: `{"<product id>": <pieces>}`, first of all products that were asked for, then of
/// those that changed.
async fn events(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    ApiQuery(query): ApiQuery<EventsQuery>,
) -> Result<Response, Problem> {
    let products = parse(&query.products)?;
    let address = client_address(&extensions, &headers, &app.proxies);
    let full = || Problem::unavailable(FULL_FOR).detail("too many pages follow the stock");
    let place = app.streams.take(address).ok_or_else(full)?;
    let unknown = || Problem::unavailable(FULL_FOR).detail("what is left is not known at the moment");
    let news = app.stock_feed.follow(products, place).ok_or_else(unknown)?;
    let alive = Sse::new(news).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok((Extension(Lasting), [NO_BUFFERING], alive).into_response())
}

fn parse(list: &str) -> Result<Vec<ProductId>, Problem> {
    let products: Result<Vec<_>, _> = list.split(',').map(ProductId::from_str).collect();
    let products = products.ok().filter(|products| products.len() <= MOST);
    products.ok_or_else(|| {
        Problem::invalid(format!("products: expected 1 to {MOST} product ids with commas between them"))
            .with("field", "products")
    })
}
