//! Where a payment that was not made leads back to: refused, or given up. The order is kept, to be paid another way.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use domain::{OrderError, ProviderOrderId};
use http::StatusCode;
use serde::Deserialize;
use service::{ApiQuery, Problem};

use super::ask::{Asked, Reader};
use super::frame::Frame;
use super::notice::Notice;
use super::standing::{Mood, Next, Standing};
use super::success::CameBackPage;
use crate::app::App;
use crate::checkout::Outcome;

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

    const fn word(self) -> Word {
        let (title, text) = match self {
            Self::Declined => ("declined", "refused-other"),
            Self::SoldOut => ("sold-out-late", "sold-out-late-text"),
            Self::Expired => ("overdue", "overdue-text"),
            Self::Mismatch => ("mismatch", "mismatch-text"),
            Self::NotFound => ("no-such-order", "no-such-order-text"),
            Self::WrongState => ("wrong-state", "wrong-state-text"),
            Self::GivenBack => ("given-back", "given-back-text"),
            Self::Failed => ("failed", "failed-text"),
        };
        Word { mood: Mood::Bad, title, text }
    }
}

/// What is told first about an order that can still be paid, and all that is told without an order to show.
#[derive(Clone, Copy)]
struct Word {
    mood: Mood,
    title: &'static str,
    text: &'static str,
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
    reader: Reader,
    ApiQuery(query): ApiQuery<FailureQuery>,
) -> Result<Response, Problem> {
    let reason = query.reason.unwrap_or(Reason::Failed);
    let Some(asked) = asked(&app, &reader, query.order_id.as_deref()).await? else {
        return Ok(alone(&frame, reason.word()));
    };
    // Why it was declined is on record.
    let word = (reason != Reason::Declined).then(|| reason.word());
    Ok(told(&frame, asked, word))
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
    reader: Reader,
    ApiQuery(query): ApiQuery<GivenUpQuery>,
) -> Result<Response, Problem> {
    let (mood, title, text) = match query.code.as_deref() {
        Some("PAY_PROCESS_ABORTED") => (Mood::Bad, "aborted", "aborted-text"),
        Some("REJECT_CARD_COMPANY") => (Mood::Bad, "declined", "refused-company"),
        _ => (Mood::Calm, "given-up", "given-up-text"),
    };
    let word = Word { mood, title, text };
    Ok(match asked(&app, &reader, query.order.as_deref()).await? {
        Some(asked) => told(&frame, asked, Some(word)),
        None => alone(&frame, word),
    })
}

async fn asked(app: &App, reader: &Reader, order: Option<&str>) -> Result<Option<Asked>, Problem> {
    match order.and_then(|id| id.parse::<ProviderOrderId>().ok()) {
        Some(id) => reader.known(app, id.order).await,
        None => Ok(None),
    }
}

fn alone(frame: &Frame, word: Word) -> Response {
    Notice::new(frame, word.title, word.text).page(StatusCode::OK)
}

/// Shows how the order stands, with that word first if it can still be paid.
fn told(frame: &Frame, asked: Asked, word: Option<Word>) -> Response {
    let standing = Standing::of(frame, &asked.found);
    if standing.next != Next::Pay {
        // Whoever presses "back" after paying is not told that it did not work.
        return Redirect::to(&format!("/checkout/success?orderId={}", standing.order)).into_response();
    }
    let standing = match word {
        Some(word) => standing.told(word.mood, frame.say(word.title), frame.say(word.text)),
        None => standing,
    };
    CameBackPage::new(frame, asked, standing).page()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn every_reason_has_a_name_and_words() {
        for name in ["declined", "sold-out", "expired", "mismatch", "not-found", "wrong-state", "given-back", "failed"]
        {
            let reason: Reason = serde_json::from_value(name.into()).unwrap();
            assert_eq!(reason.name(), name);
            for (language, key) in
                Language::ALL.into_iter().flat_map(|it| [(it, reason.word().title), (it, reason.word().text)])
            {
                assert_ne!(language.say(key).to_string(), key);
            }
        }
        let forged: Reason = serde_json::from_value("<script>".into()).unwrap();
        assert_eq!(forged.name(), "failed");
    }
}
