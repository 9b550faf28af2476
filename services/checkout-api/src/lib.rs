//! The storefront's API: orders, confirm and pages, and the loops that finish what a request began.

mod app;
mod browser;
mod checkout;
mod language;
mod learn;
mod pages;
mod reconcile;
mod routes;
mod run;
mod session;
mod settings;
mod statement;

pub use app::App;
pub use checkout::{Checkout, Outcome, Return};
pub use learn::Learned;
pub use reconcile::Reconciler;
pub use run::{Parts, main, run};
pub use settings::{Settings, WorkerUrls};
pub use statement::Statements;

use std::sync::Arc;

use axum::Router;

/// Every route of the storefront and its API and the rules for browsers, without the layers that `service` puts around them.
pub fn router(app: App) -> Router {
    let rules = Arc::clone(&app.rules);
    browser::guarded(Router::new().merge(routes::router()).merge(pages::router()).with_state(app), rules)
}
