//! One payment and the states it passes through.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::{clock, ids};

const WINDOW: TimeDelta = TimeDelta::minutes(30);
const CONFIRM_WINDOW: TimeDelta = TimeDelta::minutes(10);
const DEPOSIT_WINDOW: TimeDelta = TimeDelta::hours(168);

#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) key: Arc<str>,
    pub(crate) order_id: Arc<str>,
    pub(crate) order_name: String,
    pub(crate) amount: i64,
    pub(crate) tax_free_amount: i64,
    pub(crate) customer_name: Option<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
    pub(crate) flow: Flow,
    pub(crate) success_url: String,
    pub(crate) fail_url: String,
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) state: State,
    pub(crate) cancels: Vec<Cancel>,
    pub(crate) last_transaction_key: Option<String>,
}

/// Which half of the SDK opened the window; the success redirects differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Flow {
    Widget,
    Payment,
}

#[derive(Debug)]
pub(crate) enum State {
    Ready,
    /// The buyer has authenticated; the shop has ten minutes to confirm.
    InProgress {
        method: Method,
        authenticated_at: DateTime<Utc>,
        decline: Option<&'static Refusal>,
    },
    WaitingForDeposit {
        account: VirtualAccount,
    },
    /// Money was taken. What became of it is in `cancels`.
    Approved {
        approved_at: DateTime<Utc>,
        means: Means,
    },
    /// A virtual account given up before anybody paid into it.
    Withdrawn {
        account: VirtualAccount,
    },
    Aborted {
        method: Option<Method>,
        failure: &'static Refusal,
    },
    Expired,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Method {
    Card,
    VirtualAccount,
}

impl Method {
    /// As Toss writes it.
    pub(crate) const fn in_korean(self) -> &'static str {
        match self {
            Self::Card => "카드",
            Self::VirtualAccount => "가상계좌",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Means {
    Card,
    VirtualAccount(VirtualAccount),
}

#[derive(Debug, Clone)]
pub(crate) struct VirtualAccount {
    pub(crate) number: String,
    pub(crate) secret: String,
    pub(crate) due: DateTime<Utc>,
}

impl VirtualAccount {
    pub(crate) fn issue(at: DateTime<Utc>) -> Self {
        Self { number: ids::account_number(), secret: ids::secret(), due: at + DEPOSIT_WINDOW }
    }
}

/// Serializes as an element of Toss's `cancels`.
#[expect(clippy::struct_field_names, reason = "the names are Toss's")]
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cancel {
    pub(crate) transaction_key: String,
    pub(crate) cancel_reason: String,
    pub(crate) tax_exemption_amount: i64,
    #[serde(serialize_with = "clock::serialize")]
    pub(crate) canceled_at: DateTime<Utc>,
    pub(crate) card_discount_amount: i64,
    pub(crate) transfer_discount_amount: i64,
    pub(crate) easy_pay_discount_amount: i64,
    pub(crate) receipt_key: Option<String>,
    pub(crate) cancel_amount: i64,
    pub(crate) tax_free_amount: i64,
    pub(crate) refundable_amount: i64,
    pub(crate) cancel_status: &'static str,
    pub(crate) cancel_request_id: Option<String>,
}

/// Toss's status words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The window is open.
    Ready,
    /// Authenticated, confirm expected.
    InProgress,
    /// A virtual account is issued and empty.
    WaitingForDeposit,
    /// Paid.
    Done,
    /// Canceled at once and whole.
    Canceled,
    /// Canceled in parts; possibly all of it, which only the balance tells.
    PartialCanceled,
    /// Declined.
    Aborted,
    /// A window passed.
    Expired,
}

impl Status {
    /// The word Toss writes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::InProgress => "IN_PROGRESS",
            Self::WaitingForDeposit => "WAITING_FOR_DEPOSIT",
            Self::Done => "DONE",
            Self::Canceled => "CANCELED",
            Self::PartialCanceled => "PARTIAL_CANCELED",
            Self::Aborted => "ABORTED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl Payment {
    /// Lets time do its work. Called before every look at the payment, so no timer is needed.
    pub(crate) fn age(&mut self, now: DateTime<Utc>) {
        let deadline = match self.state {
            State::Ready => self.requested_at + WINDOW,
            State::InProgress { authenticated_at, .. } => authenticated_at + CONFIRM_WINDOW,
            _ => return,
        };
        if now >= deadline {
            self.state = State::Expired;
        }
    }

    pub(crate) fn status(&self) -> Status {
        match &self.state {
            State::Ready => Status::Ready,
            State::InProgress { .. } => Status::InProgress,
            State::WaitingForDeposit { .. } => Status::WaitingForDeposit,
            State::Approved { means, .. } => match self.cancels.as_slice() {
                [] => Status::Done,
                // A whole refund of a deposit is PARTIAL_CANCELED in Toss's cancel guide: only the balance can be trusted.
                [only] if only.refundable_amount == 0 && matches!(means, Means::Card) => Status::Canceled,
                _ => Status::PartialCanceled,
            },
            State::Withdrawn { .. } => Status::Canceled,
            State::Aborted { .. } => Status::Aborted,
            State::Expired => Status::Expired,
        }
    }

    pub(crate) fn method(&self) -> Option<Method> {
        match &self.state {
            State::Ready | State::Expired => None,
            State::InProgress { method, .. } => Some(*method),
            State::Aborted { method, .. } => *method,
            State::Approved { means: Means::Card, .. } => Some(Method::Card),
            State::WaitingForDeposit { .. }
            | State::Withdrawn { .. }
            | State::Approved { means: Means::VirtualAccount(_), .. } => Some(Method::VirtualAccount),
        }
    }

    pub(crate) fn approved_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Approved { approved_at, .. } => Some(approved_at),
            _ => None,
        }
    }

    pub(crate) fn account(&self) -> Option<&VirtualAccount> {
        match &self.state {
            State::WaitingForDeposit { account }
            | State::Withdrawn { account }
            | State::Approved { means: Means::VirtualAccount(account), .. } => Some(account),
            _ => None,
        }
    }

    /// Its order id may not be used again: Toss says so of every payment approved or canceled, and a waiting account is live.
    pub(crate) fn occupies_order(&self) -> bool {
        matches!(self.state, State::Approved { .. } | State::WaitingForDeposit { .. } | State::Withdrawn { .. })
    }

    /// Notes a cancel; what it means for the money is the book's business.
    pub(crate) fn cancel(&mut self, cancel: Cancel) {
        self.last_transaction_key = Some(cancel.transaction_key.clone());
        self.cancels.push(cancel);
    }

    pub(crate) fn canceled(&self) -> i64 {
        self.cancels.iter().map(|cancel| cancel.cancel_amount).sum()
    }

    /// What can still be canceled, in Toss's sense: the whole total as long as nothing was.
    pub(crate) fn balance(&self) -> i64 {
        self.amount - self.canceled()
    }

    pub(crate) fn tax_free_balance(&self) -> i64 {
        self.tax_free_amount - self.cancels.iter().map(|cancel| cancel.tax_free_amount).sum::<i64>()
    }

    /// Money that really was taken and not given back.
    pub(crate) fn money_kept(&self) -> i64 {
        if self.approved_at().is_some() { self.balance() } else { 0 }
    }
}
