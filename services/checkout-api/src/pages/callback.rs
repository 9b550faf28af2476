use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use domain::{CustomerId, PaymentKey, ProviderOrderId, Won};
use serde::Deserialize;
use service::{ApiPath, ApiQuery, Problem, TraceParent};

use super::failure::Reason;
use crate::app::{App, database_trouble};
use crate::checkout::{Outcome, Return};
use crate::return_token::{CameBack, ReturnToken, exchange};
use crate::routes;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/api/checkout/callback", get(callback))
        .route("/api/checkout/callback/{token}", get(callback_with_token))
}

/// Toss's `successUrl`. The order of the parameters is no contract, and `paymentType` may be absent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallbackQuery {
    payment_key: PaymentKey,
    order_id: ProviderOrderId,
    amount: Won,
    #[serde(default)]
    payment_type: Option<String>,
}

impl CallbackQuery {
    async fn confirm(&self, app: &App, customer: Option<CustomerId>, trace: &TraceParent) -> Outcome {
        let Some(customer) = customer else { return Outcome::NotFound };
        let request = Return {
            customer,
            order: self.order_id,
            key: self.payment_key.clone(),
            amount: self.amount,
            payment_type: routes::payment_type(self.payment_type.clone()),
        };
        app.checkout.confirm(request, Some(trace.to_string())).await
    }
}

async fn callback(
    State(app): State<App>,
    Visitor(customer): Visitor,
    trace: TraceParent,
    ApiQuery(query): ApiQuery<CallbackQuery>,
) -> Redirect {
    let outcome = query.confirm(&app, customer.map(|customer| customer.id), &trace).await;
    onwards(query.order_id, &outcome)
}

/// The same, for a buyer who may have come back in another browser: the token in the address speaks for them if their
/// session does not, once.
async fn callback_with_token(
    State(app): State<App>,
    Visitor(customer): Visitor,
    back: CameBack,
    trace: TraceParent,
    ApiPath(token): ApiPath<ReturnToken>,
    ApiQuery(query): ApiQuery<CallbackQuery>,
) -> Result<Response, Problem> {
    let order = query.order_id;
    let outcome = query.confirm(&app, customer.map(|customer| customer.id), &trace).await;
    if !matches!(outcome, Outcome::NotFound) {
        return Ok(onwards(order, &outcome).into_response());
    }
    let trouble = |error| database_trouble(&error);
    if let Some((owner, cookie)) = exchange(&app, order.order, &token).await.map_err(trouble)? {
        let outcome = query.confirm(&app, Some(owner), &trace).await;
        return Ok((cookie, onwards(order, &outcome)).into_response());
    }
    // A reload in the browser that has used it up.
    let owner = back.owner(&app, order.order).await.map_err(trouble)?;
    let outcome = query.confirm(&app, owner, &trace).await;
    Ok(onwards(order, &outcome).into_response())
}

/// The payment key leaves the address bar here: the next pages know the order only.
fn onwards(order: ProviderOrderId, outcome: &Outcome) -> Redirect {
    let order = order.order;
    match outcome {
        Outcome::Paid | Outcome::AwaitingDeposit | Outcome::Checking => {
            Redirect::to(&format!("/checkout/success?orderId={order}"))
        }
        refused => Redirect::to(&format!("/checkout/error?orderId={order}&reason={}", Reason::of(refused).name())),
    }
}
