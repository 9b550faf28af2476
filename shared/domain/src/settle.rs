//! The one decision about money: given where an order and its payment stand and what the provider said,
//! where do they stand now, what is to be announced, and what is owed? Browser return, webhook, reconciler and
//! refunds all decide here.

mod held;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Approval, Currency, Decline, Deposit, Event, Evidence, Order, OrderState, Payment, PaymentState, ProviderPayment,
    ProviderStatus, Refund, Won,
};

/// An order and the attempt to pay it that the evidence is about.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The order.
    pub order: Order,
    /// The payment.
    pub payment: Payment,
    /// The refunds of that payment, oldest first.
    pub refunds: Vec<Refund>,
    /// Counts what was decided about the payment, so that a state which it was in before is not taken for the same one.
    pub version: i32,
}

impl Attempt {
    /// Whether nothing has happened between two looks. What the provider said after the first look may be old news
    /// if something has: it was asked while we knew less.
    pub fn stands_like(&self, other: &Self) -> bool {
        let refunds =
            |attempt: &Self| -> Vec<_> { attempt.refunds.iter().map(|it| (it.id, it.state.name())).collect() };
        self.version == other.version
            && self.payment.state.name() == other.payment.state.name()
            // All of it: a decision about excess money writes the order back as it was read.
            && self.order.state == other.order.state
            && refunds(self) == refunds(other)
    }
}

/// What changed, and what to announce in the same transaction.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The order as it stands now.
    pub order: Order,
    /// The payment as it stands now.
    pub payment: Payment,
    /// What to announce about the payment.
    pub event: Option<Event>,
    /// The refunds that are new or changed. Those that are done are announced too; those that are not are owed.
    pub refunds: Vec<Refund>,
}

impl Settlement {
    /// All that is to be announced.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.event.clone().into_iter().chain(self.refunds.iter().filter_map(Refund::announcement))
    }
}

/// Why the evidence changes nothing. The attempt stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The provider has not finished either: ask again later.
    #[error("the provider has not decided yet")]
    Open,
    /// It is on record already. Ask the database, not the provider.
    #[error("a payment that is {0} is settled already")]
    Settled(&'static str),
    /// The provider speaks of something else than what was asked for. A person must look at it.
    #[error("the provider's {field} is {theirs}, ours is {ours}")]
    Mismatch {
        /// Which field differs.
        field: &'static str,
        /// The provider's value.
        theirs: String,
        /// Our value.
        ours: String,
    },
    /// The provider and we disagree in a way that evidence alone cannot settle. A person must look at it.
    #[error("the payment is {ours} here and {theirs} at the provider")]
    Contradiction {
        /// Our state.
        ours: &'static str,
        /// The provider's.
        theirs: String,
    },
}

/// Toss takes a confirm for 10 minutes after the buyer authenticated; the rest is for clocks and queues.
/// A payment that is unknown to the provider this long after we first asked will never be known, even if no confirm
/// was ever answered.
const NEVER_ARRIVED_AFTER: TimeDelta = TimeDelta::minutes(15);

/// Decides. Pure: the same attempt and evidence give the same answer, on whichever path they come.
///
/// `at` is the database's time.
///
/// # Errors
/// [`Undecided`] when nothing changes, with what to do about it.
pub fn settle(attempt: Attempt, evidence: Evidence, at: DateTime<Utc>) -> Result<Settlement, Undecided> {
    let evidence = match evidence {
        Evidence::Refused { code, found } => match refused(&attempt.payment, &code, found.as_ref()) {
            Some(decline) => return Ok(declined(attempt, decline, at)),
            None => found.map_or(Evidence::NotFound, Evidence::Seen),
        },
        heard => heard,
    };
    if let Evidence::Seen(seen) = &evidence {
        same_key(&attempt.payment, seen)?;
        let confirming = matches!(attempt.payment.state, PaymentState::Confirming);
        // Where no money is, none can be taken for this order's: a window for another order or another amount
        // pays nothing, and must not hold this order's goods.
        if !(confirming && matches!(seen.status, ProviderStatus::Open | ProviderStatus::Failed(_))) {
            same_purchase(&attempt.payment, seen)?;
        }
    }
    match (&attempt.payment.state, evidence) {
        (_, Evidence::RefundRefused(refund, why)) => held::refused(attempt, refund, why),
        (PaymentState::Confirming, Evidence::Declined(decline)) => Ok(declined(attempt, decline, at)),
        (PaymentState::Confirming, Evidence::NotFound) => {
            if at - attempt.payment.asked_at < NEVER_ARRIVED_AFTER {
                return Err(Undecided::Open);
            }
            let decline = Decline::by_provider("NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다.");
            Ok(declined(attempt, decline, at))
        }
        (PaymentState::Confirming | PaymentState::AwaitingDeposit(_), Evidence::Seen(seen)) => {
            seen_while_live(attempt, seen, at)
        }
        // A deposit account that the provider denies knowing, or a refusal of something long accepted.
        (PaymentState::AwaitingDeposit(_), Evidence::NotFound | Evidence::Declined(_)) => {
            Err(Undecided::Contradiction { ours: "awaiting_deposit", theirs: "unknown".into() })
        }
        (PaymentState::Done(_) | PaymentState::Excess(_), Evidence::Seen(seen)) => held::seen(attempt, seen),
        (PaymentState::Declined(_) | PaymentState::Canceled, Evidence::Seen(seen)) => held::seen_late(attempt, &seen),
        (PaymentState::Declined(_) | PaymentState::Canceled, Evidence::NotFound | Evidence::Declined(_)) => {
            Err(Undecided::Settled(attempt.payment.state.name()))
        }
        (held, Evidence::NotFound) => Err(Undecided::Contradiction { ours: held.name(), theirs: "unknown".into() }),
        (held, Evidence::Declined(Decline { code, .. }) | Evidence::Refused { code, .. }) => {
            Err(Undecided::Contradiction { ours: held.name(), theirs: code })
        }
    }
}

/// Why a confirm that was refused can never succeed, if that is so.
fn refused(payment: &Payment, code: &str, found: Option<&ProviderPayment>) -> Option<Decline> {
    if !matches!(payment.state, PaymentState::Confirming) {
        return None;
    }
    match found {
        // The confirm has arrived, so it is not on its way any more, and there was nothing to confirm.
        None => Some(Decline::by_provider(code, "존재하지 않는 결제 정보 입니다.")),
        // Of another order, or of another amount, and not paid: what was asked for will be refused for ever.
        Some(seen)
            if matches!(seen.status, ProviderStatus::Open)
                && same_key(payment, seen).is_ok()
                && same_purchase(payment, seen).is_err() =>
        {
            Some(Decline::by_provider(code, "결제 정보가 주문과 다릅니다."))
        }
        Some(_) => None,
    }
}

fn seen_while_live(attempt: Attempt, seen: ProviderPayment, at: DateTime<Utc>) -> Result<Settlement, Undecided> {
    let state = attempt.payment.state.name();
    match seen.status {
        ProviderStatus::Done(approval) => Ok(paid(attempt, approval)),
        ProviderStatus::WaitingForDeposit(_) if state == "awaiting_deposit" => Err(Undecided::Settled(state)),
        ProviderStatus::WaitingForDeposit(deposit) => Ok(awaiting(attempt, deposit)),
        ProviderStatus::Failed(decline) => Ok(declined(attempt, decline, at)),
        // Taken back before we ever heard of it: nothing is kept, so nothing was bought.
        ProviderStatus::Canceled { .. } if seen.balance == Won::ZERO => Ok(ended(attempt, at)),
        // Partly taken back: the rest was paid for, and what went back is a refund.
        ProviderStatus::Canceled { approved_at: Some(approved_at) } => {
            let approval = Approval { approved_at, method: None, receipt_url: None };
            let version = attempt.version;
            let Settlement { order, payment, event, .. } = paid(attempt, approval);
            let attempt = Attempt { order, payment, refunds: Vec::new(), version };
            Ok(Settlement { event, ..held::seen(attempt, seen)? })
        }
        ProviderStatus::Canceled { approved_at: None } => {
            Err(Undecided::Contradiction { ours: state, theirs: "partly canceled".into() })
        }
        ProviderStatus::Open => Err(Undecided::Open),
        ProviderStatus::Other(status) => Err(Undecided::Contradiction { ours: state, theirs: status }),
    }
}

fn same_key(payment: &Payment, seen: &ProviderPayment) -> Result<(), Undecided> {
    if seen.key == payment.key {
        return Ok(());
    }
    let (theirs, ours) = ("another".into(), "the one that was asked for".into());
    Err(Undecided::Mismatch { field: "payment key", theirs, ours })
}

fn same_purchase(payment: &Payment, seen: &ProviderPayment) -> Result<(), Undecided> {
    let mismatch = |field, theirs, ours| Err(Undecided::Mismatch { field, theirs, ours });
    let order_id = payment.provider_order_id().to_string();
    if seen.order_id != order_id {
        return mismatch("order id", seen.order_id.clone(), order_id);
    }
    if seen.total != payment.amount {
        return mismatch("amount", seen.total.to_string(), payment.amount.to_string());
    }
    if seen.currency != Some(Currency::Krw) {
        return mismatch("currency", "foreign".into(), Currency::Krw.code().into());
    }
    Ok(())
}

fn paid(Attempt { order, payment, version, .. }: Attempt, approval: Approval) -> Settlement {
    let paid_at = approval.approved_at;
    let event = Event::CheckoutSuccess {
        order: order.id,
        payment: payment.id,
        key: payment.key.clone(),
        payment_type: payment.payment_type.clone(),
        amount: payment.amount,
        paid_at,
        version,
    };
    let state = OrderState::Paid { payment: payment.id, paid_at, refunded: Won::ZERO };
    let payment = Payment { state: PaymentState::Done(approval), ..payment };
    Settlement { order: Order { state, ..order }, payment, event: Some(event), refunds: Vec::new() }
}

fn awaiting(Attempt { order, payment, .. }: Attempt, deposit: Deposit) -> Settlement {
    let state = OrderState::AwaitingDeposit { payment: payment.id, due_at: deposit.due_at };
    let payment = Payment { state: PaymentState::AwaitingDeposit(deposit), ..payment };
    Settlement { order: Order { state, ..order }, payment, event: None, refunds: Vec::new() }
}

fn declined(Attempt { order, payment, version, .. }: Attempt, decline: Decline, at: DateTime<Utc>) -> Settlement {
    let event = Event::CheckoutFailed {
        order: order.id,
        payment: payment.id,
        decline: decline.clone(),
        amount: payment.amount,
        version,
    };
    let payment = Payment { state: PaymentState::Declined(decline), ..payment };
    Settlement { order: payable_again(order, at), payment, event: Some(event), refunds: Vec::new() }
}

fn ended(Attempt { order, payment, .. }: Attempt, at: DateTime<Utc>) -> Settlement {
    let payment = Payment { state: PaymentState::Canceled, ..payment };
    Settlement { order: payable_again(order, at), payment, event: None, refunds: Vec::new() }
}

/// A declined order may be paid another way; a deposit that never came ends the order.
fn payable_again(order: Order, at: DateTime<Utc>) -> Order {
    let state = match order.state {
        OrderState::AwaitingDeposit { due_at, .. } if due_at <= at => OrderState::Expired,
        OrderState::AwaitingDeposit { .. } => OrderState::Canceled,
        _ => OrderState::Pending,
    };
    Order { state, ..order }
}
