use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use database::history;
use database::refunds::{self, RefundDetails};
use domain::{OrderId, RefundAccount, RefundAsk, RefundError, RefundId, Won};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use service::{ApiJson, ApiPath, Problem, TraceParent};

use super::orders::idempotency_key;
use crate::app::{App, database_trouble};
use crate::operator::Operator;
use crate::refund::{RefundProblem, RefundRequest};

pub(super) fn router() -> Router<App> {
    Router::new().route("/admin/api/orders/{id}/refunds", post(create).get(list))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewRefundBody {
    /// All that is left, if it is not said.
    #[serde(default)]
    amount: Option<Won>,
    reason: String,
    /// Whether the goods come back to the shelf. With the refund of all that is left only.
    #[serde(default)]
    restock: bool,
    /// Which payment of the order; the one that paid, if it is not said.
    #[serde(default)]
    attempt: Option<i16>,
    /// The person who decided it.
    #[serde(default)]
    requested_by: Option<String>,
    /// Account that a deposit goes back to; by default the one that the buyer gave in the payment window.
    #[serde(default)]
    refund_account: Option<AccountBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct AccountBody {
    bank: String,
    account_number: String,
    holder_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundBody {
    refund_id: RefundId,
    attempt: i16,
    amount: Won,
    currency: &'static str,
    reason: String,
    origin: String,
    restock: bool,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureBody>,
    created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct FailureBody {
    code: String,
    message: String,
}

impl From<RefundDetails> for RefundBody {
    fn from(refund: RefundDetails) -> Self {
        Self {
            refund_id: refund.id,
            attempt: refund.attempt,
            amount: refund.amount,
            currency: "KRW",
            reason: refund.reason,
            origin: refund.origin,
            restock: refund.restock,
            status: refund.status,
            requested_by: refund.requested_by,
            failure: refund.failure.map(|(code, message)| FailureBody { code, message }),
            created_at: refund.created_at,
            refunded_at: refund.done_at,
        }
    }
}

async fn create(
    _: Operator,
    State(app): State<App>,
    ApiPath(order): ApiPath<OrderId>,
    headers: HeaderMap,
    trace: TraceParent,
    ApiJson(body): ApiJson<NewRefundBody>,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let account = body.refund_account.map(|it| RefundAccount::new(it.bank, it.account_number, it.holder_name));
    let account = account
        .transpose()
        .map_err(|problem| Problem::invalid(format!("refundAccount: {problem}")).with("field", "refundAccount"))?;
    let by = body.requested_by.unwrap_or_else(|| "admin API".to_owned());
    if !(1..=200).contains(&by.chars().count()) || by.contains('\0') {
        return Err(Problem::invalid("requestedBy: expected 1 to 200 characters").with("field", "requestedBy"));
    }
    let ask =
        RefundAsk { id: RefundId::new(), amount: body.amount, reason: body.reason, restock: body.restock, account };
    let request = RefundRequest { order, attempt: body.attempt, ask, by, key, traceparent: Some(trace.to_string()) };
    let refund = app.checkout.refund(request).await.map_err(refuse)?;
    Ok(match refund.status.as_str() {
        "requested" => (StatusCode::ACCEPTED, [(RETRY_AFTER, "20")], Json(RefundBody::from(refund))).into_response(),
        "failed" => {
            let (code, message) = refund.failure.unwrap_or_default();
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refund-refused", "The provider gave nothing back")
                .detail(message)
                .with("providerCode", code)
                .with("refundId", refund.id.to_string())
                .into_response()
        }
        _ => (StatusCode::CREATED, Json(RefundBody::from(refund))).into_response(),
    })
}

fn refuse(problem: RefundProblem) -> Problem {
    let title = problem.to_string();
    match problem {
        RefundProblem::NoOrder(_) | RefundProblem::NoPayment(..) => Problem::not_found(),
        RefundProblem::KeyReused => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", title),
        RefundProblem::Refused(RefundError::NoMoney(_) | RefundError::UnderWay) => {
            Problem::new(StatusCode::CONFLICT, "wrong-state", title)
        }
        RefundProblem::Refused(RefundError::NothingLeft) => Problem::invalid(title).with("left", 0),
        RefundProblem::Refused(RefundError::Amount { left, .. }) => Problem::invalid(title).with("left", left.get()),
        RefundProblem::Refused(RefundError::RestockPart | RefundError::Reason) => Problem::invalid(title),
        RefundProblem::Unavailable(error) => database_trouble(&error),
    }
}

async fn list(
    _: Operator,
    State(app): State<App>,
    ApiPath(order): ApiPath<OrderId>,
) -> Result<Json<Vec<RefundBody>>, Problem> {
    let refunds = refunds::of_order(&app.db, order).await.map_err(|error| database_trouble(&error))?;
    // An order has steps from its first moment on.
    if refunds.is_empty() && history::steps(&app.db, order).await.map_err(|error| database_trouble(&error))?.is_empty()
    {
        return Err(Problem::not_found());
    }
    Ok(Json(refunds.into_iter().map(RefundBody::from).collect()))
}
