//! The JSON API: one file per feature, request type, handler and tests together.

mod csp_reports;
mod messaging_tokens;
mod orders;
mod payable;
mod payments;
mod products;
mod refunds;
mod stock;
mod webhooks;

pub(crate) use messaging_tokens::parse_device;

use axum::Router;

pub(crate) use payments::payment_type;

use crate::app::App;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .merge(products::router())
        .merge(stock::router())
        .merge(orders::router())
        .merge(payable::router())
        .merge(payments::router())
        .merge(refunds::router())
        .merge(messaging_tokens::router())
        .merge(webhooks::router())
        .merge(csp_reports::router())
}
