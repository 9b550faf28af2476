//! Asks the provider about a payment and applies the answer. Webhooks, reconciler and people all use it.

use database::payments;
use database::record::{self, Known};
use domain::{Evidence, PaymentId, Undecided};
use tracing::{error, info, warn};

use crate::checkout::{Checkout, Written};

/// What asking the provider about a payment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// It was news, and is on record now.
    News,
    /// The record agrees with the provider.
    NoNews,
    /// The provider has not done yet what it was asked for, or never heard of it.
    Open,
    /// Record and provider contradict each other; a person has been called.
    Disputed,
    /// There is no such payment on record.
    Unknown,
    /// The provider or the database did not answer, or others kept changing the record: ask again later.
    Unanswered,
}

/// How often the provider is asked when the record changes meanwhile: its answer may be older than the record then.
const TRIES: usize = 3;

impl Checkout {
    /// Asks the provider about a payment and applies what it says, in whatever state the payment is. Safe to repeat,
    /// and at the same time as anything else. Not to be dropped half-way: call it from a tracked task.
    pub async fn learn(&self, id: PaymentId) -> Learned {
        for _ in 0..TRIES {
            let known = match record::ask(self.db(), id).await {
                Ok(Some(known)) => known,
                Ok(None) => return Learned::Unknown,
                Err(error) => {
                    error!(payment.id = %id, %error, "Could not read payment {id}");
                    return Learned::Unanswered;
                }
            };
            let order = known.attempt.order.id;
            match self.gateway().find(&known.attempt.payment).await {
                Ok(evidence) => match self.apply(&known, evidence).await {
                    Applied::Learned(learned) => return learned,
                    Applied::Overtaken => {}
                },
                Err(unanswered) => {
                    let cause = &unanswered as &dyn std::error::Error;
                    warn!(order.id = %order, checks = known.checks, cause, "The provider does not say what became of order {order}");
                    return Learned::Unanswered;
                }
            }
        }
        Learned::Unanswered
    }

    /// Applies evidence about a payment that was read from the database before the provider was asked.
    pub(crate) async fn apply(&self, known: &Known, evidence: Evidence) -> Applied {
        let (order, payment) = (known.attempt.order.id, known.attempt.payment.id);
        Applied::Learned(
            match self.settle(known.attempt.clone(), evidence, known.at, known.traceparent.clone()).await {
                Ok(Written::Now(outcome)) => {
                    info!(order.id = %order, ?outcome, checks = known.checks, "Found out what became of order {order}");
                    Learned::News
                }
                Ok(Written::Overtaken) => return Applied::Overtaken,
                Ok(Written::Not) => Learned::Unanswered,
                Err(Undecided::Open) => Learned::Open,
                Err(Undecided::Settled(_)) => {
                    if let Err(error) = payments::dismiss_attention(self.db(), payment).await {
                        warn!(order.id = %order, %error, "Could not note that order {order} needs no attention any more");
                    }
                    Learned::NoNews
                }
                Err(problem @ (Undecided::Mismatch { .. } | Undecided::Contradiction { .. })) => {
                    error!(order.id = %order, %problem, "Order {order} needs a person to look at it");
                    if let Err(error) = payments::call_for_attention(self.db(), payment, &problem.to_string()).await {
                        error!(order.id = %order, %error, "Could not note that order {order} needs attention");
                    }
                    Learned::Disputed
                }
            },
        )
    }
}

/// What became of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It was judged.
    Learned(Learned),
    /// The record has changed since it was read: the evidence may be older than it.
    Overtaken,
}
