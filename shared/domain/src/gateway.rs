use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::{Currency, Decline, Deposit, Payment, PaymentKey, RefundAccount, RefundId, Won};

/// A payment provider. An answer is `Ok`, whatever it says; not knowing is `Err`.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Asks for the money of an authenticated payment. Safe to repeat: the provider replays its first answer.
    ///
    /// # Errors
    /// [`Unanswered`] when the money may or may not have been taken: ask [`find`](Self::find), never assume.
    async fn confirm(&self, payment: &Payment) -> Result<Evidence, Unanswered>;

    /// Asks what became of a payment. Changes nothing.
    ///
    /// # Errors
    /// [`Unanswered`] when the provider did not say.
    async fn find(&self, payment: &Payment) -> Result<Evidence, Unanswered>;

    /// Gives money back.
    ///
    /// # Errors
    /// [`Unanswered`] when the money may or may not have gone back: compare the balance before asking again.
    async fn cancel(&self, request: &CancelRequest) -> Result<CancelAnswer, Unanswered>;
}

/// What a provider said about a payment.
#[derive(Debug, Clone)]
pub enum Evidence {
    /// The payment as the provider sees it now.
    Seen(ProviderPayment),
    /// The provider refused to take the money.
    Declined(Decline),
    /// The provider refused to give money back.
    RefundRefused(RefundId, Decline),
    /// The provider does not know the payment. No proof by itself while a confirm may still be on its way.
    NotFound,
    /// The provider refused the confirm for a reason that does not tell what became of the payment, and was asked.
    Refused {
        /// The provider's code for that reason.
        code: String,
        /// The payment as it showed it afterwards; `None` when it does not know it.
        found: Option<ProviderPayment>,
    },
}

impl Evidence {
    /// What this answer to a query tells when the confirm before it was refused with that code, if it was.
    #[must_use]
    pub fn after(self, refused: Option<String>) -> Self {
        match (self, refused) {
            (Self::Seen(seen), Some(code)) => Self::Refused { code, found: Some(seen) },
            (Self::NotFound, Some(code)) => Self::Refused { code, found: None },
            (known, _) => known,
        }
    }
}

/// A payment in the provider's book.
#[derive(Debug, Clone)]
pub struct ProviderPayment {
    /// Its key.
    pub key: PaymentKey,
    /// The order id it was opened for, as the provider repeats it.
    pub order_id: String,
    /// The whole amount; does not shrink with cancels.
    pub total: Won,
    /// What could still be given back.
    pub balance: Won,
    /// `None` for a currency that this shop does not sell in.
    pub currency: Option<Currency>,
    /// How far it got.
    pub status: ProviderStatus,
    /// What was given back, by us or by others.
    pub cancels: Vec<ProviderCancel>,
}

/// Money given back, in the provider's book (Toss: an element of `Payment.cancels`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderCancel {
    /// The provider's name for it.
    pub transaction_key: String,
    /// How much.
    pub amount: Won,
    /// Why, as whoever gave it back put it.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// How far a payment got in the provider's book (Toss: `Payment.status`).
#[derive(Debug, Clone)]
pub enum ProviderStatus {
    /// The buyer has not finished, or the shop has not confirmed (`READY`, `IN_PROGRESS`).
    Open,
    /// A virtual account was issued (`WAITING_FOR_DEPOSIT`).
    WaitingForDeposit(Deposit),
    /// The money was taken (`DONE`).
    Done(crate::Approval),
    /// Taken, and some or all of it given back (`CANCELED`, `PARTIAL_CANCELED`).
    Canceled {
        /// When it had been taken, if it ever was.
        approved_at: Option<DateTime<Utc>>,
    },
    /// It failed or ran out of time (`ABORTED`, `EXPIRED`).
    Failed(Decline),
    /// A status that was unknown when this was written. Never acted upon.
    Other(String),
}

impl ProviderStatus {
    /// A word for it in messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Open => "open",
            Self::WaitingForDeposit(_) => "waiting for a deposit",
            Self::Done(_) => "done",
            Self::Canceled { .. } => "canceled",
            Self::Failed(_) => "failed",
            Self::Other(status) => status,
        }
    }
}

/// The outcome is not known: the request may have arrived, and it may have been carried out.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The connection failed, or nothing came in time.
    #[error("no answer from the provider")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something came that does not settle the question: a 5xx, an unknown code, a page of HTML.
    #[error("the provider answered HTTP {status} {code}")]
    Inconclusive {
        /// HTTP status.
        status: u16,
        /// The provider's error code, or what was wrong with the answer.
        code: String,
    },
    /// The provider would not carry the request out. Whether an earlier one was carried out, that does not tell.
    #[error("the provider refused the request with HTTP {status} {code}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The provider's error code.
        code: String,
    },
}

impl Unanswered {
    /// The provider's code, if the request was refused.
    pub fn refusal(self) -> Option<String> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Transport(_) | Self::Inconclusive { .. } => None,
        }
    }
}

/// Money to give back.
#[derive(Debug, Clone)]
pub struct CancelRequest {
    /// Which payment.
    pub key: PaymentKey,
    /// How much.
    pub amount: Won,
    /// What the provider must still hold before it gives anything back; guards against two refunds that
    /// do not know of each other (Toss: `refundableAmount`).
    pub refundable: Won,
    /// Told to the buyer by the provider; at most 200 characters.
    pub reason: String,
    /// Where it goes, for a deposit.
    pub account: Option<RefundAccount>,
    /// `Idempotency-Key`: one per intended refund, the same for every try of it.
    pub idempotency_key: String,
}

/// What the provider said to a cancel.
#[derive(Debug, Clone)]
pub enum CancelAnswer {
    /// The payment after the cancel; compare its balance.
    Canceled(ProviderPayment),
    /// Nothing was given back.
    Refused(Decline),
}
