use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use database::products::{self, Product};
use domain::{ProductId, Won};
use serde::Serialize;
use service::{ApiPath, Problem};

use crate::app::{App, database_trouble, unavailable};

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/products", get(list)).route("/api/products/{id}", get(show))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProductBody {
    product_id: ProductId,
    name: String,
    name_en: String,
    price: Won,
    currency: &'static str,
    image_url: Option<String>,
    /// Pieces that can be bought right now.
    available: i32,
    /// Pieces that one order may hold.
    max_per_order: i32,
    sold_out: bool,
}

impl From<Product> for ProductBody {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.id,
            name: product.name,
            name_en: product.name_en,
            price: product.price,
            currency: "KRW",
            image_url: product.image_url,
            available: product.available,
            max_per_order: product.max_per_order,
            sold_out: product.available <= 0,
        }
    }
}

#[derive(Serialize)]
struct Products {
    products: Vec<ProductBody>,
}

async fn list(State(app): State<App>) -> Result<Json<Products>, Problem> {
    let found = products::list(&app.db).await.map_err(|error| database_trouble(&error))?;
    Ok(Json(Products { products: found.into_iter().map(ProductBody::from).collect() }))
}

async fn show(State(app): State<App>, ApiPath(id): ApiPath<ProductId>) -> Result<Json<ProductBody>, Problem> {
    let found = app.desk.products.submit(vec![id]).await.map_err(|problem| unavailable(&problem))?;
    found.into_iter().next().map(|product| Json(product.into())).ok_or_else(Problem::not_found)
}
