//! How an order stands, in plain words, and what its buyer can do next. Every page about an order shows one.

use chrono::{DateTime, Utc};
use database::orders::OrderDetails;
use domain::{DeclineKind, OrderId, OrderState, ProductId, Won};

use super::frame::Frame;
use super::provider;
use crate::language::Text;

/// What `parts/standing.html` shows.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) order: OrderId,
    /// The name of the order's state.
    pub(super) state: &'static str,
    pub(super) mood: Mood,
    pub(super) title: Text,
    pub(super) text: Text,
    pub(super) deposit: Option<Deposit>,
    /// Seconds after which it is worth looking again.
    pub(super) watch: Option<u32>,
    pub(super) next: Next,
}

/// Which of the colors it is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Wait,
    /// Nothing is wrong: it is what the buyer wanted, or nobody's doing.
    Calm,
    Bad,
}

impl Mood {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Calm => "calm",
            Self::Bad => "bad",
        }
    }
}

/// Where the buyer transfers the money to.
#[derive(Debug)]
pub(super) struct Deposit {
    pub(super) bank: String,
    pub(super) account: String,
    pub(super) amount: Won,
    pub(super) due_at: DateTime<Utc>,
}

/// What the buyer can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Pay, or give the order up.
    Pay,
    /// Nothing but wait; paying again would be wrong.
    Wait,
    /// Be glad.
    Shop,
    /// Order the same again.
    Again(Option<ProductId>),
}

impl Standing {
    pub(super) fn of(frame: &Frame, found: &OrderDetails) -> Self {
        let say = |title, text| (frame.say(title), frame.say(text));
        let payment = found.payment.as_ref();
        let status = payment.map(|payment| payment.status.as_str());
        let again = Next::Again(found.lines.first().map(|line| line.product));
        let (mood, (title, text), next) = match &found.order.state {
            // Money that came for nothing goes back, wherever the order stands.
            OrderState::Pending | OrderState::Expired | OrderState::Canceled if status == Some("excess") => {
                (Mood::Wait, say("given-back", "given-back-text"), again)
            }
            OrderState::Pending if found.overdue => (Mood::Calm, say("overdue", "overdue-text"), again),
            OrderState::Pending => {
                if let Some(decline) = payment.and_then(|payment| payment.decline.as_ref()) {
                    let words = match decline.kind {
                        // Not the card's fault.
                        DeclineKind::Configuration => say("failed", "failed-text"),
                        DeclineKind::Buyer | DeclineKind::Later => say("declined", provider::refusal(&decline.code)),
                    };
                    (Mood::Bad, words, Next::Pay)
                } else {
                    let until = frame.say("unpaid-text").with("until", frame.moment(found.expires_at).to_string());
                    (Mood::Calm, (frame.say("unpaid"), until), Next::Pay)
                }
            }
            OrderState::Confirming { .. } => (Mood::Wait, say("checking", "checking-text"), Next::Wait),
            // Only the provider can say that nothing came; until then this is for reading.
            OrderState::AwaitingDeposit { due_at, .. } if *due_at <= Utc::now() => {
                (Mood::Wait, say("deposit-late", "deposit-late-text"), Next::Wait)
            }
            OrderState::AwaitingDeposit { .. } => (Mood::Wait, say("awaiting", "awaiting-text"), Next::Wait),
            OrderState::Paid { refunded, .. } if *refunded > Won::ZERO => {
                let text = frame.say("part-refunded-text").with("amount", frame.won(*refunded));
                (Mood::Good, (frame.say("part-refunded"), text), Next::Shop)
            }
            OrderState::Paid { .. } => (Mood::Good, say("paid", "paid-text"), Next::Shop),
            OrderState::Refunding { .. } => (Mood::Wait, say("refunding", "refunding-text"), Next::Wait),
            OrderState::Refunded { .. } => (Mood::Good, say("refunded", "refunded-text"), Next::Shop),
            OrderState::Expired => (Mood::Calm, say("overdue", "overdue-text"), again),
            OrderState::Canceled if payment.is_some_and(|payment| payment.deposit.is_some()) => {
                (Mood::Bad, say("deposit-over", "deposit-over-text"), again)
            }
            OrderState::Canceled => (Mood::Calm, say("canceled", "canceled-text"), again),
        };
        let watch = match found.order.state {
            OrderState::Confirming { .. } => Some(2),
            OrderState::AwaitingDeposit { .. } | OrderState::Refunding { .. } => Some(10),
            _ => None,
        };
        // Where to transfer to is told for as long as that is wanted.
        let awaited = matches!(&found.order.state, OrderState::AwaitingDeposit { due_at, .. } if *due_at > Utc::now());
        let deposit = payment.and_then(|payment| payment.deposit.as_ref()).filter(|_| awaited);
        Self {
            order: found.order.id,
            state: found.order.state.name(),
            mood,
            title,
            text,
            deposit: deposit.map(|(bank, account, due_at)| Deposit {
                bank: provider::bank(bank).map_or_else(|| bank.clone(), |key| frame.language.say(key).to_string()),
                account: account.clone(),
                amount: found.order.amount,
                due_at: *due_at,
            }),
            watch,
            next,
        }
    }

    /// The same, with something else said first: what has just happened to a buyer who can still pay.
    pub(super) fn told(self, mood: Mood, title: Text, text: Text) -> Self {
        Self { mood, title, text, ..self }
    }
}
