//! Refunds: write down, ask the provider, settle. The reconciler finishes those whose caller is gone.

use database::record::{self, Asked};
use database::refunds::{self, Due, RefundDetails};
use domain::{
    CancelAnswer, Decline, DeclineKind, Evidence, OrderId, PaymentId, RefundAccount, RefundAsk, RefundError, RefundId,
    Settlement, Unanswered,
};
use tracing::{error, warn};

use crate::checkout::{Checkout, Written};
use crate::learn::Learned;

/// A person who wants money to go back.
#[derive(Debug, Clone)]
pub struct RefundRequest {
    /// Of which order.
    pub order: OrderId,
    /// Of which of its payments, counted from 1; `None` for the one that paid, else the latest whose money came for nothing.
    pub attempt: Option<i16>,
    /// What.
    pub ask: RefundAsk,
    /// Who.
    pub by: String,
    /// The same request again brings the same key, and gives nothing back again.
    pub key: String,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// Why nothing was given back.
#[derive(Debug, thiserror::Error)]
pub enum RefundProblem {
    /// No such order, or nobody tried to pay it.
    #[error("there is no order {0}, or nobody has tried to pay it")]
    NoOrder(OrderId),
    /// The order has no such payment.
    #[error("there is no order {0} with a payment {1}")]
    NoPayment(OrderId, i16),
    /// The payment or the request does not allow it.
    #[error(transparent)]
    Refused(#[from] RefundError),
    /// The key was used before for another refund of the order.
    #[error("this Idempotency-Key was used for another refund of the order")]
    KeyReused,
    /// The database failed before the provider was asked.
    #[error("the database did not answer")]
    Unavailable(#[from] sqlx::Error),
}

/// A refund that finds the record changed in its way comes again at once, this often.
const TRIES: usize = 5;

/// By this many checks the minutes of the schedule have passed. A person should know, and a refusal that says nothing,
/// which the provider repeats for as long as it remembers the key, is final.
const PATIENCE: i16 = 7;

/// Toss forgets an idempotency key after 15 days and would take the same request for a new one. By this many checks 10
/// of them have passed.
const LAST_ASK: i16 = 40;

/// What became of beginning a refund.
enum Begun {
    /// It is on record, and nobody has asked the provider.
    Now(PaymentId, RefundId),
    /// It was begun before, under the same key.
    Before(Box<RefundDetails>),
}

impl Checkout {
    /// Gives money back, once for each key. Answers with the refund as it stands after as long as a person waits; the
    /// work goes on when it takes longer, or when the caller goes away.
    ///
    /// # Errors
    /// See [`RefundProblem`]: the provider was not asked.
    pub async fn refund(&self, request: RefundRequest) -> Result<RefundDetails, RefundProblem> {
        let order = request.order;
        let (payment, refund) = match self.begin(&request).await? {
            Begun::Now(payment, refund) => {
                crash::point!("rf.claim.after_commit");
                (payment, refund)
            }
            Begun::Before(refund) => return Ok(*refund),
        };
        let checkout = self.clone();
        self.work(async move {
            checkout.carry_out(payment, refund).await;
        })
        .await;
        self.shown(order, refund).await?.ok_or(RefundProblem::NoOrder(order))
    }

    /// The payment that the money is taken from.
    async fn target(&self, RefundRequest { order, attempt, .. }: &RefundRequest) -> Result<PaymentId, RefundProblem> {
        let found = refunds::target(self.db(), *order, *attempt).await?;
        found.ok_or(attempt.map_or(RefundProblem::NoOrder(*order), |attempt| RefundProblem::NoPayment(*order, attempt)))
    }

    /// Writes a refund down. The provider has not been asked yet.
    async fn begin(&self, request: &RefundRequest) -> Result<Begun, RefundProblem> {
        let payment = self.target(request).await?;
        for _ in 0..TRIES {
            let known = record::find(self.db(), payment).await?.ok_or(RefundProblem::NoOrder(request.order))?;
            // After the payment was read: whoever began the same refund before that is seen.
            if let Some(refund) = refunds::asked_before(self.db(), request.order, &request.key).await? {
                let refund = self.shown(request.order, refund).await?.ok_or(RefundProblem::NoOrder(request.order))?;
                return if is_the_same(&refund, request) {
                    Ok(Begun::Before(Box::new(refund)))
                } else {
                    Err(RefundProblem::KeyReused)
                };
            }
            let before = known.attempt.clone();
            let decision = known.attempt.refund(request.ask.clone())?;
            let asked = Asked { by: Some(&request.by), key: Some(&request.key) };
            if record::write(self.db(), &before, &decision, asked, request.traceparent.as_deref()).await? {
                return Ok(Begun::Now(payment, request.ask.id));
            }
        }
        Err(RefundError::UnderWay.into())
    }

    /// What asking for a refund would do.
    ///
    /// # Errors
    /// As [`refund`](Self::refund).
    pub async fn preview_refund(&self, request: &RefundRequest) -> Result<Settlement, RefundProblem> {
        let payment = self.target(request).await?;
        let known = record::find(self.db(), payment).await?.ok_or(RefundProblem::NoOrder(request.order))?;
        Ok(known.attempt.refund(request.ask.clone())?)
    }

    async fn shown(&self, order: OrderId, id: RefundId) -> sqlx::Result<Option<RefundDetails>> {
        let refunds = refunds::of_order(self.db(), order).await?;
        Ok(refunds.into_iter().find(|refund| refund.id == id))
    }

    /// Finds out what became of a refund that is due, and asks for it if nothing did.
    pub(crate) async fn finish_refund(&self, due: Due) {
        // The balance first: whatever else is asked, a refund that was carried out is not asked for again.
        if self.learn(due.payment).await != Learned::Open {
            return;
        }
        let answer = if due.checks < LAST_ASK { self.carry_out(due.payment, due.refund).await } else { None };
        if due.checks < PATIENCE {
            return;
        }
        let id = due.refund;
        match (record::find(self.db(), due.payment).await, answer) {
            // Nothing went back, and the provider repeats a refusal that we do not understand.
            (Ok(Some(known)), Some(Unanswered::Inconclusive { status: 400 | 403 | 404, code })) => {
                self.apply(&known, Evidence::RefundRefused(id, Decline::by_provider(code, ""))).await;
            }
            (Ok(Some(known)), _) if known.attempt.refunds.iter().any(|refund| refund.id == id && refund.is_open()) => {
                let order = known.attempt.order.id;
                error!(order.id = %order, refund.id = %id, checks = due.checks, "Refund {id} of order {order} is still open");
                if let Err(error) =
                    refunds::call_for_attention(self.db(), id, "the provider does not carry it out").await
                {
                    error!(order.id = %order, %error, "Could not note that a refund of order {order} needs attention");
                }
            }
            (Ok(_), _) => {}
            (Err(error), _) => error!(refund.id = %id, %error, "Could not read refund {id}"),
        }
    }

    /// Asks the provider for a refund that is on record and open, and writes its answer down. Returns what it said if
    /// that left the refund open.
    async fn carry_out(&self, payment: PaymentId, id: RefundId) -> Option<Unanswered> {
        let known = match record::find(self.db(), payment).await {
            Ok(known) => known?,
            Err(error) => {
                error!(refund.id = %id, %error, "Could not read refund {id}");
                return None;
            }
        };
        let refund = known.attempt.refunds.iter().find(|refund| refund.id == id && refund.is_open())?;
        let order = refund.order;
        let request = refund.request(known.attempt.payment.key.clone());
        crash::point!("rf.psp.before_send");
        match self.gateway().cancel(&request).await {
            Ok(CancelAnswer::Canceled(seen)) => {
                crash::point!("rf.psp.after_accept");
                let (trace, at) = (known.traceparent, known.at);
                match self.settle(known.attempt, Evidence::Seen(seen), at, trace).await {
                    Ok(Written::Now(_) | Written::Not) => {}
                    Ok(Written::Overtaken) => drop(self.learn(payment).await),
                    Err(undecided) => {
                        warn!(order.id = %order, %undecided, "The cancel's answer does not settle refund {id} of order {order}");
                        self.learn(payment).await;
                    }
                }
                None
            }
            // Refused keys speak of this request only; an earlier one may have gone out under good ones.
            Ok(CancelAnswer::Refused(why)) if why.kind == DeclineKind::Configuration => {
                error!(order.id = %order, code = why.code, "The provider refuses our set-up while a refund of order {order} is open");
                None
            }
            Ok(CancelAnswer::Refused(why)) => {
                self.apply(&known, Evidence::RefundRefused(id, why)).await;
                None
            }
            Err(unanswered) => {
                unheard(order, id, &unanswered);
                (self.learn(payment).await == Learned::Open).then_some(unanswered)
            }
        }
    }
}

fn unheard(order: OrderId, id: RefundId, unanswered: &Unanswered) {
    let cause = unanswered as &dyn std::error::Error;
    warn!(order.id = %order, cause, "Refund {id} of order {order} has no answer; asking what became of it");
}

/// What the request does not say was decided when it was made first.
fn is_the_same(refund: &RefundDetails, RefundRequest { attempt, ask, .. }: &RefundRequest) -> bool {
    let to = |account: &RefundAccount| refund.account.as_ref().is_some_and(|ours| ours.is(account));
    attempt.is_none_or(|attempt| attempt == refund.attempt)
        && ask.amount.is_none_or(|amount| amount == refund.amount)
        && ask.reason.trim() == refund.reason
        && ask.restock == refund.restock
        && ask.account.as_ref().is_none_or(to)
}
