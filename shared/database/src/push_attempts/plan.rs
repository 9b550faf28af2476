//! Notices become attempts: in the inbox's statement, so that each event is planned once.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{EventId, EventType};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Leased, LeasedRow};
use crate::inbox::Outcome;
use crate::messaging_tokens::Locale;

/// An event that a consumer is to tell the buyer about.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Who claims it.
    pub consumer: &'static str,
    /// The event.
    pub event: EventId,
    /// What it must have announced.
    pub event_type: EventType,
}

/// What came of [`plan`].
#[derive(Debug)]
pub struct Planned {
    /// What was done about each notice, in order.
    pub outcomes: Vec<Outcome>,
    /// The attempts that were born leased.
    pub leased: Vec<Leased>,
}

struct Row {
    ix: i64,
    outcome: Outcome,
    event_id: Option<Uuid>,
    device_id: Option<Uuid>,
    order_id: Option<Uuid>,
    leased_at: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    event_type: Option<String>,
    data: Option<String>,
    name: Option<String>,
    amount: Option<i64>,
    kind: Option<String>,
    token: Option<String>,
    locale: Option<Locale>,
}

impl Row {
    /// The attempt that was born leased, if the row has one.
    fn leased(self) -> Option<LeasedRow> {
        Some(LeasedRow {
            event_id: self.event_id?,
            device_id: self.device_id?,
            order_id: self.order_id?,
            attempts: 1,
            leased_at: self.leased_at,
            until: self.until?,
            age: 0.0,
            event_type: self.event_type?,
            data: self.data?,
            name: self.name?,
            amount: self.amount?,
            kind: self.kind?,
            token: self.token?,
            locale: self.locale?,
        })
    }
}

/// Plans one attempt per device of the buyer, once per notice. Safe to repeat.
///
/// As many attempts as there is `room` for are born leased, for no longer than `lease`: whoever is about to send them need
/// not look for them. The others are due at once, and those whose news is no longer so end when they are looked for.
pub async fn plan(db: impl PgExecutor<'_>, notices: &[Notice], room: usize, lease: Duration) -> sqlx::Result<Planned> {
    let consumers: Vec<String> = notices.iter().map(|notice| notice.consumer.to_owned()).collect();
    let events: Vec<Uuid> = notices.iter().map(|notice| notice.event.uuid()).collect();
    let types: Vec<String> = notices.iter().map(|notice| notice.event_type.name().to_owned()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        WITH asked AS MATERIALIZED (
            -- An event may come twice in one batch; only the first of them can claim it.
            SELECT consumer, id, type, ix, row_number() OVER (PARTITION BY consumer, id ORDER BY ix) = 1 AS first
            FROM unnest($1::text[], $2::uuid[], $3::text[]) WITH ORDINALITY AS a (consumer, id, type, ix)
        ), news AS MATERIALIZED (
            -- The message is only a hint: what counts is what we announced ourselves. Money that came and has gone
            -- back since did come.
            SELECT a.consumer, e.id AS event_id, e.type, e.data, o.id AS order_id, o.customer_id, o.name, o.amount,
                e.type <> 'checkout-success' OR o.paid_at IS NOT NULL AS earned,
                e.type = 'checkout-failed' AND o.paid_at IS NOT NULL AS outdated
            FROM asked a
            JOIN outbox e ON e.id = a.id AND e.type = a.type
            JOIN orders o ON o.id = e.order_id
            WHERE a.first
        ), claimed AS (
            -- Waits for a twin that is under way elsewhere. In order, so that two batches cannot wait for each other.
            INSERT INTO inbox (consumer, event_id)
            SELECT consumer, event_id FROM news WHERE earned ORDER BY consumer, event_id
            ON CONFLICT DO NOTHING
            RETURNING consumer, event_id
        ), device AS MATERIALIZED (
            SELECT n.event_id, n.order_id, t.id, t.kind, t.token, t.locale, (row_number() OVER () <= $4 AND NOT n.outdated)::int AS leased
            FROM claimed JOIN news n USING (consumer, event_id) JOIN messaging_tokens t ON t.customer_id = n.customer_id
        ), planned AS (
            INSERT INTO push_attempts (event_id, device_id, order_id, attempts, unknowns, due_at)
            SELECT event_id, id, order_id, leased, leased, now() + leased * make_interval(secs => $5) FROM device
            ON CONFLICT DO NOTHING
            RETURNING event_id, device_id, due_at, attempts = 1 AS leased
        ), ready AS (
            SELECT p.event_id, p.device_id, p.due_at, d.kind, d.token, d.locale
            FROM planned p JOIN device d ON d.event_id = p.event_id AND d.id = p.device_id
            WHERE p.leased
        )
        SELECT a.ix AS "ix!", CASE
                WHEN a.first AND c.event_id IS NOT NULL THEN 'done'
                WHEN n.earned THEN 'duplicate'
                WHEN EXISTS (SELECT FROM inbox i WHERE i.consumer = a.consumer AND i.event_id = a.id) THEN 'duplicate'
                WHEN n.event_id IS NULL THEN 'unknown'
                ELSE 'not_paid'
            END AS "outcome!: Outcome",
            r.event_id AS "event_id?", r.device_id AS "device_id?", n.order_id AS "order_id?", now() AS "leased_at!", r.due_at AS "until?",
            n.type AS "event_type?", n.data AS "data?", n.name AS "name?", n.amount AS "amount?",
            r.kind AS "kind?", r.token AS "token?", r.locale AS "locale?: Locale"
        FROM asked a
        LEFT JOIN news n ON n.consumer = a.consumer AND n.event_id = a.id
        LEFT JOIN claimed c ON c.consumer = a.consumer AND c.event_id = a.id
        LEFT JOIN ready r ON a.first AND r.event_id = c.event_id
        ORDER BY a.ix
        "#,
        &consumers,
        &events,
        &types,
        i64::try_from(room).unwrap_or(i64::MAX),
        lease.as_secs_f64()
    )
    .fetch_all(db)
    .await?;
    let mut planned = Planned { outcomes: Vec::with_capacity(notices.len()), leased: Vec::new() };
    let mut last = 0; // ordinality begins at 1
    for row in rows {
        if row.ix > last {
            last = row.ix;
            planned.outcomes.push(row.outcome); // a notice with several devices has as many rows
        }
        if let Some(leased) = row.leased() {
            planned.leased.push(leased.try_into()?);
        }
    }
    Ok(planned)
}
