//! The checkout API: orders, payments and pages, and the background loops that finish what a request began.

mod app;
mod browser;
mod checkout;
mod circuit;
mod language;
mod learn;
mod members;
mod operator;
mod ordering;
mod pace;
mod pages;
mod prune;
mod reconcile;
mod refund;
mod return_token;
mod routes;
mod run;
mod session;
mod settings;
mod statement;
mod stock_feed;
mod web_push;
mod webhooks;

pub use app::App;
pub use checkout::{Checkout, Outcome, Return};
pub use circuit::Circuit;
pub use learn::Learned;
pub use members::ProviderSettings;
pub use reconcile::Reconciler;
pub use refund::{RefundProblem, RefundRequest};
pub use run::{Parts, main, run};
pub use settings::{Rates, Settings, WorkerUrls};
pub use statement::Statements;
pub use stock_feed::StockFeed;
pub use web_push::WebPush;
pub use webhooks::Webhooks;

use std::sync::Arc;

use axum::middleware::from_fn;
use axum::routing::any;
use axum::{Extension, Router};
use service::{Problem, layers};

/// Every route of the storefront and its API, the rules for browsers and the rate limits, without the layers that
/// `service` puts around them.
pub fn router(app: App) -> Router {
    let (rules, pace) = (Arc::clone(&app.rules), Arc::clone(&app.pace));
    let offer = app.offer.clone();
    let routes = Router::new()
        .merge(routes::router())
        .merge(pages::router())
        .merge(members::router())
        .merge(web_push::router())
        .with_state(app)
        // Here already, so that the layers below are around it too: people are told by a page.
        .method_not_allowed_fallback(layers::method_not_allowed);
    // A route and no fallback, so that the layers below are around it too.
    let routes = routes.route("/{*nothing}", any(async || Problem::not_found()));
    let routes = browser::guarded(pace::limited(routes, pace), Arc::clone(&rules));
    browser::dressed(routes.layer(from_fn(pages::explained)), rules).layer(Extension(offer))
}
