//! Notifications to phones: one row per event and device, planned in the inbox's statement and sent outside any.

mod plan;

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{DeviceId, DeviceToken, EventId, EventType, OrderId, TokenKind, Won};
use serde::Deserialize;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::messaging_tokens::Locale;
use crate::{decode, decode_text, without_nul};

pub use plan::{Notice, Planned, plan};

/// One attempt, to be carried out by whoever leased it.
#[derive(Debug, Clone)]
pub struct Leased {
    /// Which attempt this is.
    pub lease: Lease,
    /// Which try of it, from 1.
    pub attempt: i32,
    /// The order it is about.
    pub order: OrderId,
    /// What happened to it.
    pub event_type: EventType,
    /// What the buyer knows the order by.
    pub order_name: String,
    /// What the order costs, or how much of it went back.
    pub amount: Won,
    /// Why the payment failed, in the provider's words.
    pub decline_message: Option<String>,
    /// Where the device is reached. It belonged to the buyer when the lease was made.
    pub token: DeviceToken,
    /// What it speaks.
    pub locale: Locale,
    /// How long ago it was planned.
    pub age: Duration,
}

/// The right to record the outcome of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// The event.
    pub event: EventId,
    /// The device.
    pub device: DeviceId,
    /// When it was made, by the database's clock.
    pub at: DateTime<Utc>,
    /// When it ends. Also tells it from every other lease of the attempt.
    pub until: DateTime<Utc>,
}

/// Takes up to `limit` attempts that are due, for no longer than `lease`. Attempts whose device is gone, or belongs
/// to another customer by now, end here; so do those whose news is no longer so.
pub async fn lease(db: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Leased>> {
    let rows = sqlx::query_as!(
        LeasedRow,
        r#"
        WITH due AS MATERIALIZED (
            SELECT event_id, device_id FROM push_attempts
            WHERE due_at <= now()
            ORDER BY due_at LIMIT $1
            FOR UPDATE SKIP LOCKED
        ), ready AS MATERIALIZED (
            SELECT d.event_id, d.device_id, e.type, e.data, o.name, o.amount, t.kind, t.token, t.locale, CASE
                    WHEN t.token IS NULL THEN 'the buyer no longer has this device'
                    -- On the phone the notices of an order replace each other: one that came late would be the last word.
                    WHEN e.type = 'checkout-failed' AND o.paid_at IS NOT NULL THEN 'the order is paid by now'
                    WHEN e.type = 'checkout-success' AND o.paid_at IS NULL THEN 'the order is no longer paid'
                END AS over
            FROM due d
            LEFT JOIN outbox e ON e.id = d.event_id
            LEFT JOIN orders o ON o.id = e.order_id
            -- Whose device it is counts now, not when the attempt was planned.
            LEFT JOIN messaging_tokens t ON t.id = d.device_id AND t.customer_id = o.customer_id
        ), leased AS (
            UPDATE push_attempts a SET
                attempts = a.attempts + (r.over IS NULL)::int,
                unknowns = a.unknowns + (r.over IS NULL)::int,
                status = CASE WHEN r.over IS NULL THEN 'pending' ELSE 'gone' END,
                due_at = CASE WHEN r.over IS NULL THEN now() + make_interval(secs => $2) END,
                last_error = coalesce(r.over, a.last_error)
            FROM ready r
            WHERE a.event_id = r.event_id AND a.device_id = r.device_id
            RETURNING a.event_id, a.device_id, a.order_id, a.attempts, a.due_at, extract(epoch FROM now() - a.at)::float8 AS age,
                r.type, r.data, r.name, r.amount, r.kind, r.token, r.locale, r.over
        )
        SELECT event_id, device_id, order_id, attempts, now() AS "leased_at!", due_at AS "until!", age AS "age!", type AS "event_type!",
            data AS "data!", name AS "name!", amount AS "amount!", kind AS "kind!", token AS "token!", locale AS "locale!: Locale"
        FROM leased WHERE over IS NULL
        "#,
        limit,
        lease.as_secs_f64()
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Leased::try_from).collect()
}

struct LeasedRow {
    event_id: Uuid,
    device_id: Uuid,
    order_id: Uuid,
    attempts: i32,
    leased_at: DateTime<Utc>,
    until: DateTime<Utc>,
    age: f64,
    event_type: String,
    data: String,
    name: String,
    amount: i64,
    kind: String,
    token: String,
    locale: Locale,
}

/// What an event says, as far as it is told to the buyer.
#[derive(Deserialize)]
struct Told {
    amount: Option<Won>,
    reason: Option<String>,
}

impl TryFrom<LeasedRow> for Leased {
    type Error = sqlx::Error;

    fn try_from(row: LeasedRow) -> sqlx::Result<Self> {
        let event_type = EventType::parse(&row.event_type).ok_or_else(|| decode_text(row.event_type))?;
        let told = || serde_json::from_str::<Told>(&row.data).map_err(|error| sqlx::Error::Decode(Box::new(error)));
        let (amount, decline_message) = match event_type {
            EventType::CheckoutSuccess => (decode(Won::new(row.amount))?, None),
            EventType::CheckoutFailed => {
                (decode(Won::new(row.amount))?, told()?.reason.filter(|reason| !reason.is_empty()))
            }
            EventType::CheckoutRefunded => {
                (told()?.amount.ok_or_else(|| decode_text("a refund without an amount".to_owned()))?, None)
            }
        };
        Ok(Self {
            lease: Lease {
                event: row.event_id.into(),
                device: row.device_id.into(),
                at: row.leased_at,
                until: row.until,
            },
            attempt: row.attempts,
            order: row.order_id.into(),
            event_type,
            order_name: row.name,
            amount,
            decline_message,
            token: DeviceToken {
                kind: TokenKind::parse(&row.kind).ok_or_else(|| decode_text(row.kind))?,
                token: row.token.into(),
            },
            locale: row.locale,
            age: Duration::from_secs_f64(row.age.max(0.0)),
        })
    }
}

/// What became of a leased attempt.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Which attempt.
    pub lease: Lease,
    /// What is next for it.
    pub next: Next,
    /// The notification is certainly on the phone or certainly not.
    pub certain: bool,
    /// What went wrong, for people who look at the table. Never the token.
    pub error: Option<String>,
}

/// What is next for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the provider took it.
    Sent,
    /// Nothing: there is no such device, and its token goes too unless it was registered again meanwhile.
    Gone,
    /// Nothing: trying again is useless, or too late.
    GaveUp,
    /// Another try.
    Retry {
        /// Not before this has passed.
        after: Duration,
    },
}

impl Next {
    const fn status(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Gone => "gone",
            Self::GaveUp => "gave_up",
            Self::Retry { .. } => "pending",
        }
    }

    const fn wait(self) -> Option<f64> {
        match self {
            Self::Retry { after } => Some(after.as_secs_f64()),
            Self::Sent | Self::Gone | Self::GaveUp => None,
        }
    }
}

/// Writes down what became of attempts. Answers in order whether the lease still counted. Safe to repeat.
pub async fn record(db: impl PgExecutor<'_>, results: &[Recorded]) -> sqlx::Result<Vec<bool>> {
    let events: Vec<Uuid> = results.iter().map(|result| result.lease.event.uuid()).collect();
    let devices: Vec<Uuid> = results.iter().map(|result| result.lease.device.uuid()).collect();
    let leased_at: Vec<DateTime<Utc>> = results.iter().map(|result| result.lease.at).collect();
    let until: Vec<DateTime<Utc>> = results.iter().map(|result| result.lease.until).collect();
    let statuses: Vec<String> = results.iter().map(|result| result.next.status().to_owned()).collect();
    let waits: Vec<Option<f64>> = results.iter().map(|result| result.next.wait()).collect();
    let certain: Vec<bool> = results.iter().map(|result| result.certain).collect();
    let errors: Vec<Option<String>> =
        results.iter().map(|result| Some(without_nul(result.error.as_deref()?).into_owned())).collect();
    sqlx::query_scalar!(
        r#"
        WITH result AS MATERIALIZED (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::float8[], $7::bool[], $8::text[])
                WITH ORDINALITY AS r (event_id, device_id, leased_at, until, status, wait, certain, error, ix)
        ), recorded AS (
            -- Only the newest lease may say how it ended, once: an older one may come back from the dead.
            UPDATE push_attempts a SET
                status = r.status,
                due_at = now() + make_interval(secs => r.wait),
                unknowns = a.unknowns - r.certain::int,
                last_error = r.error
            FROM result r
            -- Not `=`: that would invite a plan that reads everything that is pending.
            WHERE a.event_id = r.event_id AND a.device_id = r.device_id AND a.due_at IS NOT DISTINCT FROM r.until
            RETURNING r.ix, r.device_id, r.status, r.leased_at
        ), device AS MATERIALIZED (
            -- In id order, so that two batches cannot wait for each other.
            SELECT t.id, r.status
            FROM messaging_tokens t JOIN recorded r ON r.device_id = t.id
            WHERE CASE r.status
                -- A registration since then is news that the provider's answer did not know of.
                WHEN 'gone' THEN t.updated_at <= r.leased_at
                -- Read by nobody who needs it to the hour, and a write that most notifications are spared.
                WHEN 'sent' THEN t.last_success_at IS NULL OR t.last_success_at < now() - interval '1 day'
            END
            ORDER BY t.id FOR UPDATE OF t
        ), reached AS (
            UPDATE messaging_tokens SET last_success_at = now() WHERE id IN (SELECT id FROM device WHERE status = 'sent')
        ), forgotten AS (
            DELETE FROM messaging_tokens WHERE id IN (SELECT id FROM device WHERE status = 'gone')
        )
        SELECT recorded.ix IS NOT NULL AS "counted!" FROM result LEFT JOIN recorded USING (ix) ORDER BY result.ix
        "#,
        &events,
        &devices,
        &leased_at,
        &until,
        &statuses,
        &waits as &[Option<f64>],
        &certain,
        &errors as &[Option<String>]
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests;
