//! The one decision about money: given where an order and its payment stand and what the provider said,
//! where do they stand now and what is to be announced? Browser return, webhook and reconciler all ask here.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Approval, Currency, Decline, Event, Evidence, Order, OrderState, Payment, PaymentState, ProviderPayment,
    ProviderStatus,
};

/// An order and the attempt to pay it that the evidence is about.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The order.
    pub order: Order,
    /// The payment.
    pub payment: Payment,
}

/// What changed, and what to announce in the same transaction.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The order as it stands now.
    pub order: Order,
    /// The payment as it stands now.
    pub payment: Payment,
    /// What to announce.
    pub event: Option<Event>,
}

/// Why the evidence changes nothing. The attempt stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The provider has not finished either: ask again later.
    #[error("the provider has not decided yet")]
    Open,
    /// It is on record already. Ask the database, not the provider.
    #[error("a {0} payment is settled already")]
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
    #[error("a {ours} payment is {theirs} at the provider")]
    Contradiction {
        /// Our state.
        ours: &'static str,
        /// The provider's.
        theirs: String,
    },
}

/// Toss takes a confirm for 10 minutes after the buyer authenticated; the rest is for clocks and queues.
/// A payment that is unknown to the provider this long after we first asked will never be known.
const NEVER_ARRIVED_AFTER: TimeDelta = TimeDelta::minutes(15);

/// Decides. Pure: the same attempt and evidence give the same answer, on whichever path they come.
///
/// `at` is the database's time.
///
/// # Errors
/// [`Undecided`] when nothing changes, with what to do about it.
pub fn settle(attempt: Attempt, evidence: Evidence, at: DateTime<Utc>) -> Result<Settlement, Undecided> {
    let Attempt { order, payment } = attempt;
    if let Evidence::Seen(seen) = &evidence {
        same_payment(&payment, seen)?;
    }
    match (&payment.state, evidence) {
        (PaymentState::Confirming, Evidence::Declined(decline)) => Ok(declined(order, payment, decline)),
        (PaymentState::Confirming, Evidence::NotFound) => {
            if at - payment.asked_at < NEVER_ARRIVED_AFTER {
                return Err(Undecided::Open);
            }
            let decline = Decline::by_provider("NOT_FOUND_PAYMENT", "존재하지 않는 결제 정보 입니다.");
            Ok(declined(order, payment, decline))
        }
        (PaymentState::Confirming | PaymentState::AwaitingDeposit(_), Evidence::Seen(seen)) => {
            seen_while_live(order, payment, seen)
        }
        // A deposit account that the provider denies knowing, or a refusal of something long accepted.
        (PaymentState::AwaitingDeposit(_), Evidence::NotFound | Evidence::Declined(_)) => {
            Err(Undecided::Contradiction { ours: "awaiting_deposit", theirs: "unknown".into() })
        }
        (settled, evidence) => settled_already(settled, &evidence),
    }
}

fn seen_while_live(order: Order, payment: Payment, seen: ProviderPayment) -> Result<Settlement, Undecided> {
    match seen.status {
        ProviderStatus::Done(approval) => Ok(paid(order, payment, approval)),
        ProviderStatus::WaitingForDeposit(deposit) => {
            if matches!(payment.state, PaymentState::AwaitingDeposit(_)) {
                return Err(Undecided::Settled("awaiting_deposit"));
            }
            let state = OrderState::AwaitingDeposit { payment: payment.id, due_at: deposit.due_at };
            let payment = Payment { state: PaymentState::AwaitingDeposit(deposit), ..payment };
            Ok(Settlement { order: Order { state, ..order }, payment, event: None })
        }
        ProviderStatus::Failed(decline) => Ok(declined(order, payment, decline)),
        ProviderStatus::Canceled { .. } if seen.balance == crate::Won::ZERO => {
            // Taken back before we ever heard of it: nothing is kept, so nothing was bought.
            Ok(ended(order, payment))
        }
        ProviderStatus::Canceled { .. } => {
            Err(Undecided::Contradiction { ours: payment.state.name(), theirs: "partly canceled".into() })
        }
        ProviderStatus::Open => Err(Undecided::Open),
        ProviderStatus::Other(status) => Err(Undecided::Contradiction { ours: payment.state.name(), theirs: status }),
    }
}

fn settled_already(state: &PaymentState, evidence: &Evidence) -> Result<Settlement, Undecided> {
    let agrees = match (state, evidence) {
        (PaymentState::Done(_), Evidence::Seen(seen)) => matches!(seen.status, ProviderStatus::Done(_)),
        (PaymentState::Done(_), _) => false,
        // Money at the provider that we do not know of is never "fine".
        (_, Evidence::Seen(seen)) => {
            !matches!(seen.status, ProviderStatus::Done(_) | ProviderStatus::WaitingForDeposit(_))
        }
        (_, Evidence::Declined(_) | Evidence::NotFound) => true,
    };
    if agrees {
        return Err(Undecided::Settled(state.name()));
    }
    let theirs = match evidence {
        Evidence::Seen(seen) => seen.status.name().into(),
        Evidence::Declined(decline) => decline.code.clone(),
        Evidence::NotFound => "unknown".into(),
    };
    Err(Undecided::Contradiction { ours: state.name(), theirs })
}

fn same_payment(payment: &Payment, seen: &ProviderPayment) -> Result<(), Undecided> {
    let mismatch = |field, theirs, ours| Err(Undecided::Mismatch { field, theirs, ours });
    if seen.key != payment.key {
        return mismatch("payment key", "another".into(), "the one that was asked for".into());
    }
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

fn paid(order: Order, payment: Payment, approval: Approval) -> Settlement {
    let paid_at = approval.approved_at;
    let event = Event::CheckoutSuccess {
        order: order.id,
        payment: payment.id,
        key: payment.key.clone(),
        payment_type: payment.payment_type.clone(),
        amount: payment.amount,
        paid_at,
    };
    let state = OrderState::Paid { payment: payment.id, paid_at, refunded: crate::Won::ZERO };
    let payment = Payment { state: PaymentState::Done(approval), ..payment };
    Settlement { order: Order { state, ..order }, payment, event: Some(event) }
}

fn declined(order: Order, payment: Payment, decline: Decline) -> Settlement {
    let event = Event::CheckoutFailed {
        order: order.id,
        payment: payment.id,
        decline: decline.clone(),
        amount: payment.amount,
    };
    let payment = Payment { state: PaymentState::Declined(decline), ..payment };
    Settlement { order: payable_again(order), payment, event: Some(event) }
}

fn ended(order: Order, payment: Payment) -> Settlement {
    let payment = Payment { state: PaymentState::Canceled, ..payment };
    Settlement { order: payable_again(order), payment, event: None }
}

/// A declined order may be paid another way; a deposit that never came ends the order.
fn payable_again(order: Order) -> Order {
    let state = match order.state {
        OrderState::AwaitingDeposit { .. } => OrderState::Canceled,
        _ => OrderState::Pending,
    };
    Order { state, ..order }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{CustomerId, Deposit, OrderId, PaymentId, Won};

    const AMOUNT: i64 = 39_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_236_400 + seconds, 0).unwrap()
    }

    fn confirming() -> Attempt {
        let (id, payment) = (OrderId::new(), PaymentId::new());
        let order = Order {
            id,
            customer: CustomerId::new(),
            name: "머그컵".into(),
            amount: Won::new(AMOUNT).unwrap(),
            attempts: 0,
            state: OrderState::Pending,
        };
        let order = order.confirm(payment, 1, Won::new(AMOUNT).unwrap()).unwrap();
        let payment = Payment {
            id: payment,
            order: id,
            attempt: 1,
            key: "key".parse().unwrap(),
            amount: Won::new(AMOUNT).unwrap(),
            payment_type: "NORMAL".into(),
            asked_at: at(0),
            state: PaymentState::Confirming,
        };
        Attempt { order, payment }
    }

    fn seen(attempt: &Attempt, status: ProviderStatus) -> Evidence {
        Evidence::Seen(ProviderPayment {
            key: attempt.payment.key.clone(),
            order_id: attempt.payment.provider_order_id().to_string(),
            total: attempt.payment.amount,
            balance: attempt.payment.amount,
            currency: Some(Currency::Krw),
            status,
        })
    }

    fn approval() -> Approval {
        Approval { approved_at: at(5), method: Some("카드".into()), receipt_url: None }
    }

    fn deposit() -> Deposit {
        Deposit { bank: "20".into(), account: "X6505636518308".into(), due_at: at(86_400), secret: None }
    }

    fn refusal() -> Decline {
        Decline::by_provider("REJECT_CARD_PAYMENT", "한도초과")
    }

    #[derive(Debug, Clone, Copy)]
    enum Kind {
        Done,
        Waiting,
        Open,
        Failed,
        Declined,
        NotFound,
        Unheard,
    }

    fn evidence(attempt: &Attempt, kind: Kind) -> Evidence {
        match kind {
            Kind::Done => seen(attempt, ProviderStatus::Done(approval())),
            Kind::Waiting => seen(attempt, ProviderStatus::WaitingForDeposit(deposit())),
            Kind::Open => seen(attempt, ProviderStatus::Open),
            Kind::Failed => seen(attempt, ProviderStatus::Failed(refusal())),
            Kind::Declined => Evidence::Declined(refusal()),
            Kind::NotFound => Evidence::NotFound,
            Kind::Unheard => seen(attempt, ProviderStatus::Other("NEW_STATUS".into())),
        }
    }

    /// Applies evidence one after another and returns the end state with all that was announced.
    fn run(kinds: &[Kind]) -> (Attempt, Vec<Event>) {
        let mut attempt = confirming();
        let mut events = Vec::new();
        for kind in kinds {
            if let Ok(next) = settle(attempt.clone(), evidence(&attempt, *kind), at(30)) {
                events.extend(next.event);
                attempt = Attempt { order: next.order, payment: next.payment };
            }
        }
        (attempt, events)
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Done),
            Just(Kind::Waiting),
            Just(Kind::Open),
            Just(Kind::Failed),
            Just(Kind::Declined),
            Just(Kind::NotFound),
            Just(Kind::Unheard),
        ]
    }

    proptest! {
        #[test]
        fn an_order_is_paid_exactly_when_its_payment_is_done(sequence in prop::collection::vec(kinds(), 0..8)) {
            let (end, events) = run(&sequence);
            let paid = matches!(end.order.state, OrderState::Paid { .. });
            prop_assert_eq!(paid, matches!(end.payment.state, PaymentState::Done(_)));
            let announced = events.iter().filter(|e| matches!(e, Event::CheckoutSuccess { .. })).count();
            prop_assert_eq!(announced, usize::from(paid));
            prop_assert!(events.len() <= 1, "one attempt announces one outcome");
        }

        #[test]
        fn the_same_evidence_twice_is_once(sequence in prop::collection::vec(kinds(), 0..6)) {
            let doubled: Vec<_> = sequence.iter().flat_map(|kind| [*kind, *kind]).collect();
            let (once, events) = run(&sequence);
            let (twice, again) = run(&doubled);
            prop_assert_eq!(once.order.state.name(), twice.order.state.name());
            prop_assert_eq!(events.len(), again.len());
        }

        /// The provider's own story is consistent: noise around it, in any order, does not change its end.
        #[test]
        fn noise_does_not_change_the_end(before in 0usize..3, after in 0usize..3, done in any::<bool>()) {
            let outcome = if done { Kind::Done } else { Kind::Failed };
            let mut story = vec![Kind::Open; before];
            story.push(Kind::NotFound);
            story.push(outcome);
            story.extend(std::iter::repeat_n(Kind::Unheard, after));
            story.push(outcome);
            let (end, _) = run(&story);
            prop_assert_eq!(end.order.state.name(), if done { "paid" } else { "pending" });
        }

        #[test]
        fn no_evidence_means_no_change(kind in prop_oneof![Just(Kind::Open), Just(Kind::NotFound), Just(Kind::Unheard)]) {
            let (end, events) = run(&[kind]);
            prop_assert_eq!(end.order.state.name(), "confirming");
            prop_assert!(events.is_empty());
        }
    }

    #[test]
    fn an_answer_about_something_else_is_not_accepted() {
        let attempt = confirming();
        let Evidence::Seen(truth) = evidence(&attempt, Kind::Done) else { unreachable!() };
        let lies = [
            ProviderPayment { total: Won::new(1).unwrap(), ..truth.clone() },
            ProviderPayment { key: "other".parse().unwrap(), ..truth.clone() },
            ProviderPayment { order_id: OrderId::new().to_string(), ..truth.clone() },
            ProviderPayment { currency: None, ..truth.clone() },
        ];
        for lie in lies {
            let verdict = settle(attempt.clone(), Evidence::Seen(lie), at(1));
            assert!(matches!(verdict, Err(Undecided::Mismatch { .. })), "{verdict:?}");
        }
    }

    #[test]
    fn a_payment_nobody_knows_is_given_up_only_after_the_window() {
        let settled = |seconds| settle(confirming(), Evidence::NotFound, at(seconds));
        assert!(matches!(settled(14 * 60), Err(Undecided::Open)));
        assert_eq!(settled(16 * 60).unwrap().order.state, OrderState::Pending);
    }

    #[test]
    fn a_deposit_pays_and_a_missing_one_ends_the_order() {
        assert_eq!(run(&[Kind::Waiting, Kind::Done]).0.order.state.name(), "paid");
        assert_eq!(run(&[Kind::Waiting, Kind::Failed]).0.order.state.name(), "canceled");
    }

    #[test]
    fn money_for_a_declined_payment_is_a_contradiction() {
        let (declined, _) = run(&[Kind::Declined]);
        let verdict = settle(declined.clone(), evidence(&declined, Kind::Done), at(60));
        assert!(matches!(verdict, Err(Undecided::Contradiction { .. })));
    }

    #[test]
    fn a_payment_taken_back_at_the_provider_frees_the_order() {
        let attempt = confirming();
        let Evidence::Seen(truth) = seen(&attempt, ProviderStatus::Canceled { approved_at: Some(at(5)) }) else {
            unreachable!()
        };
        let gone = ProviderPayment { balance: Won::ZERO, ..truth.clone() };
        assert_eq!(settle(attempt.clone(), Evidence::Seen(gone), at(9)).unwrap().order.state, OrderState::Pending);
        assert!(matches!(settle(attempt, Evidence::Seen(truth), at(9)), Err(Undecided::Contradiction { .. })));
    }
}
