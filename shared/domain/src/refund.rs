use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    Attempt, CancelRequest, Decline, Event, OrderId, OrderState, PaymentId, PaymentKey, PaymentState, ProviderCancel,
    RefundId, Settlement, Won,
};

/// Money on its way back to a buyer, or back already. It begins before the provider is asked, so a refund that
/// exists is one that may have been paid out.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The order it is about.
    pub order: OrderId,
    /// The payment that it takes from.
    pub payment: PaymentId,
    /// How much.
    pub amount: Won,
    /// What the provider must still hold of the payment before this is given back.
    pub refundable: Won,
    /// Told to the buyer.
    pub reason: String,
    /// Who wants it.
    pub origin: RefundOrigin,
    /// Whether the goods come back to the shelf with it.
    pub restock: bool,
    /// Where it goes, when it cannot go back to where it came from: a deposit came from an account nobody knows.
    pub account: Option<RefundAccount>,
    /// How far it got.
    pub state: RefundState,
}

/// Who wants a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundOrigin {
    /// A person of the shop, here.
    Operator,
    /// We ourselves: the money came for what cannot be had any more.
    System,
    /// A person of the shop, in the provider's own console. Heard of when it was done.
    Console,
}

impl RefundOrigin {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::System => "system",
            Self::Console => "console",
        }
    }

    /// The origin of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Operator, Self::System, Self::Console].into_iter().find(|origin| origin.name() == name)
    }
}

/// How far a refund got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// The provider may have been asked, and its answer is not on record.
    Requested,
    /// The money went back.
    Done {
        /// The provider's name for it.
        transaction_key: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// The provider gave nothing back, and will not for this request.
    Failed(Decline),
}

impl RefundState {
    /// The name in the database and in answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Done { .. } => "done",
            Self::Failed(_) => "failed",
        }
    }
}

/// The buyer's own bank account.
#[derive(Clone)]
pub struct RefundAccount {
    /// Two-digit bank code.
    pub bank: String,
    /// Digits only.
    pub number: SecretString,
    /// Whose it is.
    pub holder: String,
}

impl fmt::Debug for RefundAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefundAccount([REDACTED])")
    }
}

/// A text is not a bank account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a two-digit bank code, an account of at most 20 digits and a holder of at most 60 characters")]
pub struct NotAnAccount;

impl RefundAccount {
    /// Accepts what the provider would accept.
    pub fn new(bank: String, number: String, holder: String) -> Result<Self, NotAnAccount> {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let fits = bank.len() == 2
            && digits(&bank)
            && (1..=20).contains(&number.len())
            && digits(&number)
            && (1..=60).contains(&holder.chars().count())
            && !holder.contains(char::is_control);
        if fits { Ok(Self { bank, number: number.into(), holder }) } else { Err(NotAnAccount) }
    }

    /// Whether both are the same account.
    pub fn is(&self, other: &Self) -> bool {
        let number = |account: &Self| account.number.expose_secret().to_owned();
        self.bank == other.bank && self.holder == other.holder && number(self) == number(other)
    }
}

/// A refund that a person asks for.
#[derive(Debug, Clone)]
pub struct RefundAsk {
    /// The id of the refund, if this begins one.
    pub id: RefundId,
    /// How much; `None` for all that is left.
    pub amount: Option<Won>,
    /// Told to the buyer.
    pub reason: String,
    /// Whether the goods come back to the shelf with it.
    pub restock: bool,
    /// Where it goes, for a deposit.
    pub account: Option<RefundAccount>,
}

/// Why money is not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefundError {
    /// There is no money to give back.
    #[error("a payment that is {0} holds no money")]
    NoMoney(&'static str),
    /// All of it is with the buyer.
    #[error("nothing is left to give back: all of it went back already")]
    NothingLeft,
    /// Less is left than that, or nothing was asked for.
    #[error("between 1 won and {left} can be given back, not {asked}")]
    Amount {
        /// What is left.
        left: Won,
        /// What was asked for.
        asked: Won,
    },
    /// Two refunds that do not know of each other's outcome could give back too much.
    #[error("another refund of this payment is under way")]
    UnderWay,
    /// Which of the goods came back, a sum of money does not tell.
    #[error("goods are restocked only with a refund of all that is left of the payment that paid for them")]
    RestockPart,
    /// The provider shows the reason to the buyer and takes 200 characters.
    #[error("a reason has 1 to 200 characters")]
    Reason,
}

/// The provider's limit on a reason, in characters.
const MAX_REASON: usize = 200;

impl Attempt {
    /// Begins to give money back; all of what is left makes a `paid` order `refunding`.
    pub fn refund(self, ask: RefundAsk) -> Result<Settlement, RefundError> {
        let excess = match self.payment.state {
            PaymentState::Done(_) => false,
            PaymentState::Excess(_) => true,
            ref state => return Err(RefundError::NoMoney(state.name())),
        };
        if self.refunds.iter().any(Refund::is_open) {
            return Err(RefundError::UnderWay);
        }
        let reason = ask.reason.trim();
        if !(1..=MAX_REASON).contains(&reason.chars().count()) || reason.contains('\0') {
            return Err(RefundError::Reason);
        }
        let left = left(&self);
        if left == Won::ZERO {
            return Err(RefundError::NothingLeft);
        }
        let amount = ask.amount.unwrap_or(left);
        if amount == Won::ZERO || amount > left {
            return Err(RefundError::Amount { left, asked: amount });
        }
        if ask.restock && (excess || amount != left) {
            return Err(RefundError::RestockPart);
        }
        let refund = Refund {
            id: ask.id,
            order: self.order.id,
            payment: self.payment.id,
            amount,
            refundable: left,
            reason: reason.to_owned(),
            origin: RefundOrigin::Operator,
            restock: ask.restock,
            account: ask.account,
            state: RefundState::Requested,
        };
        Ok(settled(self, vec![refund]))
    }
}

impl Refund {
    /// Its outcome is not known.
    pub fn is_open(&self) -> bool {
        self.state == RefundState::Requested
    }

    /// How it is asked for at the provider, every time it is.
    pub fn request(&self, key: PaymentKey) -> CancelRequest {
        CancelRequest {
            key,
            amount: self.amount,
            refundable: self.refundable,
            reason: self.reason.clone(),
            account: self.account.clone(),
            idempotency_key: format!("cancel:{}", self.id),
        }
    }

    /// What to announce about it, once the money went back.
    pub fn announcement(&self) -> Option<Event> {
        let RefundState::Done { at, .. } = self.state else { return None };
        Some(Event::CheckoutRefunded {
            order: self.order,
            payment: self.payment,
            refund: self.id,
            amount: self.amount,
            reason: self.reason.clone(),
            refunded_at: at,
        })
    }

    /// What the system owes the buyer of a payment that nothing can be had for.
    pub(crate) fn owed(attempt: &Attempt, amount: Won) -> Self {
        let before = attempt.refunds.iter().filter(|refund| refund.origin == RefundOrigin::System).count();
        Self {
            // Another one each time, for an idempotency key is good for one.
            id: RefundId::derived(attempt.payment.id, &format!("owed:{}:{before}", amount.get())),
            order: attempt.order.id,
            payment: attempt.payment.id,
            amount,
            refundable: amount,
            reason: "주문이 유효하지 않은 동안 입금되어 환불합니다".to_owned(),
            origin: RefundOrigin::System,
            restock: false,
            account: None,
            state: RefundState::Requested,
        }
    }

    /// What somebody gave back without telling us.
    pub(crate) fn adopted(attempt: &Attempt, cancel: &ProviderCancel) -> Self {
        Self {
            id: RefundId::derived(attempt.payment.id, &cancel.transaction_key),
            order: attempt.order.id,
            payment: attempt.payment.id,
            amount: cancel.amount,
            refundable: attempt.payment.amount,
            reason: cancel.reason.clone(),
            origin: RefundOrigin::Console,
            restock: false,
            account: None,
            state: RefundState::Requested,
        }
        .done(cancel)
    }

    pub(crate) fn done(self, cancel: &ProviderCancel) -> Self {
        let state = RefundState::Done { transaction_key: cancel.transaction_key.clone(), at: cancel.at };
        Self { state, ..self }
    }

    pub(crate) fn failed(self, why: Decline) -> Self {
        Self { state: RefundState::Failed(why), ..self }
    }
}

/// What of the payment did not go back yet.
fn left(attempt: &Attempt) -> Won {
    // What is done never exceeds the amount: the schema and `compare` see to that.
    attempt.payment.amount.minus(given_back(&attempt.refunds)).unwrap_or(Won::ZERO)
}

fn given_back(refunds: &[Refund]) -> Won {
    let done = refunds.iter().filter(|refund| matches!(refund.state, RefundState::Done { .. }));
    done.fold(Won::ZERO, |sum, refund| sum.plus(refund.amount).unwrap_or(Won::MAX))
}

/// The attempt with some of its refunds new or changed: where its order stands follows from them.
pub(crate) fn settled(attempt: Attempt, changed: Vec<Refund>) -> Settlement {
    let Attempt { order, payment, mut refunds, .. } = attempt;
    for refund in &changed {
        match refunds.iter_mut().find(|known| known.id == refund.id) {
            Some(known) => known.clone_from(refund),
            None => refunds.push(refund.clone()),
        }
    }
    let state = match (&payment.state, order.state) {
        (
            PaymentState::Done(approval),
            OrderState::Paid { .. } | OrderState::Refunding { .. } | OrderState::Refunded { .. },
        ) => {
            let (payment, paid_at, refunded) = (payment.id, approval.approved_at, given_back(&refunds));
            let rest = order.amount.minus(refunded).unwrap_or(Won::ZERO);
            if rest == Won::ZERO {
                OrderState::Refunded { payment, paid_at }
            } else if refunds.iter().any(|refund| refund.is_open() && refund.amount == rest) {
                OrderState::Refunding { payment, paid_at, refunded }
            } else {
                OrderState::Paid { payment, paid_at, refunded }
            }
        }
        // Of excess money the order knows nothing.
        (_, state) => state,
    };
    Settlement { order: crate::Order { state, ..order }, payment, event: None, refunds: changed }
}
