mod money;

use proptest::prelude::*;

use super::*;
use crate::{CustomerId, Deposit, EventType, OrderId, PaymentId, Won};

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
    Attempt { order, payment, refunds: Vec::new(), version: 0 }
}

fn seen(attempt: &Attempt, status: ProviderStatus) -> Evidence {
    Evidence::Seen(ProviderPayment {
        key: attempt.payment.key.clone(),
        order_id: attempt.payment.provider_order_id().to_string(),
        total: attempt.payment.amount,
        balance: attempt.payment.amount,
        currency: Some(Currency::Krw),
        status,
        cancels: Vec::new(),
    })
}

fn approval() -> Approval {
    Approval { approved_at: at(5), method: Some("카드".into()), receipt_url: None }
}

fn deposit() -> Deposit {
    Deposit {
        bank: "20".into(),
        account: "X6505636518308".into(),
        due_at: at(86_400),
        secret: None,
        refund_account: None,
    }
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
            let version = attempt.version + 1;
            attempt = Attempt { order: next.order, payment: next.payment, refunds: next.refunds, version };
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
        // Every time it became paid, and no other time: a deposit that is taken back may come again.
        let became_paid = (1..=sequence.len())
            .filter(|n| run(&sequence[..*n]).0.order.state.name() == "paid" && run(&sequence[..n - 1]).0.order.state.name() != "paid");
        let announced = events.iter().filter(|e| matches!(e, Event::CheckoutSuccess { .. })).count();
        prop_assert_eq!(announced, became_paid.count());
        let reversed = events.iter().filter(|e| matches!(e, Event::CheckoutFailed { decline, .. } if *decline == Decline::reversed()));
        prop_assert!(events.len() - announced - reversed.count() <= 1, "one attempt fails once");
        let ids: std::collections::HashSet<_> = events.iter().map(Event::id).collect();
        prop_assert_eq!(ids.len(), events.len(), "each is an event of its own");
    }

    /// Confirm's answer, a webhook's query and the reconciler's, with what they were told before Toss had decided.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        story in Just(vec![Kind::Done, Kind::Done, Kind::Done, Kind::Open, Kind::NotFound, Kind::Unheard]).prop_shuffle(),
    ) {
        let (end, events) = run(&story);
        prop_assert_eq!(end.order.state.name(), "paid");
        let types: Vec<_> = events.iter().map(Event::event_type).collect();
        prop_assert_eq!(types, [EventType::CheckoutSuccess]);
    }

    #[test]
    fn what_is_unknown_does_not_fail_without_the_providers_word(sequence in prop::collection::vec(kinds(), 0..8)) {
        let refused = sequence.iter().any(|kind| matches!(kind, Kind::Failed | Kind::Declined));
        let failed = matches!(run(&sequence).0.payment.state, PaymentState::Declined(_) | PaymentState::Canceled);
        prop_assert!(refused || !failed);
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

/// A window for another order, another amount or another currency. It holds no money, so it must not hold the goods.
#[test]
fn a_window_for_something_else_pays_nothing_and_keeps_nothing() {
    let attempt = confirming();
    let elsewhere = |status| {
        let Evidence::Seen(truth) = seen(&attempt, status) else { unreachable!() };
        [
            ProviderPayment { total: Won::new(1).unwrap(), ..truth.clone() },
            ProviderPayment { order_id: OrderId::new().to_string(), ..truth.clone() },
            ProviderPayment { currency: None, ..truth },
        ]
    };
    let refused = |found| Evidence::Seen(found).after(Some("INVALID_REQUEST".into()));
    for window in elsewhere(ProviderStatus::Open) {
        let asked = settle(attempt.clone(), Evidence::Seen(window.clone()), at(1));
        assert!(matches!(asked, Err(Undecided::Open)), "nobody was refused yet: {asked:?}");
        let settled = settle(attempt.clone(), refused(window.clone()), at(1)).unwrap();
        assert_eq!(settled.order.state, OrderState::Pending);
        let other = ProviderPayment { key: "other".parse().unwrap(), ..window };
        assert!(matches!(settle(attempt.clone(), refused(other), at(1)), Err(Undecided::Mismatch { .. })));
    }
    for over in elsewhere(ProviderStatus::Failed(refusal())) {
        assert_eq!(settle(attempt.clone(), Evidence::Seen(over), at(1)).unwrap().order.state, OrderState::Pending);
    }
    let canceled = ProviderStatus::Canceled { approved_at: None };
    for status in [ProviderStatus::Done(approval()), ProviderStatus::WaitingForDeposit(deposit()), canceled] {
        for taken in elsewhere(status) {
            let verdict = settle(attempt.clone(), refused(taken), at(1));
            assert!(matches!(verdict, Err(Undecided::Mismatch { .. })), "{verdict:?}");
        }
    }
    let Evidence::Seen(own) = seen(&attempt, ProviderStatus::Open) else { unreachable!() };
    assert!(matches!(settle(attempt, refused(own), at(1)), Err(Undecided::Open)), "our own may still be confirmed");
}

#[test]
fn a_payment_nobody_knows_is_given_up_only_after_the_window() {
    let settled = |seconds| settle(confirming(), Evidence::NotFound, at(seconds));
    assert!(matches!(settled(14 * 60), Err(Undecided::Open)));
    assert_eq!(settled(16 * 60).unwrap().order.state, OrderState::Pending);
}

#[test]
fn a_payment_nobody_knows_is_given_up_at_once_when_its_confirm_was_refused() {
    let refused = || Evidence::NotFound.after(Some("NOT_FOUND_PAYMENT".into()));
    let settled = settle(confirming(), refused(), at(1)).unwrap();
    assert_eq!((settled.order.state.name(), settled.payment.state.name()), ("pending", "declined"));
    let (waiting, _) = run(&[Kind::Waiting]);
    assert!(matches!(settle(waiting, refused(), at(1)), Err(Undecided::Contradiction { .. })), "it was known once");
}

#[test]
fn a_deposit_pays_and_a_missing_one_ends_the_order() {
    assert_eq!(run(&[Kind::Waiting, Kind::Done]).0.order.state.name(), "paid");
    let (canceled, _) = run(&[Kind::Waiting, Kind::Failed]);
    assert_eq!(canceled.order.state.name(), "canceled", "before its time was over");
    let (waiting, _) = run(&[Kind::Waiting]);
    let failed = evidence(&waiting, Kind::Failed);
    assert_eq!(settle(waiting, failed, at(86_400)).unwrap().order.state, OrderState::Expired);
}
