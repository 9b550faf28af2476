//! The audit: what must be true of the rows at every moment, what must be true once traffic has stopped, and the comparison
//! with the payment provider's book.
//!
//! All of history is read once a day; every minute, [`check_since`] reads what happened lately. See [`Scope`].

mod always;
mod drained;
mod money_back;
mod phones;
mod provider;
mod told;

use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

pub use phones::{PHONES, audit_phones};
pub use provider::{BOOK, BookEntry, Money, PROVIDER, ProviderAudit, audit_provider, unknown_money};

/// Outbox and inbox rows are evidence for at least this long: nothing younger may be pruned.
pub const EVIDENCE_KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// The most offenders that a violation names.
const EXAMPLES: usize = 20;

/// Something that must be true of the rows.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// Its name in reports.
    pub name: &'static str,
    /// What must be true, in one line.
    pub statement: &'static str,
    /// What it takes to know.
    pub scope: Scope,
    /// Selects the rows that break it, as `subject` and `detail`. May read `evidence (since)`, and
    /// `consumer (topic, name)`.
    sql: &'static str,
}

/// What it takes to know whether an invariant holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that ever happened.
    History,
    /// All that happened to the orders in question: enough to look at those that something happened to.
    Order,
    /// What is there now.
    Present,
}

/// An invariant that does not hold.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The invariant's name.
    pub name: &'static str,
    /// What should have been true.
    pub statement: &'static str,
    /// How many offenders there are.
    pub total: u64,
    /// The first of them.
    pub examples: Vec<Offender>,
}

/// Who breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Offender {
    /// An order, a payment, a product or an event.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Violation {
    fn of((name, statement): (&'static str, &'static str), mut offenders: Vec<Offender>) -> Option<Self> {
        let total = offenders.len() as u64;
        offenders.truncate(EXAMPLES);
        (total > 0).then_some(Self { name, statement, total, examples: offenders })
    }
}

/// What is true at every moment.
pub fn always() -> &'static [Invariant] {
    static ALWAYS: LazyLock<Vec<Invariant>> = LazyLock::new(|| {
        [always::INVARIANTS.as_slice(), money_back::INVARIANTS.as_slice(), told::INVARIANTS.as_slice()].concat()
    });
    &ALWAYS
}

/// What is true once traffic has stopped and every queue has drained.
pub fn drained() -> &'static [Invariant] {
    &drained::INVARIANTS
}

/// Checks invariants, all on the same snapshot of the database. `consumers` are pairs of topic and
/// subscription: who must have acted upon which events.
pub async fn check<'a>(
    db: &PgPool,
    invariants: impl IntoIterator<Item = &'a Invariant>,
    consumers: &[(&str, &str)],
) -> sqlx::Result<Vec<Violation>> {
    check_on_snapshot(db, invariants, consumers, None).await
}

/// The same, of orders that something has happened to since then. What takes all of history is not checked.
pub async fn check_since<'a>(
    db: &PgPool,
    invariants: impl IntoIterator<Item = &'a Invariant>,
    consumers: &[(&str, &str)],
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Violation>> {
    let invariants = invariants.into_iter().filter(|invariant| invariant.scope != Scope::History);
    check_on_snapshot(db, invariants, consumers, Some(since)).await
}

/// Puts the rows of those orders alone in the place of the tables: the invariants need not know. Columns by name: whoever
/// checks the books may not read all of them.
const OF_TOUCHED_ORDERS: &str = "
    touched AS MATERIALIZED (
        SELECT order_id FROM order_log WHERE at >= $3
        UNION SELECT id FROM orders WHERE id >= $4
        UNION SELECT order_id FROM outbox WHERE occurred_at >= $3
    ),
    orders AS (
        SELECT id, status, amount, attempts, payment_key, paid_at, refunded_amount, restocked_at FROM orders
        WHERE id IN (SELECT order_id FROM touched)),
    order_lines AS (SELECT * FROM order_lines WHERE order_id IN (SELECT order_id FROM touched)),
    order_log AS (SELECT * FROM order_log WHERE order_id IN (SELECT order_id FROM touched)),
    refunds AS (
        SELECT id, order_id, payment_id, amount, restock, status, settled_at FROM refunds
        WHERE order_id IN (SELECT order_id FROM touched)),
    payments AS (
        SELECT id, order_id, attempt, provider_order_id, payment_key, amount, status, asked_at, approved_at, decline_code, settled_at,
            refunded_amount, reversals FROM payments WHERE order_id IN (SELECT order_id FROM touched)),
    outbox AS (SELECT * FROM outbox WHERE order_id IN (SELECT order_id FROM touched)),
    stock_ledger AS NOT MATERIALIZED (SELECT * FROM stock_ledger WHERE order_id IN (SELECT order_id FROM touched)),
    inbox AS (SELECT * FROM inbox WHERE event_id IN (SELECT id FROM outbox UNION SELECT event_id FROM stock_ledger)),
    push_attempts AS (SELECT * FROM push_attempts WHERE order_id IN (SELECT order_id FROM touched)),";

async fn check_on_snapshot<'a>(
    db: &PgPool,
    invariants: impl IntoIterator<Item = &'a Invariant>,
    consumers: &[(&str, &str)],
    since: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<Violation>> {
    let (topics, names): (Vec<&str>, Vec<&str>) = consumers.iter().copied().unzip();
    let mut snapshot = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // A long history takes longer than a request may, and is read as a whole. Plans are made for the time in question.
    let settings = "SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on;
        SET LOCAL enable_bitmapscan = on; SET LOCAL work_mem = '64MB';
        SET LOCAL plan_cache_mode = force_custom_plan";
    sqlx::raw_sql(settings).execute(&mut *snapshot).await?;
    let mut violations = Vec::new();
    for invariant in invariants {
        let in_question = match (since, invariant.scope) {
            (Some(_), Scope::Order) => OF_TOUCHED_ORDERS,
            (None, _) | (_, Scope::History | Scope::Present) => "",
        };
        let sql = format!(
            "WITH evidence AS (SELECT now() - make_interval(secs => $1) AS since),
                consumer AS (SELECT topic, name FROM unnest($2::text[], $5::text[]) AS c (topic, name)),
                asked AS (SELECT $3::timestamptz, $4::uuid), {in_question}
                offender (subject, detail) AS ({})
            SELECT subject, detail, count(*) OVER () FROM offender ORDER BY subject, detail LIMIT {EXAMPLES}",
            invariant.sql
        );
        let rows: Vec<(String, String, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(EVIDENCE_KEPT_FOR.as_secs_f64())
            .bind(&topics)
            .bind(since)
            .bind(since.map(first_id))
            .bind(&names)
            .fetch_all(&mut *snapshot)
            .await?;
        let Some((_, _, total)) = rows.first() else { continue };
        violations.push(Violation {
            name: invariant.name,
            statement: invariant.statement,
            total: total.unsigned_abs(),
            examples: rows.into_iter().map(|(subject, detail, _)| Offender { subject, detail }).collect(),
        });
    }
    snapshot.rollback().await?;
    Ok(violations)
}

/// The smallest id that can have been made since then: ids begin with the time. By the clock of whoever made it, so a
/// few minutes earlier.
fn first_id(since: DateTime<Utc>) -> Uuid {
    let since = (since - TimeDelta::minutes(5)).timestamp_millis();
    Uuid::from_u128(u128::from(u64::try_from(since).unwrap_or_default()) << 80)
}

#[cfg(test)]
mod tests;
