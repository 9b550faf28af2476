//! Processes stored webhooks. A webhook is only a reason to ask Toss about a payment: anybody can send one, and they come
//! twice, late and in any order. What is written down is Toss's answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use database::webhook_inbox::{self, Finding, Name, Named, Next, Waiting};
use domain::PaymentId;
use futures_util::future::join_all;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use toss::webhook::{Webhook, is_signed};
use tracing::{error, warn};

use crate::checkout::Checkout;
use crate::learn::Learned;

/// Webhooks that one step looks into.
const STEP: i64 = 100;

/// Longer than the provider takes to answer.
const LEASE: Duration = Duration::from_mins(1);

/// What other processes stored is found this soon.
const POLL: Duration = Duration::from_millis(500);

/// How far apart rounds begin at least: nobody waits for a webhook, and a few large batches cost the database less.
const PACE: Duration = Duration::from_millis(100);

/// A webhook about a payment whose confirm is under way is usually about that confirm, and its answer is already on its way here.
const SETTLES_BY_ITSELF: TimeDelta = TimeDelta::seconds(2);

/// However many webhooks name a payment, the provider is asked about it at most this often.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(5);

/// However many payments they name, the provider is asked this often a second at most, by this process.
const ASKED_PER_SECOND: u32 = 20;

/// After this many questions without an answer, half a day's, somebody should know.
const PATIENCE: i32 = 20;

/// Looks into the webhooks that were stored.
#[derive(Clone)]
pub struct Webhooks {
    checkout: Checkout,
    security_key: Option<SecretString>,
    budget: Arc<Mutex<Budget>>,
}

/// A webhook that names a payment.
struct Hint {
    waiting: Waiting,
    name: Name,
    status: Option<String>,
    secret: Option<SecretString>,
}

/// What a hint calls for.
enum Call {
    Nothing(Next),
    Ask(Named),
}

impl Webhooks {
    /// `security_key` is what Toss signs the few events with that it signs.
    pub fn new(checkout: Checkout, security_key: Option<SecretString>) -> Self {
        Self { checkout, security_key, budget: Arc::default() }
    }

    /// Looks into webhooks that are due. Returns how many that were.
    ///
    /// # Errors
    /// When the database did not answer. What was not recorded is looked into again.
    pub async fn step(&self) -> sqlx::Result<usize> {
        let db = self.checkout.db();
        let waiting = webhook_inbox::take(db, STEP, LEASE).await?;
        let count = waiting.len();
        if count == 0 {
            return Ok(0);
        }
        let (mut hints, mut findings) = (Vec::new(), Vec::new());
        for waiting in waiting {
            match self.read(waiting) {
                Ok(hint) => hints.push(hint),
                Err(finding) => findings.push(finding),
            }
        }
        let wanted: Vec<_> = hints.iter().map(|it| it.name.clone()).collect();
        let known = webhook_inbox::find(db, &wanted).await?;

        let mut questions: HashMap<PaymentId, (Named, Vec<Waiting>)> = HashMap::new();
        for (hint, named) in hints.into_iter().zip(known) {
            let payment = named.as_ref().map(|it| it.payment);
            match judge(&hint, named) {
                Call::Ask(named) => {
                    let (_, asking) = questions.entry(named.payment).or_insert_with(|| (named, Vec::new()));
                    asking.push(hint.waiting);
                }
                Call::Nothing(next) => findings.push(finding(&hint.waiting, payment, next)),
            }
        }
        let asked = join_all(questions.into_values().map(|(named, asking)| self.ask(named, asking))).await;
        findings.extend(asked.into_iter().flatten());
        crash::point!("wh.apply.before_commit");
        webhook_inbox::record(db, &findings).await?;
        Ok(count)
    }

    /// What the webhook names, or why it names nothing.
    fn read(&self, waiting: Waiting) -> Result<Hint, Finding> {
        let ignored = |why| Err(finding(&waiting, None, Next::Ignored(why)));
        let Some(body) = waiting.body.as_deref() else { return ignored("larger than any webhook") };
        match Webhook::parse(body) {
            Webhook::Payment { key, order_id, status, secret } => {
                let by_key = key.map(|key| key.parse().ok().map(Name::Key));
                let by_order = || order_id.and_then(|id| id.parse().ok()).map(Name::Order);
                // A key of no payment of ours may come with the order id of one: that is another payment's news.
                match by_key.unwrap_or_else(by_order) {
                    Some(name) => Ok(Hint { waiting, name, status, secret }),
                    None => ignored("names no payment of ours"),
                }
            }
            Webhook::Signed => Err(finding(&waiting, None, self.check_signature(&waiting, body))),
            Webhook::Other => ignored("not about a payment"),
            Webhook::Unreadable => ignored("no webhook that we know"),
        }
    }

    /// Nothing follows from these events yet, but who keeps them should know whether they are Toss's.
    fn check_signature(&self, waiting: &Waiting, body: &[u8]) -> Next {
        let Some(key) = &self.security_key else { return Next::Ignored("not about a payment") };
        let (time, signature) = (waiting.transmission_time.as_deref(), waiting.signature.as_deref());
        if is_signed(key, body, time.unwrap_or_default(), signature.unwrap_or_default()) {
            return Next::Done("signed by Toss");
        }
        warn!("A webhook that Toss would have signed is not signed by Toss");
        Next::Ignored("not signed by Toss")
    }

    /// Asks once, for all that gave reason to.
    async fn ask(&self, named: Named, asking: Vec<Waiting>) -> Vec<Finding> {
        let (payment, order) = (named.payment, named.order);
        let (asked_at, next) = if self.budget().allows(Instant::now()) {
            match self.checkout.learn(payment).await {
                Learned::Unanswered => {
                    let attempts = asking.iter().map(|it| it.attempts).max().unwrap_or_default();
                    if attempts >= PATIENCE {
                        error!(order.id = %order, attempts, "A webhook about order {order} has waited half a day for an answer");
                    }
                    (None, Next::Unanswered(after(attempts), "the provider did not answer"))
                }
                Learned::News | Learned::NoNews | Learned::Open | Learned::Disputed | Learned::Unknown => {
                    (Some(named.at), Next::Done("asked"))
                }
            }
        } else {
            (None, Next::Later(Duration::from_secs(1), "too many at once"))
        };
        asking.iter().map(|it| Finding { asked_at, ..finding(it, Some(payment), next) }).collect()
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whenever something is stored, until `shutdown`. Whoever stores in this process wakes it by `arrived`.
    pub async fn run(self, shutdown: CancellationToken, arrived: Arc<Notify>) {
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            match self.step().await {
                Ok(count) if i64::try_from(count) == Ok(STEP) => continue,
                Ok(_) => {}
                Err(error) => error!(%error, "The webhook loop failed and will run again"),
            }
            let rest = tokio::time::sleep_until(begun + PACE);
            if shutdown.run_until_cancelled(rest).await.is_none() {
                break;
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = arrived.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}

fn finding(waiting: &Waiting, payment: Option<PaymentId>, next: Next) -> Finding {
    Finding { lease: waiting.lease, payment, asked_at: None, next }
}

fn judge(hint: &Hint, named: Option<Named>) -> Call {
    let Some(named) = named else { return Call::Nothing(Next::Ignored("names no payment of ours")) };
    if let (Some(said), Some(known)) = (&hint.secret, &named.deposit_secret)
        && !bool::from(said.expose_secret().as_bytes().ct_eq(known.expose_secret().as_bytes()))
    {
        warn!(order.id = %named.order, "A forged deposit was announced for order {}", named.order);
        return Call::Nothing(Next::Ignored("not the secret of this deposit"));
    }
    // A deposit comes and goes: what agrees with the record may overtake an answer that somebody is about to write down.
    if !named.by_transfer && hint.status.as_deref().is_some_and(|status| is_on_record(&named.status, status)) {
        return Call::Nothing(Next::Done("on record already"));
    }
    let confirmed = named.at - named.confirmed_at;
    if named.status == "confirming" && confirmed < SETTLES_BY_ITSELF {
        return later(SETTLES_BY_ITSELF - confirmed, "its confirm is under way");
    }
    match named.asked_at {
        Some(asked) if asked >= hint.waiting.received_at => Call::Nothing(Next::Done("asked since")),
        Some(asked) if named.at - asked < ASK_AGAIN => later(ASK_AGAIN - (named.at - asked), "asked just now"),
        _ => Call::Ask(named),
    }
}

/// What says no more than we know is no reason to ask. A cancel may be one of several, so it always is.
fn is_on_record(ours: &str, theirs: &str) -> bool {
    matches!((ours, theirs), ("done", "DONE") | ("declined" | "canceled", "ABORTED" | "EXPIRED"))
}

fn later(rest: TimeDelta, why: &'static str) -> Call {
    Call::Nothing(Next::Later(rest.to_std().unwrap_or_default(), why))
}

/// How long to leave a provider alone that did not answer: 5 s, doubling to an hour.
fn after(attempts: i32) -> Duration {
    let doubled = Duration::from_secs(5).saturating_mul(1 << attempts.clamp(0, 10));
    doubled.min(Duration::from_hours(1))
}

/// How often the provider may be asked.
#[derive(Debug, Default)]
struct Budget {
    since: Option<Instant>,
    asked: u32,
}

impl Budget {
    fn allows(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now - since >= Duration::from_secs(1)) {
            *self = Self { since: Some(now), asked: 0 };
        }
        self.asked += 1;
        self.asked <= ASKED_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_new_is_no_reason_to_ask() {
        for (ours, theirs) in [("done", "DONE"), ("declined", "EXPIRED"), ("canceled", "ABORTED")] {
            assert!(is_on_record(ours, theirs), "{ours} {theirs}");
        }
        for (ours, theirs) in [
            ("confirming", "DONE"),
            ("awaiting_deposit", "DONE"),
            ("done", "WAITING_FOR_DEPOSIT"),
            ("done", "CANCELED"),
            ("done", "PARTIAL_CANCELED"),
            ("declined", "DONE"),
            ("canceled", "DONE"),
            ("done", "NEW_STATUS"),
        ] {
            assert!(!is_on_record(ours, theirs), "{ours} {theirs}");
        }
    }

    #[test]
    fn a_second_has_only_so_many_questions() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let allowed = |budget: &mut Budget, at| (0..1_000).filter(|_| budget.allows(at)).count();
        assert_eq!(allowed(&mut budget, now), 20);
        assert_eq!(allowed(&mut budget, now + Duration::from_millis(999)), 0);
        assert_eq!(allowed(&mut budget, now + Duration::from_secs(1)), 20);
    }

    #[test]
    fn a_silent_provider_is_asked_ever_less_often() {
        assert_eq!(after(0), Duration::from_secs(5));
        assert_eq!(after(3), Duration::from_secs(40));
        assert_eq!(after(PATIENCE), Duration::from_hours(1));
    }
}
