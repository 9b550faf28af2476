//! Finds out what became of payments whose outcome nobody waited for, or nobody survived to write down.

use std::sync::Arc;

use chrono::TimeDelta;
use database::payments;
use database::record::Known;
use domain::{DeclineKind, Evidence, PaymentState};
use futures_util::future::join_all;
use tracing::{error, warn};

use crate::checkout::Checkout;
use crate::circuit::Circuit;
use crate::learn::{Applied, Learned};

/// Toss takes a confirm until 10 minutes after the buyer authenticated; later only a query makes sense.
const CONFIRM_WINDOW: TimeDelta = TimeDelta::minutes(10);

/// How many payments one step asks about: bounds the load on a provider that is just recovering.
const STEP: i64 = 20;

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

    /// Asks about payments that are due now, as many as the provider is well enough for. Returns how many that were.
    pub async fn step(&self) -> sqlx::Result<usize> {
        let room = self.circuit.room(STEP);
        if room == 0 {
            return Ok(0); // nobody is taken, so nobody's next turn moves away while the provider is down
        }
        let due = payments::take_due(self.checkout.db(), room, self.pace).await?;
        let count = due.len();
        if count > 0 {
            crash::point!("rc.take.after_commit");
        }
        join_all(due.into_iter().map(|open| self.look_into(open))).await;
        Ok(count)
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
        if self.checkout.apply(&open, seen).await != Applied::Learned(Learned::Open) || !may_still_confirm(&open) {
            return;
        }
        // The request may never have left. The key is the same, so asking again cannot charge twice.
        match self.checkout.gateway().confirm(&open.attempt.payment).await {
            // Refused keys speak of this request only; the first one may have gone out under good ones.
            Ok(Evidence::Declined(decline)) if decline.kind == DeclineKind::Configuration => {
                error!(order.id = %id, code = decline.code, "The provider refuses our set-up while order {id} is open");
            }
            Ok(answer) => {
                self.checkout.apply(&open, answer).await;
            }
            Err(unanswered) => {
                let cause = &unanswered as &dyn std::error::Error;
                warn!(order.id = %id, cause, "Confirming order {id} again had no answer either");
            }
        }
    }
}

fn may_still_confirm(open: &Known) -> bool {
    let payment = &open.attempt.payment;
    matches!(payment.state, PaymentState::Confirming) && open.at - payment.asked_at < CONFIRM_WINDOW
}
