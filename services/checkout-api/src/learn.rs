//! Hearing of a payment: the provider is asked, and what it says is applied. Webhooks, reconciler and people pass here.

use database::payments::{self, OpenPayment};
use domain::{Evidence, PaymentId, Undecided};
use tracing::{error, info, warn};

use crate::checkout::Checkout;

/// What asking the provider about a payment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It was news, and is on record now.
    News,
    /// The record agrees with the provider.
    NoNews,
    /// The provider has not decided either.
    Open,
    /// Record and provider contradict each other; a person has been called.
    Disputed,
    /// There is no such payment on record.
    Unknown,
    /// The provider or the database did not answer: ask again later.
    Unanswered,
}

impl Checkout {
    /// Asks the provider about a payment and applies what it says, in whatever state the payment is. Safe to repeat,
    /// and at the same time as anything else. Not to be dropped half-way: call it from a tracked task.
    pub async fn learn(&self, id: PaymentId) -> Learned {
        let known = match payments::find_open(self.db(), id).await {
            Ok(Some(known)) => known,
            Ok(None) => return Learned::Unknown,
            Err(error) => {
                error!(payment.id = %id, %error, "Could not read payment {id}");
                return Learned::Unanswered;
            }
        };
        match self.gateway().find(&known.attempt.payment).await {
            Ok(evidence) => self.apply(&known, evidence).await,
            Err(unanswered) => {
                let (order, cause) = (known.attempt.order.id, &unanswered as &dyn std::error::Error);
                warn!(order.id = %order, checks = known.checks, cause, "The provider does not say what became of order {order}");
                Learned::Unanswered
            }
        }
    }

    /// Applies evidence about a payment that was read from the database.
    pub(crate) async fn apply(&self, known: &OpenPayment, evidence: Evidence) -> Learned {
        let (order, payment) = (known.attempt.order.id, known.attempt.payment.id);
        match self.settle(known.attempt.clone(), evidence, known.at, known.traceparent.clone()).await {
            Ok(outcome) => {
                info!(order.id = %order, ?outcome, checks = known.checks, "Found out what became of order {order}");
                Learned::News
            }
            Err(Undecided::Open) => Learned::Open,
            Err(Undecided::Settled(_)) => Learned::NoNews,
            Err(problem @ (Undecided::Mismatch { .. } | Undecided::Contradiction { .. })) => {
                error!(order.id = %order, %problem, "Order {order} needs a person to look at it");
                if let Err(error) = payments::call_for_attention(self.db(), payment, &problem.to_string()).await {
                    error!(order.id = %order, %error, "Could not note that order {order} needs attention");
                }
                Learned::Disputed
            }
        }
    }
}
