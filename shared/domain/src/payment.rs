use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{OrderId, PaymentId, PaymentKey, ProviderOrderId, RefundAccount, Won};

/// Who moves the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Toss Payments.
    #[default]
    Toss,
}

impl Provider {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toss => "toss",
        }
    }
}

/// One attempt to pay an order. It begins when the provider is about to be asked to confirm, so a
/// payment that exists is one that may have cost the buyer money.
#[derive(Debug, Clone)]
pub struct Payment {
    /// Our id.
    pub id: PaymentId,
    /// The order it pays.
    pub order: OrderId,
    /// Which attempt of that order, from 1.
    pub attempt: i16,
    /// The provider's key.
    pub key: PaymentKey,
    /// What the provider is asked for: always the order's frozen amount.
    pub amount: Won,
    /// The provider's `paymentType` as the browser brought it back (`NORMAL`, `BRANDPAY`); passed on in the event.
    pub payment_type: String,
    /// When the provider was first asked, by the database's clock.
    pub asked_at: DateTime<Utc>,
    /// How far it got.
    pub state: PaymentState,
}

/// How far a payment got.
#[derive(Debug, Clone)]
pub enum PaymentState {
    /// The provider has been asked and the answer is not on record. Outlives the process that asked.
    Confirming,
    /// A virtual account was issued and waits for the buyer's transfer.
    AwaitingDeposit(Deposit),
    /// The money is the shop's.
    Done(Approval),
    /// The money came when nothing could be had for it any more. It is owed to the buyer.
    Excess(Approval),
    /// The provider refused. Nothing was kept.
    Declined(Decline),
    /// Ended without money after it had been possible: the provider canceled or expired it.
    Canceled,
}

impl PaymentState {
    /// The name in the database and in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Confirming => "confirming",
            Self::AwaitingDeposit(_) => "awaiting_deposit",
            Self::Done(_) => "done",
            Self::Excess(_) => "excess",
            Self::Declined(_) => "declined",
            Self::Canceled => "canceled",
        }
    }
}

impl PaymentState {
    /// Whether the provider may still decide about it.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Confirming | Self::AwaitingDeposit(_))
    }
}

impl Payment {
    /// The order id that the provider knows this attempt by.
    pub const fn provider_order_id(&self) -> ProviderOrderId {
        ProviderOrderId { order: self.order, attempt: self.attempt }
    }

    /// The `Idempotency-Key` of every confirm of this payment. Made of the payment key because Toss's
    /// stored answers ignore the request body: a key shared by two payments would return the first one's answer.
    pub fn confirm_key(&self) -> String {
        format!("confirm:{}", self.key.as_str())
    }
}

/// The provider's word that the money was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// When the provider took it.
    pub approved_at: DateTime<Utc>,
    /// How it was paid, in the provider's words (Toss: Korean text such as `카드`).
    pub method: Option<String>,
    /// Where the buyer sees the receipt.
    pub receipt_url: Option<String>,
}

/// The virtual account that a buyer transfers to.
#[derive(Debug, Clone)]
pub struct Deposit {
    /// Two-digit bank code, opaque.
    pub bank: String,
    /// Account number, shown to the buyer only.
    pub account: String,
    /// Until when the transfer counts.
    pub due_at: DateTime<Utc>,
    /// What the provider repeats in its deposit webhook (`Payment.secret`).
    pub secret: Option<SecretString>,
    /// Where the money goes if it has to go back, if the buyer said so in the payment window.
    pub refund_account: Option<RefundAccount>,
}

/// A refusal by the provider. The buyer was not charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decline {
    /// The provider's code, such as `REJECT_CARD_PAYMENT`.
    pub code: String,
    /// The provider's text for the buyer.
    pub message: String,
    /// Whose turn it is.
    #[serde(default)]
    pub kind: DeclineKind,
}

/// Whose turn it is after a decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineKind {
    /// The buyer's: another card, another day.
    #[default]
    Buyer,
    /// The shop's: keys or contract are set up wrongly, no payment will succeed until that is repaired.
    Configuration,
    /// Nobody's: the bank is closed at this hour. Only of refunds; a payment is the buyer's to try again.
    Later,
}

impl DeclineKind {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Configuration => "configuration",
            Self::Later => "later",
        }
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Buyer, Self::Configuration, Self::Later].into_iter().find(|kind| kind.name() == name)
    }
}

impl Decline {
    /// A refusal that the buyer can do something about.
    pub fn by_provider(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), kind: DeclineKind::Buyer }
    }

    /// What the buyer may read of it: what the provider says about our keys is not for them.
    pub fn told(&self) -> &str {
        if self.kind == DeclineKind::Configuration { "" } else { &self.message }
    }

    /// The bank took a deposit back, which is not the provider's word but ours for it.
    pub fn reversed() -> Self {
        let message = "은행이 입금을 취소했습니다. 기한 안에 다시 입금해 주세요 / The bank took the deposit back, please transfer it again";
        Self::by_provider("DEPOSIT_REVERSED", message)
    }
}
