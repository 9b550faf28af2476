use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use database::products::{self, Product};
use http::StatusCode;
use service::Problem;

use super::frame::Frame;
use super::page;
use crate::app::{App, database_trouble};
use crate::session::Guest;

pub(super) fn router() -> Router<App> {
    Router::new().route("/", get(shelf))
}

#[derive(Template)]
#[template(path = "shelf.html")]
struct Shelf {
    frame: Frame,
    products: Vec<Product>,
}

async fn shelf(State(app): State<App>, frame: Frame, guest: Guest) -> Result<Response, Problem> {
    let products = products::list(&app.db).await.map_err(|error| database_trouble(&error))?;
    let shelf = Shelf { frame, products };
    Ok((guest.cookie, page(StatusCode::OK, &shelf.frame, &shelf)).into_response())
}
