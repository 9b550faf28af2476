//! What the payment widget needs, for a new order or for one that is still to be paid.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use database::orders::OrderDetails;
use database::return_tokens;
use domain::{OrderError, OrderState, ProviderOrderId, Won};
use http::StatusCode;
use serde::Serialize;
use service::{ApiPath, Problem};

use super::orders::{load, wrong_state};
use crate::app::{App, Shop, database_trouble};
use crate::return_token::ReturnToken;
use crate::session::Guest;

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/orders/{id}/pay", post(pay))
}

/// What the payment widget needs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payable<'a> {
    /// For the payment window: names the attempt as well, so it changes after a decline.
    order_id: ProviderOrderId,
    status: &'static str,
    order_name: &'a str,
    amount: Won,
    currency: &'static str,
    customer_key: uuid::Uuid,
    client_key: &'a str,
    success_url: String,
    fail_url: String,
}

impl<'a> Payable<'a> {
    /// A window for an order that waits to be paid.
    pub(super) fn new(
        shop: &'a Shop,
        guest: &Guest,
        order_id: ProviderOrderId,
        return_token: &ReturnToken,
        order_name: &'a str,
        amount: Won,
    ) -> Self {
        let (url, order) = (&shop.public_url, order_id.order);
        Self {
            order_id,
            status: OrderState::Pending.name(),
            order_name,
            amount,
            currency: "KRW",
            customer_key: guest.customer.key,
            client_key: &shop.client_key,
            // In the path: whether Toss keeps a query that is there already is not documented.
            success_url: format!("{url}/api/checkout/callback/{}", return_token.in_address()),
            // Toss names no order when the buyer gives up.
            fail_url: format!("{url}/checkout/cancel?order={order}"),
        }
    }
}

/// Another window for an order that is there already, wherever it stands.
pub(super) async fn another_window<'a>(
    app: &'a App,
    guest: &Guest,
    found: &'a OrderDetails,
) -> Result<Payable<'a>, Problem> {
    let order = &found.order;
    let window = ProviderOrderId { order: order.id, attempt: order.next_attempt() };
    let token = ReturnToken::of(guest, window);
    return_tokens::renew(&app.db, order.id, token.hash()).await.map_err(|error| database_trouble(&error))?;
    let payable = Payable::new(&app.shop, guest, window, &token, &order.name, order.amount);
    Ok(Payable { status: order.state.name(), ..payable })
}

/// Opens another payment window for an order that was not paid the first time.
async fn pay(State(app): State<App>, guest: Guest, ApiPath(id): ApiPath<ProviderOrderId>) -> Result<Response, Problem> {
    let found = load(&app, id.order, guest.customer.id).await?;
    match found.order.state {
        OrderState::Pending if found.overdue => {
            let title = "주문 시간이 지났습니다 / The order has expired";
            Err(Problem::new(StatusCode::CONFLICT, "order-expired", title))
        }
        OrderState::Pending => Ok(Json(another_window(&app, &guest, &found).await?).into_response()),
        from => Err(wrong_state(&OrderError::InvalidTransition { from: from.name(), action: "paid" })),
    }
}
