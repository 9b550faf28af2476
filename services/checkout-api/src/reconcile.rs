//! The reconciler: finds out what became of payments and refunds whose outcome was never written down.

use std::sync::Arc;

use chrono::TimeDelta;
use database::payments;
use database::record::Known;
use database::refunds;
use domain::{CancelAnswer, CancelRequest, DeclineKind, Evidence, PaymentState};
use futures_util::future::join_all;
use tracing::{error, warn};

use crate::checkout::Checkout;
use crate::circuit::Circuit;
use crate::learn::{Applied, Learned};

/// Toss takes a confirm until 10 minutes after the buyer authenticated; later only a query makes sense.
const CONFIRM_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// A transfer made in the last minute may take this long to be told of.
const DEPOSIT_GRACE: TimeDelta = TimeDelta::minutes(10);

/// How many payments one step asks about: bounds the load on a provider that is just recovering.
const STEP: i64 = 20;

/// More payments than this do not come to be disputed before somebody looks.
const DISPUTES: i64 = 100;

/// Asks the provider about payments that are due, as long as there are any.
#[derive(Clone)]
pub struct Reconciler {
    checkout: Checkout,
    circuit: Arc<Circuit>,
    pace: f64,
}

impl Reconciler {
    /// `pace` stretches the schedule by which an open payment is asked about.
    pub fn new(checkout: Checkout, circuit: Arc<Circuit>, pace: f64) -> Self {
        Self { checkout, circuit, pace }
    }

    /// Asks about payments and refunds that are due now, as many as the provider is well enough for. Returns how many
    /// that were.
    pub async fn step(&self) -> sqlx::Result<usize> {
        let room = self.circuit.room(STEP);
        if room == 0 {
            return Ok(0); // nobody is taken, so nobody's next turn moves away while the provider is down
        }
        let payments = payments::take_due(self.checkout.db(), room, self.pace).await?;
        let refunds = refunds::take_due(self.checkout.db(), room, self.pace).await?;
        let count = payments.len() + refunds.len();
        if count > 0 {
            crash::point!("rc.take.after_commit");
        }
        join_all(payments.into_iter().map(|open| self.look_into(open))).await;
        join_all(refunds.into_iter().map(|due| self.checkout.finish_refund(due))).await;
        Ok(count)
    }

    /// Asks again about settled payments that a person was called for: the provider may have been wrong, or may have been
    /// put right since. One after the other, and not all of very many.
    ///
    /// # Errors
    /// When the database did not answer.
    pub async fn look_at_disputes(&self) -> sqlx::Result<()> {
        for payment in payments::disputed(self.checkout.db(), DISPUTES).await? {
            self.checkout.learn(payment).await;
        }
        Ok(())
    }

    async fn look_into(&self, open: Known) {
        let id = open.attempt.order.id;
        let seen = match self.checkout.gateway().find(&open.attempt.payment).await {
            Ok(evidence) => evidence,
            Err(unanswered) => {
                let cause = &unanswered as &dyn std::error::Error;
                warn!(order.id = %id, checks = open.checks, cause, "The provider does not say what became of order {id}");
                return;
            }
        };
        let Applied::Learned(learned) = self.checkout.apply(&open, seen).await else { return };
        match (learned, &open.attempt.payment.state) {
            (Learned::Open, PaymentState::Confirming) if open.at - open.attempt.payment.asked_at < CONFIRM_WINDOW => {
                self.confirm_again(&open).await;
            }
            (Learned::NoNews, PaymentState::AwaitingDeposit(deposit)) if open.at - deposit.due_at > DEPOSIT_GRACE => {
                self.close_account(&open).await;
            }
            _ => {}
        }
    }

    async fn confirm_again(&self, open: &Known) {
        let id = open.attempt.order.id;
        // The request may never have left. The key is the same, so asking again cannot charge twice.
        match self.checkout.gateway().confirm(&open.attempt.payment).await {
            // Refused keys speak of this request only; the first one may have gone out under good ones.
            Ok(Evidence::Declined(decline)) if decline.kind == DeclineKind::Configuration => {
                error!(order.id = %id, code = decline.code, "The provider refuses our set-up while order {id} is open");
            }
            Ok(answer) => {
                self.checkout.apply(open, answer).await;
            }
            Err(unanswered) => {
                {
                    let cause = &unanswered as &dyn std::error::Error;
                    warn!(order.id = %id, cause, "Confirming order {id} again had no answer either");
                }
                let refused = unanswered.refusal();
                if refused.is_some()
                    && let Ok(found) = self.checkout.gateway().find(&open.attempt.payment).await
                {
                    self.checkout.apply(open, found.after(refused)).await;
                }
            }
        }
    }

    /// Nobody paid in time, and the provider says nothing of it by itself. Closing the account there first means that no
    /// deposit comes for goods that are given to others here; one that was quicker makes the provider refuse.
    async fn close_account(&self, open: &Known) {
        let (order, payment) = (open.attempt.order.id, &open.attempt.payment);
        let request = CancelRequest {
            key: payment.key.clone(),
            amount: payment.amount,
            refundable: payment.amount,
            reason: "입금 기한이 지났습니다.".to_owned(),
            account: None,
            // Each look has a key of its own: a refusal is replayed for two weeks, also when it is no longer true.
            idempotency_key: format!("close:{}:{}", payment.id, open.checks),
        };
        match self.checkout.gateway().cancel(&request).await {
            Ok(CancelAnswer::Canceled(seen)) => {
                self.checkout.apply(open, Evidence::Seen(seen)).await;
            }
            Ok(CancelAnswer::Refused(decline)) => {
                warn!(order.id = %order, code = decline.code, "The overdue deposit account of order {order} cannot be closed yet");
            }
            Err(unanswered) => {
                let cause = &unanswered as &dyn std::error::Error;
                warn!(order.id = %order, cause, "Closing the overdue deposit account of order {order} had no answer");
            }
        }
    }
}
