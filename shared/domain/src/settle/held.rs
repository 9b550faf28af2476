//! Evidence about a payment that is already decided: money that is held, is given back, or arrives unexpectedly.

use super::{Attempt, Settlement, Undecided, awaiting};
use crate::refund::settled;
use crate::{
    Approval, Decline, DeclineKind, Event, Payment, PaymentState, ProviderCancel, ProviderPayment, ProviderStatus,
    Refund, RefundId, RefundOrigin, RefundState, Won,
};

/// The provider shows a payment whose money is on record.
pub(super) fn seen(attempt: Attempt, seen: ProviderPayment) -> Result<Settlement, Undecided> {
    let ours = attempt.payment.state.name();
    match seen.status {
        ProviderStatus::Done(_) | ProviderStatus::Canceled { approved_at: Some(_) } => {
            let changed = compare(&attempt, &seen)?;
            if !changed.is_empty() {
                return Ok(settled(attempt, changed));
            }
            // Nothing went back yet, as far as the provider knows: ask again.
            let open = attempt.refunds.iter().any(Refund::is_open);
            Err(if open { Undecided::Open } else { Undecided::Settled(ours) })
        }
        // The bank took the deposit back. What was bought with it is not bought any more.
        ProviderStatus::WaitingForDeposit(deposit)
            if matches!(attempt.payment.state, PaymentState::Done(_)) && attempt.refunds.is_empty() =>
        {
            let event = Event::CheckoutFailed {
                order: attempt.order.id,
                payment: attempt.payment.id,
                decline: Decline::reversed(),
                amount: attempt.payment.amount,
                version: attempt.version,
            };
            Ok(Settlement { event: Some(event), ..awaiting(attempt, deposit) })
        }
        status => Err(Undecided::Contradiction { ours, theirs: status.name().into() }),
    }
}

/// The provider shows a payment that was given up here. Its goods went to others, so its money goes back.
pub(super) fn seen_late(attempt: Attempt, seen: &ProviderPayment) -> Result<Settlement, Undecided> {
    let ours = attempt.payment.state.name();
    let approval = match &seen.status {
        ProviderStatus::Done(approval) => approval.clone(),
        ProviderStatus::Canceled { approved_at: Some(approved_at) } if seen.balance > Won::ZERO => {
            Approval { approved_at: *approved_at, method: None, receipt_url: None }
        }
        // An account that we gave up stays open at the provider, which is not told.
        ProviderStatus::WaitingForDeposit(_) if ours == "canceled" => return Err(Undecided::Settled(ours)),
        ProviderStatus::WaitingForDeposit(_) => {
            return Err(Undecided::Contradiction { ours, theirs: seen.status.name().into() });
        }
        _ => return Err(Undecided::Settled(ours)),
    };
    let payment = Payment { state: PaymentState::Excess(approval), ..attempt.payment };
    let attempt = Attempt { payment, ..attempt };
    let changed = compare(&attempt, seen)?;
    Ok(settled(attempt, changed))
}

/// Two days of asking hourly: by then no bank is closed for the night, and a person should know.
const MOST_TRIES: usize = 48;

/// The provider refuses to carry a refund out. What a person asked for ends here; what we owe is asked for again if the
/// hour was to blame.
pub(super) fn refused(attempt: Attempt, refund: RefundId, why: Decline) -> Result<Settlement, Undecided> {
    match attempt.refunds.iter().find(|known| known.id == refund && known.is_open()) {
        Some(open) => {
            // The provider gives its refusal again to whoever asks again for the same: another refund has to be asked for.
            let again = (why.kind == DeclineKind::Later && open.origin == RefundOrigin::System)
                .then(|| Refund::owed(&attempt, open.amount))
                .filter(|_| attempt.refunds.len() < MOST_TRIES);
            let failed = open.clone().failed(why);
            Ok(settled(attempt, std::iter::once(failed).chain(again).collect()))
        }
        None => Err(Undecided::Settled(attempt.payment.state.name())),
    }
}

/// The refunds that are new or changed, given what the provider shows of a payment whose money is on record.
fn compare(attempt: &Attempt, seen: &ProviderPayment) -> Result<Vec<Refund>, Undecided> {
    let returned: i64 = seen.cancels.iter().map(|cancel| cancel.amount.get()).sum();
    let gone = seen.total.get() - seen.balance.get();
    if returned != gone {
        let (theirs, ours) = (format!("{gone} won less than the amount"), format!("{returned} won of cancels"));
        return Err(Undecided::Mismatch { field: "balance", theirs, ours });
    }
    if attempt.refunds.iter().any(|refund| is_done(refund) && !seen.cancels.iter().any(|it| is_of(refund, it))) {
        return Err(Undecided::Contradiction { ours: "refunded", theirs: "not refunded".into() });
    }
    let mut open = attempt.refunds.iter().find(|refund| refund.is_open()).cloned();
    let mut changed = Vec::new();
    for cancel in seen.cancels.iter().filter(|cancel| !attempt.refunds.iter().any(|refund| is_of(refund, cancel))) {
        // A refund of just that sum is carried out, whoever did it.
        changed.push(match open.take_if(|refund| refund.amount == cancel.amount) {
            Some(ours) => ours.done(cancel),
            None => Refund::adopted(attempt, cancel),
        });
    }
    if let Some(ours) = open.take_if(|refund| refund.refundable != seen.balance) {
        // The provider gives it back only while it holds what we thought it held: never again.
        changed.push(ours.failed(Decline::by_provider("NOT_MATCHES_REFUNDABLE_AMOUNT", "잔액이 바뀌었습니다.")));
    }
    let excess = matches!(attempt.payment.state, PaymentState::Excess(_));
    if excess && open.is_none() && seen.balance > Won::ZERO && (attempt.refunds.is_empty() || !changed.is_empty()) {
        changed.push(Refund::owed(attempt, seen.balance));
    }
    Ok(changed)
}

fn is_done(refund: &Refund) -> bool {
    matches!(refund.state, RefundState::Done { .. })
}

fn is_of(refund: &Refund, cancel: &ProviderCancel) -> bool {
    matches!(&refund.state, RefundState::Done { transaction_key, .. } if *transaction_key == cancel.transaction_key)
}
