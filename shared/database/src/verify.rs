//! The books, audited: what must be true of the rows at every moment, once traffic has stopped, and
//! compared with the payment provider's own book.

mod always;
mod drained;
mod money_back;
mod provider;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};

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
    /// Selects the rows that break it, as `subject` and `detail`. May read `evidence (since)`, and
    /// `consumer (topic, name)`.
    sql: &'static str,
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
    static ALWAYS: LazyLock<Vec<Invariant>> =
        LazyLock::new(|| [always::INVARIANTS.as_slice(), money_back::INVARIANTS.as_slice()].concat());
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
    let (topics, names): (Vec<&str>, Vec<&str>) = consumers.iter().copied().unzip();
    let mut snapshot = db.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // A long history takes longer than a request may, and is read as a whole.
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on; SET LOCAL work_mem = '64MB'")
        .execute(&mut *snapshot)
        .await?;
    let mut violations = Vec::new();
    for invariant in invariants {
        let rows: Vec<(String, String, i64)> = sqlx::query_as(AssertSqlSafe(format!(
            "WITH evidence AS (SELECT now() - make_interval(secs => $1) AS since),
                consumer AS (SELECT topic, name FROM unnest($2::text[], $3::text[]) AS c (topic, name)),
                offender (subject, detail) AS ({})
            SELECT subject, detail, count(*) OVER () FROM offender ORDER BY subject, detail LIMIT {EXAMPLES}",
            invariant.sql
        )))
        .bind(EVIDENCE_KEPT_FOR.as_secs_f64())
        .bind(&topics)
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

#[cfg(test)]
mod tests;
