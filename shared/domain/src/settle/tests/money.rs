//! Money that goes back, comes late, or is taken back.

use super::*;
use crate::{DeclineKind, ProviderCancel, RefundAsk, RefundError, RefundId, RefundOrigin, RefundState};

/// The provider's side of one payment: what it would answer, and what it would execute.
#[derive(Debug, Clone, Default)]
struct Book {
    cancels: Vec<ProviderCancel>,
}

impl Book {
    fn balance(&self) -> i64 {
        AMOUNT - self.cancels.iter().map(|cancel| cancel.amount.get()).sum::<i64>()
    }

    fn cancel(&mut self, amount: i64) {
        let transaction_key = format!("T{}", self.cancels.len());
        let amount = Won::new(amount).unwrap();
        self.cancels.push(ProviderCancel { transaction_key, amount, reason: "환불".into(), at: at(100) });
    }

    /// What the open refund's request does when it arrives, under Toss's guard.
    fn execute(&mut self, attempt: &Attempt) {
        if let Some(open) = attempt.refunds.iter().find(|refund| refund.is_open())
            && open.refundable.get() == self.balance()
        {
            self.cancel(open.amount.get());
        }
    }

    fn shows(&self, attempt: &Attempt) -> Evidence {
        let status = match self.cancels.as_slice() {
            [] => ProviderStatus::Done(approval()),
            _ => ProviderStatus::Canceled { approved_at: Some(at(5)) },
        };
        let Evidence::Seen(payment) = seen(attempt, status) else { unreachable!() };
        let balance = Won::new(self.balance()).unwrap();
        Evidence::Seen(ProviderPayment { balance, cancels: self.cancels.clone(), ..payment })
    }
}

/// The attempt after a decision.
fn after(attempt: Attempt, settlement: &Settlement) -> Attempt {
    let mut refunds = attempt.refunds;
    for refund in &settlement.refunds {
        refunds.retain(|known| known.id != refund.id);
        refunds.push(refund.clone());
    }
    Attempt {
        order: settlement.order.clone(),
        payment: settlement.payment.clone(),
        refunds,
        version: attempt.version + 1,
    }
}

fn learn(attempt: &mut Attempt, evidence: Evidence) -> Vec<Event> {
    match settle(attempt.clone(), evidence, at(200)) {
        Ok(settlement) => {
            *attempt = after(attempt.clone(), &settlement);
            settlement.events().collect()
        }
        Err(Undecided::Open | Undecided::Settled(_)) => Vec::new(),
        Err(problem) => panic!("{problem}"),
    }
}

fn ask(amount: Option<i64>) -> RefundAsk {
    let amount = amount.map(|won| Won::new(won).unwrap());
    RefundAsk { id: RefundId::new(), amount, reason: "고객 변심".into(), restock: false, account: None }
}

fn begin(attempt: &mut Attempt, amount: Option<i64>) -> Result<(), RefundError> {
    let settlement = attempt.clone().refund(ask(amount))?;
    *attempt = after(attempt.clone(), &settlement);
    Ok(())
}

fn paid_attempt() -> Attempt {
    run(&[Kind::Done]).0
}

fn given_back(attempt: &Attempt) -> i64 {
    let done = attempt.refunds.iter().filter(|refund| matches!(refund.state, RefundState::Done { .. }));
    done.map(|refund| refund.amount.get()).sum()
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody cancels at the provider's own console.
    Console(i64),
    /// We begin a refund.
    Ask(Option<i64>),
    /// The request of the open refund arrives; its answer is lost.
    Execute,
    /// The provider is asked, and answers so many times.
    Query(usize),
    /// The request of the open refund is refused.
    Refuse,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..=AMOUNT).prop_map(Step::Console),
        prop::option::of(1..=AMOUNT).prop_map(Step::Ask),
        Just(Step::Execute),
        (1usize..3).prop_map(Step::Query),
        Just(Step::Refuse),
    ]
}

proptest! {
    /// Whatever is done on either side, and however much of it is heard: at the end both books are equal, every won
    /// that went back was announced once, and never did more go back than was paid.
    #[test]
    fn both_books_end_equal(story in prop::collection::vec(steps(), 0..12)) {
        let (mut attempt, mut book, mut events) = (paid_attempt(), Book::default(), Vec::new());
        for step in story.into_iter().chain([Step::Execute, Step::Query(2)]) {
            match step {
                Step::Console(amount) if amount <= book.balance() => book.cancel(amount),
                Step::Console(_) => {}
                Step::Ask(amount) => drop(begin(&mut attempt, amount)),
                Step::Execute => book.execute(&attempt),
                Step::Query(times) => for _ in 0..times {
                    let shown = book.shows(&attempt);
                    events.extend(learn(&mut attempt, shown));
                },
                // A provider refuses what it has not executed.
                Step::Refuse => {
                    let open = attempt.refunds.iter().find(|it| it.is_open() && it.refundable.get() == book.balance());
                    if let Some(id) = open.map(|refund| refund.id) {
                        events.extend(learn(&mut attempt, Evidence::RefundRefused(id, refusal())));
                    }
                }
            }
            prop_assert!(given_back(&attempt) <= AMOUNT - book.balance(), "more on record than went back");
            prop_assert_eq!(attempt.order.state.name() == "refunded", given_back(&attempt) == AMOUNT);
        }
        prop_assert_eq!(given_back(&attempt), AMOUNT - book.balance());
        prop_assert!(!attempt.refunds.iter().any(Refund::is_open), "no refund stays open once the provider was asked");
        prop_assert_eq!(events.len(), book.cancels.len());
        let ids: std::collections::HashSet<_> = events.iter().map(Event::id).collect();
        prop_assert_eq!(ids.len(), events.len());
    }

    #[test]
    fn a_refund_is_never_given_up_unasked(amount in prop::option::of(1..=AMOUNT), elsewhere in 0..AMOUNT) {
        let mut attempt = paid_attempt();
        begin(&mut attempt, amount).unwrap();
        for silence in [Evidence::NotFound, Evidence::Declined(refusal()), seen(&attempt, ProviderStatus::Open)] {
            prop_assert!(settle(attempt.clone(), silence, at(1_000_000)).is_err());
        }
        prop_assert!(matches!(settle(attempt.clone(), Book::default().shows(&attempt), at(9)), Err(Undecided::Open)));
        let mut book = Book::default();
        if elsewhere > 0 {
            book.cancel(elsewhere);
            let shown = book.shows(&attempt);
            learn(&mut attempt, shown);
            prop_assert!(!attempt.refunds.iter().any(Refund::is_open));
            prop_assert_eq!(given_back(&attempt), elsewhere);
        }
    }

    /// Money for an order that nothing can be had for is owed, once, and the order does not change.
    #[test]
    fn late_money_is_owed_once(times in 1usize..4, console in 0..AMOUNT) {
        for (mut attempt, state) in [(run(&[Kind::Declined]).0, "pending"), (run(&[Kind::Waiting, Kind::Failed]).0, "canceled")] {
            let mut book = Book::default();
            if console > 0 {
                book.cancel(console);
            }
            for _ in 0..times {
                let shown = book.shows(&attempt);
                learn(&mut attempt, shown);
            }
            prop_assert_eq!((attempt.payment.state.name(), attempt.order.state.name()), ("excess", state));
            let owed: Vec<_> = attempt.refunds.iter().filter(|it| it.is_open()).collect();
            prop_assert_eq!(owed.len(), 1);
            prop_assert_eq!((owed[0].origin, owed[0].amount.get()), (RefundOrigin::System, AMOUNT - console));
        }
    }
}

#[test]
fn parts_and_then_the_rest() {
    let (mut attempt, mut book) = (paid_attempt(), Book::default());
    for (amount, state) in [(Some(10_000), "paid"), (Some(9_000), "paid"), (None, "refunded")] {
        begin(&mut attempt, amount).unwrap();
        assert_eq!(begin(&mut attempt, None), Err(RefundError::UnderWay));
        book.execute(&attempt);
        let shown = book.shows(&attempt);
        assert_eq!(learn(&mut attempt, shown)[0].event_type(), EventType::CheckoutRefunded);
        assert_eq!(attempt.order.state.name(), state);
    }
    assert_eq!(begin(&mut attempt, Some(1)), Err(RefundError::NothingLeft));
    assert_eq!(begin(&mut attempt, None), Err(RefundError::NothingLeft));
}

#[test]
fn an_order_that_is_to_be_refunded_whole_is_refunding_until_it_is_known() {
    let mut attempt = paid_attempt();
    begin(&mut attempt, None).unwrap();
    assert_eq!(attempt.order.state.name(), "refunding");
    let id = attempt.refunds[0].id;
    learn(&mut attempt, Evidence::RefundRefused(id, refusal()));
    assert_eq!((attempt.order.state.name(), attempt.refunds[0].state.name()), ("paid", "failed"));
    begin(&mut attempt, Some(AMOUNT)).unwrap();
    assert_ne!(attempt.refunds[1].request(attempt.payment.key.clone()).idempotency_key, format!("cancel:{id}"));
}

/// Two days of bank hours, and no longer. What a person asked for is theirs to ask again.
#[test]
fn what_is_owed_is_asked_for_again_when_the_bank_was_closed() {
    let closed = || Decline { kind: DeclineKind::Later, ..Decline::by_provider("NOT_AVAILABLE_BANK", "") };
    let mut attempt = run(&[Kind::Declined]).0;
    let shown = Book::default().shows(&attempt);
    learn(&mut attempt, shown);
    let mut keys = std::collections::HashSet::new();
    while let Some(open) = attempt.refunds.iter().find(|refund| refund.is_open()).cloned() {
        assert_eq!(open.amount.get(), AMOUNT);
        assert!(keys.insert(open.request(attempt.payment.key.clone()).idempotency_key), "each under a key of its own");
        learn(&mut attempt, Evidence::RefundRefused(open.id, closed()));
    }
    assert_eq!(keys.len(), 48);

    let mut paid = paid_attempt();
    begin(&mut paid, None).unwrap();
    let id = paid.refunds[0].id;
    learn(&mut paid, Evidence::RefundRefused(id, closed()));
    assert!(!paid.refunds.iter().any(Refund::is_open));
}

#[test]
fn what_makes_no_sense_is_not_begun() {
    let refused = |attempt: Attempt, ask| attempt.refund(ask).unwrap_err();
    assert_eq!(refused(confirming(), ask(None)), RefundError::NoMoney("confirming"));
    let paid = paid_attempt;
    assert!(matches!(refused(paid(), ask(Some(0))), RefundError::Amount { .. }));
    assert!(matches!(refused(paid(), ask(Some(AMOUNT + 1))), RefundError::Amount { .. }));
    assert_eq!(refused(paid(), RefundAsk { restock: true, ..ask(Some(1)) }), RefundError::RestockPart);
    let padded = paid().refund(RefundAsk { reason: format!(" {}\n", "길".repeat(200)), ..ask(None) }).unwrap();
    assert_eq!(padded.refunds[0].reason, "길".repeat(200), "as the provider counts it");
    for reason in [String::new(), "  ".into(), "길".repeat(201)] {
        assert_eq!(refused(paid(), RefundAsk { reason, ..ask(None) }), RefundError::Reason);
    }
}

#[test]
fn a_deposit_that_is_taken_back_is_awaited_again_and_pays_again() {
    let (mut attempt, first) = run(&[Kind::Waiting, Kind::Done]);
    let reversed = seen(&attempt, ProviderStatus::WaitingForDeposit(deposit()));
    let told = learn(&mut attempt, reversed.clone());
    assert!(
        matches!(&told[..], [Event::CheckoutFailed { decline, .. }] if decline.code == "DEPOSIT_REVERSED"),
        "{told:?}"
    );
    assert_eq!(attempt.order.state.name(), "awaiting_deposit");
    assert_eq!(learn(&mut attempt, reversed), [], "the same evidence twice is once");
    let done = seen(&attempt, ProviderStatus::Done(approval())); // within the same second
    let again = learn(&mut attempt, done);
    assert_eq!((attempt.order.state.name(), again.len()), ("paid", 1));
    assert_ne!(first[0].id(), again[0].id(), "it was paid twice, and announced twice");
}

#[test]
fn a_deposit_of_which_part_went_back_cannot_be_taken_back() {
    let mut attempt = paid_attempt();
    begin(&mut attempt, Some(1)).unwrap();
    let reversed = seen(&attempt, ProviderStatus::WaitingForDeposit(deposit()));
    assert!(matches!(settle(attempt, reversed, at(9)), Err(Undecided::Contradiction { .. })));
}

#[test]
fn a_payment_taken_back_before_it_was_heard_of() {
    let mut whole = confirming();
    let mut book = Book::default();
    book.cancel(9_000);
    let mut part = whole.clone();
    let shown = book.shows(&part);
    let events: Vec<_> = learn(&mut part, shown).iter().map(Event::event_type).collect();
    assert_eq!(events, [EventType::CheckoutSuccess, EventType::CheckoutRefunded], "what is left was paid for");
    assert_eq!((part.order.state.name(), given_back(&part)), ("paid", 9_000));
    book.cancel(AMOUNT - 9_000);
    let shown = book.shows(&whole);
    assert_eq!(learn(&mut whole, shown), [], "nothing was bought");
    assert_eq!(whole.order.state, OrderState::Pending);
}

#[test]
fn a_book_that_does_not_add_up_is_for_a_person() {
    let attempt = paid_attempt();
    let mut book = Book::default();
    book.cancel(5_000);
    let Evidence::Seen(truth) = book.shows(&attempt) else { unreachable!() };
    let lie = ProviderPayment { balance: Won::new(1).unwrap(), ..truth.clone() };
    assert!(matches!(settle(attempt.clone(), Evidence::Seen(lie), at(9)), Err(Undecided::Mismatch { .. })));

    let settlement = settle(attempt.clone(), Evidence::Seen(truth), at(9)).unwrap();
    let refunded = after(attempt, &settlement);
    let forgotten = Book::default().shows(&refunded);
    assert!(matches!(settle(refunded, forgotten, at(9)), Err(Undecided::Contradiction { .. })));
}

#[test]
fn what_was_read_before_anything_else_happened_counts_no_more() {
    let before = paid_attempt();
    assert!(before.stands_like(&before.clone()));
    let decided = Attempt { version: before.version + 1, ..before.clone() };
    assert!(!decided.stands_like(&before), "the deposit was taken back, and came again");
    let OrderState::Paid { payment, paid_at, .. } = before.order.state else { unreachable!() };
    let state = OrderState::Paid { payment, paid_at, refunded: Won::new(5_000).unwrap() };
    let elsewhere = Attempt { order: Order { state, ..before.order.clone() }, ..before.clone() };
    assert!(!elsewhere.stands_like(&before), "some of another payment went back meanwhile");
    let mut asked = before.clone();
    begin(&mut asked, Some(1)).unwrap();
    assert!(!asked.stands_like(&Attempt { version: asked.version, ..before }), "a refund was begun");
}
