use axum::Router;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use domain::{PaymentKey, ProviderOrderId, Won};
use serde::Deserialize;
use service::{ApiQuery, TraceParent};

use super::failure::Reason;
use crate::app::App;
use crate::checkout::{Outcome, Return};
use crate::routes;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/checkout/callback", get(callback))
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

async fn callback(
    State(app): State<App>,
    Visitor(customer): Visitor,
    trace: TraceParent,
    ApiQuery(query): ApiQuery<CallbackQuery>,
) -> Redirect {
    let order = query.order_id;
    let outcome = match customer {
        Some(customer) => {
            let request = Return {
                customer: customer.id,
                order,
                key: query.payment_key,
                amount: query.amount,
                payment_type: routes::payment_type(query.payment_type),
            };
            app.checkout.confirm(request, Some(trace.to_string())).await
        }
        None => Outcome::NotFound,
    };
    // The payment key leaves the address bar here: the next pages know the order only.
    let order = order.order;
    match outcome {
        Outcome::Paid | Outcome::AwaitingDeposit | Outcome::Checking => {
            Redirect::to(&format!("/checkout/success?orderId={order}"))
        }
        refused => Redirect::to(&format!("/checkout/error?orderId={order}&reason={}", Reason::of(&refused).name())),
    }
}
