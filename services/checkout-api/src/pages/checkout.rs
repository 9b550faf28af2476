//! A product, and how it is ordered: by the page's script, beside the payment widget, or by a form that leads to it.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use database::products::{self, Product};
use domain::{ProductId, Quantity, Won};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiForm, ApiPath, Problem};
use sha2::{Digest as _, Sha256};
use tracing::debug;
use uuid::Uuid;

use super::frame::Frame;
use super::notice::Notice;
use super::{HoldsWidget, page};
use crate::app::{App, Shop, database_trouble, unavailable};
use crate::ordering::{self, Cart, Email, NotPlaced};
use crate::session::Guest;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/{product_id}", get(checkout).post(order))
}

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage<'a> {
    frame: &'a Frame,
    product: &'a Product,
    shop: &'a Shop,
    customer_key: Uuid,
    typed: OrderForm,
    total: Won,
    wrong: Wrong,
}

/// What the page's form sends.
#[derive(Deserialize)]
struct OrderForm {
    quantity: String,
    #[serde(default)]
    email: String,
    /// Won per piece, as the page showed it.
    price: Won,
    /// Made for one showing of the page: pressing twice orders once.
    attempt: Uuid,
}

/// What has to be changed in the form before it can be taken.
#[derive(Default)]
struct Wrong {
    quantity: Option<String>,
    email: Option<String>,
    /// Neither field is to blame.
    order: Option<String>,
}

impl OrderForm {
    fn new(product: &Product) -> Self {
        Self { quantity: "1".to_owned(), email: String::new(), price: product.price, attempt: Uuid::new_v4() }
    }

    fn quantity(&self) -> Option<Quantity> {
        Quantity::new(self.quantity.trim().parse().ok()?).ok()
    }

    fn cart(&self, frame: &Frame, product: &Product) -> Result<Cart, Wrong> {
        let quantity = self.quantity().filter(|quantity| quantity.get() <= most(product));
        let email = match self.email.trim() {
            "" => Some(None),
            text => Email::parse(text).map(Some),
        };
        match (quantity, email) {
            (Some(quantity), Some(email)) => {
                let expected = self.price.times(quantity).ok();
                Ok(Cart { items: vec![(product.id, quantity)], email, expected })
            }
            (quantity, email) => Err(Wrong {
                quantity: quantity
                    .is_none()
                    .then(|| frame.say("check-quantity").with("most", most(product)).to_string()),
                email: email.is_none().then(|| frame.say("check-email").to_string()),
                order: None,
            }),
        }
    }

    /// The same for the same form, and another one when something else is typed into it.
    fn key(&self, cart: &Cart) -> String {
        hex::encode(Sha256::new().chain_update(self.attempt).chain_update(cart.hash()).finalize())
    }
}

/// As many as can be ordered at once.
fn most(product: &Product) -> i32 {
    product.available.min(product.max_per_order)
}

impl Wrong {
    /// `None`: nothing that the buyer could change.
    fn because(frame: &Frame, product: &Product, refusal: &NotPlaced) -> Option<Self> {
        let order = match refusal {
            NotPlaced::PriceChanged { .. } => frame.say("price-now").with("price", frame.won(product.price)),
            NotPlaced::TooManyOpen => frame.say("too-many-open"),
            // Fewer since the form was looked at.
            NotPlaced::TooManyPieces { most, .. } => frame.say("check-quantity").with("most", *most),
            NotPlaced::NoSuchProduct(_) | NotPlaced::NoOrder(_) | NotPlaced::KeyReused | NotPlaced::Unavailable(_) => {
                return None;
            }
        };
        Some(Self { order: Some(order.to_string()), ..Self::default() })
    }
}

async fn checkout(
    State(app): State<App>,
    frame: Frame,
    guest: Guest,
    ApiPath(id): ApiPath<ProductId>,
) -> Result<Response, Problem> {
    let Some(product) = find(&app, id).await? else {
        return Ok((guest.cookie, no_such_product(&frame)).into_response());
    };
    let form = OrderForm::new(&product);
    Ok(show(&app, &frame, guest, &product, StatusCode::OK, form, Wrong::default()))
}

/// Orders without scripts, as `POST /api/orders` does with them, and goes on to where it is paid.
async fn order(
    State(app): State<App>,
    frame: Frame,
    guest: Guest,
    ApiPath(id): ApiPath<ProductId>,
    ApiForm(form): ApiForm<OrderForm>,
) -> Result<Response, Problem> {
    let Some(product) = find(&app, id).await? else {
        return Ok((guest.cookie, no_such_product(&frame)).into_response());
    };
    let cart = match form.cart(&frame, &product) {
        Ok(cart) => cart,
        Err(wrong) => return Ok(show(&app, &frame, guest, &product, StatusCode::UNPROCESSABLE_ENTITY, form, wrong)),
    };
    let key = form.key(&cart);
    match ordering::place(&app, &guest, cart, key).await {
        Ok(placed) => Ok((guest.cookie, Redirect::to(&format!("/orders/{}/pay", placed.id()))).into_response()),
        Err(NotPlaced::Unavailable(problem)) => Err(unavailable(&problem)),
        Err(refusal) => {
            debug!(%refusal, "A form was not taken");
            let wrong = Wrong::because(&frame, &product, &refusal).ok_or_else(|| Problem::invalid("no such order"))?;
            Ok(show(&app, &frame, guest, &product, StatusCode::CONFLICT, form, wrong))
        }
    }
}

async fn find(app: &App, id: ProductId) -> Result<Option<Product>, Problem> {
    let found = products::find(&app.db, &[id]).await.map_err(|error| database_trouble(&error))?;
    Ok(found.into_iter().next())
}

fn no_such_product(frame: &Frame) -> Response {
    Notice::new(frame, "no-such-product", "no-such-product-text").page(StatusCode::NOT_FOUND)
}

/// The page, with what is typed into its form, at today's price.
fn show(
    app: &App,
    frame: &Frame,
    guest: Guest,
    product: &Product,
    status: StatusCode,
    typed: OrderForm,
    wrong: Wrong,
) -> Response {
    let total = typed.quantity().and_then(|quantity| product.price.times(quantity).ok()).unwrap_or(product.price);
    let customer_key = guest.customer.key;
    let template = CheckoutPage { frame, product, shop: &app.shop, customer_key, typed, total, wrong };
    (guest.cookie, Extension(HoldsWidget), page(status, frame, &template)).into_response()
}
