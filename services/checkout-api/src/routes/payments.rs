use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use domain::{OrderError, PaymentKey, ProviderOrderId, Won};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};
use service::{ApiJson, Problem, TraceParent};

use super::orders::wrong_state;
use crate::app::App;
use crate::checkout::{Outcome, Return};
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/api/payments/confirm", post(confirm))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ConfirmBody {
    payment_key: PaymentKey,
    order_id: ProviderOrderId,
    amount: Won,
    /// Absent when the page used Toss's payment window instead of the widget.
    #[serde(default)]
    payment_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirmed {
    order_id: ProviderOrderId,
    status: &'static str,
}

async fn confirm(
    State(app): State<App>,
    Visitor(customer): Visitor,
    trace: TraceParent,
    ApiJson(body): ApiJson<ConfirmBody>,
) -> Result<Response, Problem> {
    let customer = customer.ok_or_else(Problem::not_found)?;
    let order = body.order_id;
    let request = Return {
        customer: customer.id,
        order,
        key: body.payment_key,
        amount: body.amount,
        payment_type: payment_type(body.payment_type),
    };
    answer(order, app.checkout.confirm(request, Some(trace.to_string())).await)
}

/// Toss sends `NORMAL` or `BRANDPAY` from the widget and nothing from the window. Anything else is not Toss's
/// and not worth refusing a payment for.
pub(crate) fn payment_type(claimed: Option<String>) -> String {
    claimed
        .filter(|text| (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .unwrap_or_else(|| "NORMAL".to_owned())
}

fn answer(order_id: ProviderOrderId, outcome: Outcome) -> Result<Response, Problem> {
    let confirmed = |status| Json(Confirmed { order_id, status });
    match outcome {
        Outcome::Paid => Ok(confirmed("paid").into_response()),
        Outcome::AwaitingDeposit => Ok(confirmed("awaiting_deposit").into_response()),
        Outcome::Checking => Ok((StatusCode::ACCEPTED, [(RETRY_AFTER, "2")], confirmed("confirming")).into_response()),
        Outcome::Declined(decline) => Err(Problem::new(
            StatusCode::PAYMENT_REQUIRED,
            "payment-declined",
            "결제가 승인되지 않았습니다 / The payment was declined",
        )
        .detail(decline.message.clone())
        .with("providerCode", decline.code)
        .with("providerMessage", decline.message)),
        Outcome::GatewayFailed => Err(Problem::new(
            StatusCode::BAD_GATEWAY,
            "payment-gateway-error",
            "결제 서비스 오류, 청구되지 않았습니다 / The payment service failed, nothing was charged",
        )),
        Outcome::GivenBack => Err(Problem::new(
            StatusCode::CONFLICT,
            "payment-returned",
            "주문이 종료되어 결제 금액을 환불합니다 / The order had ended, your money is returned",
        )),
        Outcome::NotFound => Err(Problem::not_found()),
        Outcome::SoldOut => Err(Problem::new(
            StatusCode::CONFLICT,
            "sold-out",
            "품절되었습니다. 청구되지 않았습니다 / Sold out, nothing was charged",
        )),
        Outcome::Overdue => Err(Problem::new(
            StatusCode::CONFLICT,
            "order-expired",
            "주문 시간이 지났습니다. 청구되지 않았습니다 / The order has expired, nothing was charged",
        )),
        Outcome::Refused(refusal @ OrderError::AmountMismatch { .. }) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "amount-mismatch",
            "금액이 주문과 다릅니다 / The amount differs from the order's",
        )
        .detail(refusal.to_string())),
        Outcome::Refused(refusal @ (OrderError::InvalidTransition { .. } | OrderError::StaleAttempt { .. })) => {
            Err(wrong_state(&refusal))
        }
        Outcome::Unavailable => Err(Problem::unavailable(std::time::Duration::from_secs(1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_type_is_tosss_or_normal() {
        assert_eq!(payment_type(Some("BRANDPAY".into())), "BRANDPAY");
        for odd in [None, Some(String::new()), Some("<script>".into()), Some("A".repeat(21))] {
            assert_eq!(payment_type(odd), "NORMAL");
        }
    }

    #[test]
    fn every_outcome_has_its_status() {
        let order = ProviderOrderId { order: domain::OrderId::new(), attempt: 1 };
        let status = |outcome| match answer(order, outcome) {
            Ok(response) => response.status().as_u16(),
            Err(problem) => problem.status().as_u16(),
        };
        let won = |n| Won::new(n).unwrap();
        assert_eq!(status(Outcome::Paid), 200);
        assert_eq!(status(Outcome::AwaitingDeposit), 200);
        assert_eq!(status(Outcome::Checking), 202);
        assert_eq!(status(Outcome::Declined(domain::Decline::by_provider("REJECT_CARD_PAYMENT", "한도초과"))), 402);
        assert_eq!(status(Outcome::GivenBack), 409);
        assert_eq!(status(Outcome::NotFound), 404);
        assert_eq!(status(Outcome::SoldOut), 409);
        assert_eq!(status(Outcome::Overdue), 409);
        assert_eq!(status(Outcome::Refused(OrderError::InvalidTransition { from: "paid", action: "confirmed" })), 409);
        assert_eq!(status(Outcome::Refused(OrderError::AmountMismatch { expected: won(2), claimed: won(1) })), 422);
        assert_eq!(status(Outcome::GatewayFailed), 502);
        assert_eq!(status(Outcome::Unavailable), 503);
    }
}
