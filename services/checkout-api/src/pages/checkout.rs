use askama::Template;
use axum::Extension;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use database::products::{self, Product};
use domain::ProductId;
use http::StatusCode;
use service::{ApiPath, Problem};
use uuid::Uuid;

use super::frame::Frame;
use super::notice::Notice;
use super::{HoldsWidget, page};
use crate::app::{App, Shop, database_trouble};
use crate::session::Guest;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/{product_id}", get(checkout))
}

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage<'a> {
    frame: &'a Frame,
    product: &'a Product,
    shop: &'a Shop,
    customer_key: Uuid,
}

async fn checkout(
    State(app): State<App>,
    frame: Frame,
    guest: Guest,
    ApiPath(id): ApiPath<ProductId>,
) -> Result<Response, Problem> {
    let found = products::find(&app.db, &[id]).await.map_err(|error| database_trouble(&error))?;
    let Some(product) = found.first() else {
        let notice = Notice::new(&frame, "no-such-product", "no-such-product-text");
        return Ok((guest.cookie, notice.page(StatusCode::NOT_FOUND)).into_response());
    };
    let template = CheckoutPage { frame: &frame, product, shop: &app.shop, customer_key: guest.customer.key };
    Ok((guest.cookie, Extension(HoldsWidget), page(StatusCode::OK, &frame, &template)).into_response())
}
