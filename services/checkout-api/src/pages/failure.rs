//! Where a payment that was not made ends: refused, or given up.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use database::orders;
use domain::{OrderError, ProviderOrderId};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::frame::Frame;
use super::notice::Notice;
use crate::app::{App, database_trouble};
use crate::checkout::Outcome;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/error", get(failure)).route("/checkout/cancel", get(canceled))
}

/// What went wrong, as a word that may stand in an address. The text comes from the catalogue, never from the query.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    Declined,
    SoldOut,
    Expired,
    Mismatch,
    NotFound,
    WrongState,
    GivenBack,
    #[serde(other)]
    Failed,
}

impl Reason {
    pub(super) const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Declined(_) => Self::Declined,
            Outcome::SoldOut => Self::SoldOut,
            Outcome::Overdue => Self::Expired,
            Outcome::Refused(OrderError::AmountMismatch { .. }) => Self::Mismatch,
            Outcome::Refused(_) => Self::WrongState,
            Outcome::NotFound => Self::NotFound,
            Outcome::GivenBack => Self::GivenBack,
            Outcome::GatewayFailed
            | Outcome::Unavailable
            | Outcome::Paid
            | Outcome::AwaitingDeposit
            | Outcome::Checking => Self::Failed,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::SoldOut => "sold-out",
            Self::Expired => "expired",
            Self::Mismatch => "mismatch",
            Self::NotFound => "not-found",
            Self::WrongState => "wrong-state",
            Self::GivenBack => "given-back",
            Self::Failed => "failed",
        }
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Declined => ("declined", "declined-text"),
            Self::SoldOut => ("sold-out-late", "sold-out-late-text"),
            Self::Expired => ("overdue", "overdue-text"),
            Self::Mismatch => ("mismatch", "mismatch-text"),
            Self::NotFound => ("no-such-order", "no-such-order-text"),
            Self::WrongState => ("wrong-state", "wrong-state-text"),
            Self::GivenBack => ("given-back", "given-back-text"),
            Self::Failed => ("failed", "failed-text"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FailureQuery {
    #[serde(default)]
    order_id: Option<String>,
    #[serde(default)]
    reason: Option<Reason>,
}

/// Changes nothing and believes nothing: the order is shown to its owner only, to offer another try.
async fn failure(
    State(app): State<App>,
    frame: Frame,
    Visitor(customer): Visitor,
    ApiQuery(query): ApiQuery<FailureQuery>,
) -> Result<Response, Problem> {
    let (title, text) = query.reason.unwrap_or(Reason::Failed).texts();
    let order = query.order_id.and_then(|id| id.parse::<ProviderOrderId>().ok());
    let retry = match (customer, order) {
        (Some(customer), Some(id)) => orders::find(&app.db, id.order, customer.id)
            .await
            .map_err(|error| database_trouble(&error))?
            .and_then(|found| found.lines.first().map(|line| line.product)),
        _ => None,
    };
    let mut notice = Notice::new(&frame, title, text);
    if let Some(product) = retry {
        notice = notice.first(format!("/checkout/{product}"), "try-again");
    }
    Ok(notice.page(StatusCode::OK))
}

/// Toss's `failUrl`. A forged visit changes nothing; the order stays payable until it expires.
async fn canceled(frame: Frame) -> Response {
    Notice::new(&frame, "given-up", "given-up-text").page(StatusCode::OK)
}
