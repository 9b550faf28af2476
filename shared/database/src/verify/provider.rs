//! Our book against the payment provider's, payment by payment and in total.

use chrono::{DateTime, Utc};
use domain::{
    Approval, Currency, Decline, Deposit, Evidence, Payment, PaymentGateway, PaymentState, ProviderPayment,
    ProviderStatus, Unanswered, Won,
};
use futures_util::{StreamExt as _, stream};
use sqlx::PgPool;
use uuid::Uuid;

use super::{EVIDENCE_KEPT_FOR, Offender, Violation};
use crate::{decode, decode_text};

/// Questions asked at the same time.
const CONCURRENCY: usize = 8;

/// Payments read at the same time.
const PAGE: i64 = 500;

/// Name and statement of what [`audit_provider`] checks.
pub const PROVIDER: [(&str, &str); 3] = [ANSWERS, AGREES, TOTAL];

/// Name and statement of what [`unknown_money`] checks.
pub const BOOK: (&str, &str) = ("provider_book", "the provider took no money that is not on record");

const ANSWERS: (&str, &str) = ("provider_answers", "the provider answers for every payment");
const AGREES: (&str, &str) = ("provider_agrees", "every payment is the same at the provider as here");
const TOTAL: (&str, &str) = ("provider_total", "the provider keeps exactly the money that is on record");

/// What the comparison found.
#[derive(Debug, Clone)]
pub struct ProviderAudit {
    /// The sums.
    pub money: Money,
    /// What does not add up.
    pub violations: Vec<Violation>,
}

/// Sums of the payments that were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Money {
    /// How many payments were asked about.
    pub payments: u64,
    /// Won that we have on record as kept.
    pub ours: i64,
    /// Won that the provider says it keeps for the same payments.
    pub theirs: i64,
    /// Of these, won of payments whose outcome is not on record yet.
    pub in_flight: i64,
}

/// Asks the provider about every payment that took money or may have: done, open, and the recently ended.
///
/// No connection is held while the provider thinks; a payment that moved on meanwhile is asked about again.
/// `begun_since` leaves out payments that the provider cannot know: a sandbox's memory ends with its process.
pub async fn audit_provider(
    db: &PgPool,
    gateway: &dyn PaymentGateway,
    begun_since: Option<DateTime<Utc>>,
) -> sqlx::Result<ProviderAudit> {
    let mut audit = Audit::default();
    let mut after = begun_since.map_or(Uuid::nil(), super::first_id);
    loop {
        let ids = page(db, after, begun_since).await?;
        let Some(last) = ids.last() else { return Ok(audit.finish()) };
        after = *last;
        let payments = read(db, &ids).await?;
        let mut answers = stream::iter(payments).map(|known| compare(db, gateway, known)).buffer_unordered(CONCURRENCY);
        while let Some(compared) = answers.next().await {
            audit.add(compared?);
        }
    }
}

#[derive(Default)]
struct Audit {
    money: Money,
    unanswered: Vec<Offender>,
    disagreeing: Vec<Offender>,
}

/// One payment and what came of asking about it.
struct Compared {
    known: Known,
    answer: Result<Evidence, Unanswered>,
}

impl Audit {
    fn add(&mut self, Compared { known, answer }: Compared) {
        let subject = || known.payment.provider_order_id().to_string();
        self.money.payments += 1;
        let evidence = match answer {
            Ok(evidence) => evidence,
            Err(error) => {
                let detail = format!("{}: {error}", known.payment.state.name());
                return self.unanswered.push(Offender { subject: subject(), detail });
            }
        };
        let theirs = kept(&evidence);
        self.money.theirs += theirs;
        match known.keeps() {
            Some(ours) => self.money.ours += ours,
            None => self.money.in_flight += theirs,
        }
        if let Some(detail) = known.disagreement(&evidence) {
            self.disagreeing.push(Offender { subject: subject(), detail });
        }
    }

    fn finish(self) -> ProviderAudit {
        let Money { ours, theirs, in_flight, .. } = self.money;
        let total = (ours + in_flight != theirs).then(|| Offender {
            subject: "all payments".into(),
            detail: format!("{ours} won here, {theirs} won there, of which {in_flight} in flight"),
        });
        let violations = [
            Violation::of(ANSWERS, self.unanswered),
            Violation::of(AGREES, self.disagreeing),
            Violation::of(TOTAL, total.into_iter().collect()),
        ];
        ProviderAudit { money: self.money, violations: violations.into_iter().flatten().collect() }
    }
}

async fn compare(db: &PgPool, gateway: &dyn PaymentGateway, known: Known) -> sqlx::Result<Compared> {
    let answer = gateway.find(&known.payment).await;
    if !answer.as_ref().is_ok_and(|evidence| known.disagreement(evidence).is_some()) {
        return Ok(Compared { known, answer });
    }
    // It may have been settled between our look and the provider's.
    let now = read(db, &[known.payment.id.uuid()]).await?;
    let known = now.into_iter().next().unwrap_or(known);
    let answer = gateway.find(&known.payment).await;
    Ok(Compared { known, answer })
}

/// A payment as our book has it.
struct Known {
    payment: Payment,
    refunded: i64,
}

impl Known {
    /// What we have on record as kept; `None` while that is open.
    fn keeps(&self) -> Option<i64> {
        match self.payment.state {
            PaymentState::Done(_) | PaymentState::Excess(_) => Some(self.payment.amount.get() - self.refunded),
            PaymentState::Declined(_) | PaymentState::Canceled => Some(0),
            PaymentState::Confirming | PaymentState::AwaitingDeposit(_) => None,
        }
    }

    fn disagreement(&self, evidence: &Evidence) -> Option<String> {
        let Payment { amount, state, .. } = &self.payment;
        let theirs = match evidence {
            Evidence::Seen(seen) if !self.is_about_the_same(seen) => {
                return Some("the provider shows another order, key, amount or currency".into());
            }
            Evidence::Seen(seen) => seen.status.name(),
            Evidence::Declined(_) | Evidence::RefundRefused(..) | Evidence::Refused { .. } => "declined",
            Evidence::NotFound => "unknown",
        };
        let (ours, kept) = (self.keeps()?, kept(evidence));
        (ours != kept).then(|| format!("{}, {ours} of {amount} kept; there {theirs}, {kept} won", state.name()))
    }

    fn is_about_the_same(&self, seen: &ProviderPayment) -> bool {
        // A window for another order or another amount, brought to this one: nobody paid by it, here or there.
        let unpaid = matches!(seen.status, ProviderStatus::Open | ProviderStatus::Failed(_))
            && self.keeps().is_none_or(|kept| kept == 0);
        let purchase = seen.order_id == self.payment.provider_order_id().to_string()
            && seen.total == self.payment.amount
            && seen.currency == Some(Currency::Krw);
        seen.key == self.payment.key && (purchase || unpaid)
    }
}

/// Won that the provider took and has not given back.
fn kept(evidence: &Evidence) -> i64 {
    match evidence {
        Evidence::Seen(ProviderPayment { status, balance, .. }) => match status {
            ProviderStatus::Done(_) | ProviderStatus::Canceled { approved_at: Some(_) } => balance.get(),
            ProviderStatus::Canceled { approved_at: None }
            | ProviderStatus::Open
            | ProviderStatus::WaitingForDeposit(_)
            | ProviderStatus::Failed(_)
            | ProviderStatus::Other(_) => 0,
        },
        Evidence::Declined(_) | Evidence::RefundRefused(..) | Evidence::Refused { .. } | Evidence::NotFound => 0,
    }
}

async fn page(db: &PgPool, after: Uuid, begun_since: Option<DateTime<Utc>>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT id FROM payments
        WHERE id > $1 AND (status IN ('done', 'excess', 'confirming', 'awaiting_deposit') OR settled_at >= now() - make_interval(secs => $2))
            AND asked_at >= coalesce($3, asked_at)
        ORDER BY id LIMIT $4
        "#,
        after,
        EVIDENCE_KEPT_FOR.as_secs_f64(),
        begun_since,
        PAGE
    )
    .fetch_all(db)
    .await
}

async fn read(db: &PgPool, ids: &[Uuid]) -> sqlx::Result<Vec<Known>> {
    let rows = sqlx::query!(
        r#"
        SELECT p.id, p.order_id, p.attempt, p.payment_key, p.payment_type, p.amount, p.status, p.asked_at, p.approved_at,
            p.decline_code, p.deposit_due_at, p.refunded_amount
        FROM payments p
        WHERE p.id = ANY($1)
        "#,
        ids
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            // Only what a query needs: the provider is asked by key, and the answer judged by the money.
            let state = match (row.status.as_str(), row.approved_at, row.deposit_due_at) {
                ("confirming", ..) => PaymentState::Confirming,
                ("awaiting_deposit", _, Some(due_at)) => PaymentState::AwaitingDeposit(Deposit {
                    bank: String::new(),
                    account: String::new(),
                    due_at,
                    secret: None,
                    refund_account: None,
                }),
                ("done", Some(approved_at), _) => {
                    PaymentState::Done(Approval { approved_at, method: None, receipt_url: None })
                }
                ("excess", Some(approved_at), _) => {
                    PaymentState::Excess(Approval { approved_at, method: None, receipt_url: None })
                }
                ("declined", ..) => {
                    PaymentState::Declined(Decline::by_provider(row.decline_code.unwrap_or_default(), ""))
                }
                ("canceled", ..) => PaymentState::Canceled,
                (status, ..) => return Err(decode_text(format!("a {status} payment lacks a column of its state"))),
            };
            let payment = Payment {
                id: row.id.into(),
                order: row.order_id.into(),
                attempt: row.attempt,
                key: decode(row.payment_key.try_into())?,
                amount: decode(Won::new(row.amount))?,
                payment_type: row.payment_type,
                asked_at: row.asked_at,
                state,
            };
            Ok(Known { payment, refunded: row.refunded_amount })
        })
        .collect()
}

/// A payment in the provider's book.
#[derive(Debug, Clone)]
pub struct BookEntry {
    /// The order id it was opened for.
    pub order_id: String,
    /// Its key.
    pub payment_key: String,
    /// Won taken and not given back.
    pub kept: i64,
}

/// Looks for money in the provider's book that is not on record here. A payment is on record before the
/// provider is asked for money, so the book must have been read before this is called.
pub async fn unknown_money(db: &PgPool, book: &[BookEntry]) -> sqlx::Result<Option<Violation>> {
    let taken = || book.iter().filter(|entry| entry.kept != 0);
    let orders: Vec<&str> = taken().map(|entry| entry.order_id.as_str()).collect();
    let keys: Vec<&str> = taken().map(|entry| entry.payment_key.as_str()).collect();
    let kept: Vec<i64> = taken().map(|entry| entry.kept).collect();
    let offenders = sqlx::query_as!(
        Offender,
        r#"
        SELECT b.order_id AS "subject!",
            format('%s won kept by the provider, here %s', b.kept, coalesce(p.status || ' for ' || p.amount || ' won', 'unknown')) AS "detail!"
        FROM unnest($1::text[], $2::text[], $3::bigint[]) AS b (order_id, payment_key, kept)
        LEFT JOIN payments p ON p.provider = 'toss' AND p.payment_key = b.payment_key AND p.provider_order_id = b.order_id
        WHERE CASE
            WHEN p.status IN ('confirming', 'awaiting_deposit') THEN b.kept <> p.amount
            WHEN p.status IN ('done', 'excess') THEN b.kept <> p.amount - p.refunded_amount
            ELSE true
        END
        ORDER BY b.order_id
        "#,
        &orders as &[&str],
        &keys as &[&str],
        &kept
    )
    .fetch_all(db)
    .await?;
    Ok(Violation::of(BOOK, offenders))
}
