//! Where a payment that was not made leads back to: refused, or given up. The order is kept, to be paid another way.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use domain::{OrderError, ProviderOrderId};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::ask;
use super::frame::Frame;
use super::notice::Notice;
use super::standing::{Next, Standing};
use super::success::CameBackPage;
use crate::app::App;
use crate::checkout::Outcome;
use crate::return_token::CameBack;
use crate::session::Visitor;

pub(super) fn router() -> Router<App> {
    Router::new().route("/checkout/error", get(failure)).route("/checkout/cancel", get(given_up))
}

/// What went wrong, as a word that may stand in an address. The text comes from the catalogue, never from the query.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
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
            Self::Declined => ("declined", "refused-other"),
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

/// Our own word on a payment that did not work. Changes nothing and believes nothing: what is on record counts.
async fn failure(
    State(app): State<App>,
    frame: Frame,
    visitor: Visitor,
    back: CameBack,
    ApiQuery(query): ApiQuery<FailureQuery>,
) -> Result<Response, Problem> {
    let reason = query.reason.unwrap_or(Reason::Failed);
    // Why it was declined is on record, and the order's own page tells it.
    let texts = if reason == Reason::Declined { None } else { Some(reason.texts()) };
    told(&app, &frame, &visitor, &back, query.order_id.as_deref(), texts, reason.texts()).await
}

/// Toss's `failUrl`, with what Toss adds to it.
#[derive(Deserialize)]
struct GivenUpQuery {
    #[serde(default)]
    order: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

/// The buyer closed the window, or did not get through it. A forged visit changes nothing.
async fn given_up(
    State(app): State<App>,
    frame: Frame,
    visitor: Visitor,
    back: CameBack,
    ApiQuery(query): ApiQuery<GivenUpQuery>,
) -> Result<Response, Problem> {
    let texts = match query.code.as_deref() {
        Some("PAY_PROCESS_ABORTED") => ("aborted", "aborted-text"),
        Some("REJECT_CARD_COMPANY") => ("declined", "refused-company"),
        _ => ("given-up", "given-up-text"),
    };
    told(&app, &frame, &visitor, &back, query.order.as_deref(), Some(texts), texts).await
}

/// Shows how the order stands, with `texts` first if it can still be paid; without an order to show, `otherwise`.
async fn told(
    app: &App,
    frame: &Frame,
    visitor: &Visitor,
    back: &CameBack,
    order: Option<&str>,
    texts: Option<(&'static str, &'static str)>,
    otherwise: (&'static str, &'static str),
) -> Result<Response, Problem> {
    let order = order.and_then(|id| id.parse::<ProviderOrderId>().ok());
    let asked = match order {
        Some(id) => ask::known(app, visitor, back, id.order).await?,
        None => None,
    };
    let Some(asked) = asked else { return Ok(Notice::new(frame, otherwise.0, otherwise.1).page(StatusCode::OK)) };
    let standing = Standing::of(frame, &asked.found);
    if standing.next != Next::Pay {
        // Whoever presses "back" after paying is not told that it did not work.
        return Ok(Redirect::to(&format!("/checkout/success?orderId={}", standing.order)).into_response());
    }
    let standing = match texts {
        Some((title, text)) => standing.told(frame.say(title), frame.say(text)),
        None => standing,
    };
    Ok(CameBackPage::new(frame, asked, standing).page())
}
