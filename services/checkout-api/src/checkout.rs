//! The purchase: claim, ask the provider, settle. Browser return, JSON confirm and reconciler all use it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::claim::{Claim, Claimed, claim};
use database::payments::{Verdict, settle};
use database::record::{self, Asked};
use database::{BatchError, Batcher};
use domain::{
    Attempt, CustomerId, Decline, DeclineKind, Evidence, OrderError, OrderId, PaymentGateway, PaymentId, PaymentKey,
    PaymentState, ProviderOrderId, Refund, RefundState, Settlement, Undecided, Won,
};
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

/// A buyer who came back from the payment window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Return {
    /// Who.
    pub customer: CustomerId,
    /// For which attempt of which order the window was opened.
    pub order: ProviderOrderId,
    /// The provider's key.
    pub key: PaymentKey,
    /// What the browser says it will cost. Only compared.
    pub amount: Won,
    /// The provider's `paymentType`.
    pub payment_type: String,
}

/// What the buyer is told.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The provider took the money.
    Paid,
    /// A virtual account waits for the buyer's transfer.
    AwaitingDeposit,
    /// Nobody knows yet; the reconciler will.
    Checking,
    /// Money that came after the order had ended. It goes back.
    GivenBack,
    /// Refused; nothing was charged, the order can be paid another way.
    Declined(Decline),
    /// Our own keys or contract are refused; nothing was charged.
    GatewayFailed,
    /// Not yours, or not there.
    NotFound,
    /// The order cannot take this payment; nothing was charged.
    Refused(OrderError),
    /// Somebody else was quicker; nothing was charged.
    SoldOut,
    /// The order's time to be paid is over; nothing was charged.
    Overdue,
    /// The database did not answer before the provider was asked; nothing was charged.
    Unavailable,
}

impl Outcome {
    fn of(payment: &PaymentState) -> Self {
        match payment {
            PaymentState::Done(_) => Self::Paid,
            PaymentState::AwaitingDeposit(_) => Self::AwaitingDeposit,
            PaymentState::Confirming => Self::Checking,
            PaymentState::Excess(_) => Self::GivenBack,
            PaymentState::Declined(decline) if decline.kind == DeclineKind::Configuration => Self::GatewayFailed,
            PaymentState::Declined(decline) => Self::Declined(decline.clone()),
            PaymentState::Canceled => Self::Declined(Decline::by_provider("CANCELED", "결제가 취소되었습니다.")),
        }
    }
}

/// What became of a decision.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is on record.
    Now(Outcome),
    /// Another path was quicker; its word counts.
    Overtaken,
    /// The database failed.
    Not,
}

/// The till: everything that moves an order's money.
#[derive(Clone)]
pub struct Checkout(Arc<Till>);

struct Till {
    db: PgPool,
    gateway: Arc<dyn PaymentGateway>,
    claims: Batcher<Claim, Claimed>,
    verdicts: Batcher<Verdict, bool>,
    /// Returns that are being worked on in this process. The same return again joins the first one.
    under_way: Mutex<HashMap<Return, watch::Receiver<Option<Outcome>>>>,
    tasks: TaskTracker,
    wait: Duration,
    /// Places for confirms whose buyers wait for the provider's answer.
    waiting: Semaphore,
    /// Wakes the relay: there is an event to publish.
    announced: Arc<Notify>,
}

/// A claim that finds another one in its way comes again at once, this often.
const CLAIM_TRIES: usize = 5;

impl Checkout {
    /// A till whose work is done on `tasks`, so that it survives the request that asked for it. Nobody waits for the
    /// provider longer than `wait`, and no more than `waiting` buyers at once: who waits takes a place among the requests
    /// in work, and others want to order meanwhile.
    pub fn new(
        db: PgPool,
        gateway: Arc<dyn PaymentGateway>,
        tasks: TaskTracker,
        wait: Duration,
        waiting: usize,
        announced: Arc<Notify>,
    ) -> Self {
        Self(Arc::new(Till {
            claims: Batcher::start(&tasks, &db, |db, claims| Box::pin(claim(db, claims))),
            verdicts: Batcher::start(&tasks, &db, |db, verdicts| Box::pin(settle(db, verdicts))),
            db,
            gateway,
            under_way: Mutex::default(),
            tasks,
            wait,
            waiting: Semaphore::new(waiting),
            announced,
        }))
    }

    /// Takes the buyer's money, once, however often and from wherever the same return arrives.
    ///
    /// The work goes on when the caller goes away, and when it takes longer than a buyer waits.
    pub async fn confirm(&self, request: Return, traceparent: Option<String>) -> Outcome {
        let mut outcome = self.join_or_start(request, traceparent);
        // Only the waiting is cut short here, never the work.
        match tokio::time::timeout(self.0.wait, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or(Outcome::Checking),
            Ok(Err(_)) | Err(_) => Outcome::Checking,
        }
    }

    fn join_or_start(&self, request: Return, traceparent: Option<String>) -> watch::Receiver<Option<Outcome>> {
        let mut under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = under_way.get(&request) {
            return outcome.clone();
        }
        let (tell, outcome) = watch::channel(None);
        under_way.insert(request.clone(), outcome.clone());
        drop(under_way);
        let done = UnderWay { till: Arc::clone(&self.0), request: request.clone() };
        let checkout = self.clone();
        self.0.tasks.spawn(async move {
            let result = checkout.confirm_once(request, traceparent, &tell).await;
            drop(done); // first, so that whoever comes after the answer asks the database
            tell.send_replace(Some(result));
        });
        outcome
    }

    async fn confirm_once(
        &self,
        request: Return,
        traceparent: Option<String>,
        tell: &watch::Sender<Option<Outcome>>,
    ) -> Outcome {
        let claim = Claim {
            customer: request.customer,
            order: request.order,
            key: request.key,
            amount: request.amount,
            payment_type: request.payment_type,
            payment: PaymentId::new(),
            traceparent: traceparent.clone(),
        };
        let id = claim.order.order;
        for _ in 0..CLAIM_TRIES {
            crash::point!("cf.claim.before_commit");
            let claimed = match self.0.claims.submit(claim.clone()).await {
                Ok(claimed) => claimed,
                Err(BatchError::Database(error)) if violates(&error, "payments_key") => {
                    warn!(order.id = %id, "Refused a payment key that belongs to another order, for order {id}");
                    return Outcome::NotFound;
                }
                Err(problem) => {
                    error!(order.id = %id, problem = &problem as &dyn std::error::Error, "Could not claim order {id}");
                    return Outcome::Unavailable;
                }
            };
            return match claimed {
                Claimed::Begun(attempt) => {
                    crash::point!("cf.claim.after_commit");
                    let place = self.0.waiting.try_acquire();
                    if place.is_err() {
                        tell.send_replace(Some(Outcome::Checking)); // and the work goes on
                    }
                    self.ask(*attempt, traceparent).await
                }
                Claimed::Known => self.on_record(id, &claim.key).await,
                Claimed::NotFound => Outcome::NotFound,
                Claimed::Refused(refusal @ OrderError::AmountMismatch { .. }) => {
                    warn!(order.id = %id, %refusal, "Refused a tampered amount for order {id}");
                    Outcome::Refused(refusal)
                }
                Claimed::Refused(refusal) => Outcome::Refused(refusal),
                Claimed::SoldOut => Outcome::SoldOut,
                Claimed::Overdue => Outcome::Overdue,
                Claimed::Busy => continue,
            };
        }
        Outcome::Unavailable
    }

    /// Asks the provider for the money; when that gives no answer to act upon, asks what became of it.
    async fn ask(&self, attempt: Attempt, traceparent: Option<String>) -> Outcome {
        let id = attempt.order.id;
        let at = attempt.payment.asked_at; // just now: nothing is given up for its age on this path
        let answer = self.0.gateway.confirm(&attempt.payment).await;
        crash::point!("cf.psp.after_reply");
        let refused = match answer {
            Ok(evidence) => match self.settle(attempt.clone(), evidence, at, traceparent.clone()).await {
                Ok(written) => return self.outcome(written, id, &attempt.payment.key).await,
                Err(undecided) => {
                    warn!(order.id = %id, %undecided, "The confirm's answer does not settle order {id}");
                    None
                }
            },
            Err(unanswered) => {
                let cause = &unanswered as &dyn std::error::Error;
                warn!(order.id = %id, cause, "The confirm of order {id} has no answer; asking what became of it");
                unanswered.refusal()
            }
        };
        let key = attempt.payment.key.clone();
        let found = match self.0.gateway.find(&attempt.payment).await {
            Ok(evidence) => self.settle(attempt, evidence.after(refused), at, traceparent).await,
            Err(_) => return Outcome::Checking, // the reconciler's turn
        };
        match found {
            Ok(written) => self.outcome(written, id, &key).await,
            Err(_) => Outcome::Checking,
        }
    }

    async fn outcome(&self, written: Written, id: OrderId, key: &PaymentKey) -> Outcome {
        match written {
            Written::Now(outcome) => outcome,
            Written::Overtaken => self.on_record(id, key).await,
            Written::Not => Outcome::Checking,
        }
    }

    /// Decides and writes the decision down.
    ///
    /// # Errors
    /// [`Undecided`] when the evidence changes nothing.
    pub(crate) async fn settle(
        &self,
        attempt: Attempt,
        evidence: Evidence,
        at: chrono::DateTime<chrono::Utc>,
        traceparent: Option<String>,
    ) -> Result<Written, Undecided> {
        let before = attempt.clone();
        let settlement = domain::settle(attempt, evidence, at)?;
        let (id, state) = (settlement.order.id, settlement.payment.state.name());
        let outcome = Outcome::of(&settlement.payment.state);
        crash::point!("cf.apply.before_commit");
        let written = self.write(&before, settlement, traceparent).await;
        crash::point!("cf.apply.after_commit");
        Ok(match written {
            Ok(true) => {
                info!(order.id = %id, payment.state = state, "Settled the payment of order {id}: {state}");
                Written::Now(outcome)
            }
            Ok(false) => Written::Overtaken,
            Err(problem) => {
                let problem = &problem as &dyn std::error::Error;
                error!(order.id = %id, problem, "Order {id} is {state} at the provider, but not on record yet");
                Written::Not
            }
        })
    }

    async fn write(
        &self,
        before: &Attempt,
        settlement: Settlement,
        traceparent: Option<String>,
    ) -> Result<bool, BatchError> {
        let announces = settlement.events().next().is_some();
        let written = if before.payment.state.is_open() && settlement.refunds.is_empty() {
            let (from, version) = (before.payment.state.name(), before.version);
            self.0.verdicts.submit(Verdict { from, version, settlement, traceparent }).await?
        } else {
            crash::point!("rf.apply.before_commit");
            let written =
                record::write(&self.0.db, before, &settlement, Asked::default(), traceparent.as_deref()).await;
            crash::point!("rf.apply.after_commit");
            let written = written.map_err(|error| BatchError::Database(Arc::new(error)))?;
            if written {
                report(before, &settlement);
            }
            written
        };
        if written && announces {
            self.announced();
        }
        Ok(written)
    }

    /// Does work that goes on when its caller goes away, and waits for it as long as a person waits.
    pub(crate) async fn work(&self, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.0.tasks.spawn(work);
        // Only the waiting is cut short here, never the work; if it panicked, the reconciler will see to it.
        drop(tokio::time::timeout(self.0.wait, work).await);
    }

    /// Wakes the relay.
    pub(crate) fn announced(&self) {
        self.0.announced.notify_one();
    }

    async fn on_record(&self, id: OrderId, key: &PaymentKey) -> Outcome {
        match record::find_by_key(&self.0.db, id, key).await {
            Ok(Some(known)) => Outcome::of(&known.attempt.payment.state),
            Ok(None) => Outcome::NotFound,
            Err(error) => {
                warn!(order.id = %id, %error, "Could not read back order {id}");
                Outcome::Checking
            }
        }
    }

    pub(crate) fn gateway(&self) -> &dyn PaymentGateway {
        self.0.gateway.as_ref()
    }

    pub(crate) fn db(&self) -> &PgPool {
        &self.0.db
    }
}

/// Takes a return off the list of those under way, also when its task panics.
struct UnderWay {
    till: Arc<Till>,
    request: Return,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.till.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.request);
    }
}

fn violates(error: &sqlx::Error, constraint: &str) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some(constraint)
}

/// What people of the shop should hear of.
fn report(before: &Attempt, settlement: &Settlement) {
    let id = before.order.id;
    match (&before.payment.state, &settlement.payment.state) {
        (PaymentState::Done(_), PaymentState::AwaitingDeposit(_)) => {
            error!(order.id = %id, "The bank took the deposit of order {id} back; hold its goods if they are not shipped");
        }
        (PaymentState::Declined(_) | PaymentState::Canceled, PaymentState::Excess(_)) => {
            warn!(order.id = %id, "Money came for order {id} when it had ended; it goes back");
        }
        _ => {}
    }
    for refund in &settlement.refunds {
        let (refund_id, state) = (refund.id, refund.state.name());
        match &refund.state {
            RefundState::Failed(why) if settlement.refunds.iter().any(Refund::is_open) => {
                warn!(order.id = %id, refund.id = %refund_id, code = why.code, "Refund {refund_id} of order {id} was refused; another one takes its place");
            }
            RefundState::Failed(why) => {
                error!(order.id = %id, refund.id = %refund_id, code = why.code, "Refund {refund_id} of order {id} was refused");
            }
            RefundState::Requested | RefundState::Done { .. } => {
                let origin = refund.origin.name();
                info!(order.id = %id, refund.id = %refund_id, origin, "Refund {refund_id} of order {id} is {state}");
            }
        }
    }
}
