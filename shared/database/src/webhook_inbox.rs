//! Webhooks: stored before they are answered, processed afterwards, pruned.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{OrderId, PaymentId, PaymentKey, ProviderOrderId};
use secrecy::SecretString;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::without_nul;

/// A webhook to be kept.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// `tosspayments-webhook-transmission-id`
    pub transmission_id: Option<String>,
    /// `tosspayments-webhook-transmission-time`
    pub transmission_time: Option<String>,
    /// `tosspayments-webhook-signature`
    pub signature: Option<String>,
    /// Who brought it, if that is known.
    pub source: Option<IpAddr>,
}

/// Keeps webhooks. One that says the same as another one, byte for byte, is that one again: it waits to be looked into
/// once more. Safe to repeat.
pub async fn store(db: impl PgExecutor<'_>, webhooks: &[Webhook]) -> sqlx::Result<Vec<()>> {
    let text = |of: fn(&Webhook) -> &Option<String>| -> Vec<Option<String>> {
        webhooks.iter().map(|it| of(it).as_deref().map(|text| without_nul(text).into_owned())).collect()
    };
    let bodies: Vec<&[u8]> = webhooks.iter().map(|it| it.body.as_slice()).collect();
    let sources: Vec<Option<String>> = webhooks.iter().map(|it| it.source.map(|ip| ip.to_string())).collect();
    sqlx::query!(
        "
        INSERT INTO webhook_inbox (id, body, transmission_id, transmission_time, signature, source)
        SELECT DISTINCT ON (sha256(body)) gen_random_uuid(), body, transmission_id, transmission_time, signature, source::inet
        FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[])
            AS w (body, transmission_id, transmission_time, signature, source)
        ORDER BY sha256(body) -- two stores of the same webhooks wait for each other in the same order
        ON CONFLICT (provider, body_hash) DO UPDATE
        SET receipts = webhook_inbox.receipts + 1, received_at = now(), status = 'pending', reason = NULL, attempts = 0,
            -- Another end than that of the lease of whoever is looking into it now: what it found out may be older than this.
            due_at = now(),
            transmission_id = excluded.transmission_id, transmission_time = excluded.transmission_time,
            signature = excluded.signature, source = excluded.source
        ",
        &bodies as &[&[u8]],
        &text(|it| &it.transmission_id) as &[Option<String>],
        &text(|it| &it.transmission_time) as &[Option<String>],
        &text(|it| &it.signature) as &[Option<String>],
        &sources as &[Option<String>]
    )
    .execute(db)
    .await?;
    Ok(vec![(); webhooks.len()])
}

/// No webhook that a provider sends is larger, and the API takes none. What was larger before it had that limit is not read.
const READABLE: i32 = 64 * 1024;

/// A webhook to be looked into.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// The right to say what became of it.
    pub lease: Lease,
    /// When it came, last.
    pub received_at: DateTime<Utc>,
    /// `None`: larger than any webhook is.
    pub body: Option<Vec<u8>>,
    /// What the signature was made at.
    pub transmission_time: Option<String>,
    /// The provider's signature, on the few events that have one.
    pub signature: Option<String>,
    /// How often the provider was asked because of it and did not answer.
    pub attempts: i32,
}

/// The right to say what became of a webhook.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    id: Uuid,
    /// When it ends. Also tells it from every other lease of the webhook, and from a new receipt.
    until: DateTime<Utc>,
}

/// Takes up to `limit` webhooks that are due, for no longer than `lease`. Two workers get different ones.
pub async fn take(db: &PgPool, limit: i64, lease: Duration) -> sqlx::Result<Vec<Waiting>> {
    let rows = sqlx::query!(
        r#"
        WITH due AS MATERIALIZED (
            SELECT id FROM webhook_inbox WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE webhook_inbox w SET due_at = now() + make_interval(secs => $2)
        FROM due WHERE w.id = due.id
        RETURNING w.id, w.due_at AS "until!", w.received_at, CASE WHEN octet_length(w.body) <= $3 THEN w.body END AS body,
            w.transmission_time, w.signature, w.attempts
        "#,
        limit,
        lease.as_secs_f64(),
        READABLE
    )
    .fetch_all(db)
    .await?;
    let waiting = rows.into_iter().map(|row| Waiting {
        lease: Lease { id: row.id, until: row.until },
        received_at: row.received_at,
        body: row.body,
        transmission_time: row.transmission_time,
        signature: row.signature,
        attempts: row.attempts,
    });
    Ok(waiting.collect())
}

/// How a webhook names a payment.
#[derive(Debug, Clone)]
pub enum Name {
    /// By the provider's key.
    Key(PaymentKey),
    /// By the order id that it was opened for.
    Order(ProviderOrderId),
}

/// A payment that a webhook names, as it is on record.
#[derive(Debug, Clone)]
pub struct Named {
    /// The payment.
    pub payment: PaymentId,
    /// Its order.
    pub order: OrderId,
    /// Its status.
    pub status: String,
    /// Whether it is paid by a transfer, which the bank may take back.
    pub by_transfer: bool,
    /// What a deposit webhook must repeat, once that is known.
    pub deposit_secret: Option<SecretString>,
    /// When its confirm was sent.
    pub confirmed_at: DateTime<Utc>,
    /// When the provider was last asked about it because of a webhook.
    pub asked_at: Option<DateTime<Utc>>,
    /// The database's time when this was read.
    pub at: DateTime<Utc>,
}

/// Looks up what webhooks name, each on its own.
pub async fn find(db: &PgPool, names: &[Name]) -> sqlx::Result<Vec<Option<Named>>> {
    let (mut keys, mut orders, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
    for name in names {
        let (key, order) = match name {
            Name::Key(key) => (Some(key.as_str().to_owned()), None),
            Name::Order(order) => (None, Some(order)),
        };
        keys.push(key);
        orders.push(order.map(|it| it.order.uuid()));
        attempts.push(order.map(|it| it.attempt));
    }
    let rows = sqlx::query!(
        r#"
        SELECT p.id AS "id?", p.order_id AS "order_id?", p.status AS "status?", p.deposit_due_at IS NOT NULL AS "by_transfer!", p.deposit_secret, p.asked_at AS "confirmed_at?",
            (SELECT max(w.asked_at) FROM webhook_inbox w WHERE w.payment_id = p.id) AS asked_at, now() AS "at!"
        FROM unnest($1::text[], $2::uuid[], $3::smallint[]) WITH ORDINALITY AS n (key, order_id, attempt, ix)
        LEFT JOIN LATERAL (
            SELECT * FROM payments WHERE id = coalesce(
                (SELECT k.id FROM payments k WHERE k.provider = 'toss' AND k.payment_key = n.key),
                (SELECT k.id FROM payments k WHERE k.order_id = n.order_id AND k.attempt = n.attempt))
            OFFSET 0 -- by id, one by one, not by reading all payments
        ) p ON true
        ORDER BY n.ix
        "#,
        &keys as &[Option<String>],
        &orders as &[Option<Uuid>],
        &attempts as &[Option<i16>]
    )
    .fetch_all(db)
    .await?;
    let found = rows.into_iter().map(|row| {
        Some(Named {
            payment: row.id?.into(),
            order: row.order_id?.into(),
            status: row.status?,
            by_transfer: row.by_transfer,
            deposit_secret: row.deposit_secret.map(SecretString::from),
            confirmed_at: row.confirmed_at?,
            asked_at: row.asked_at,
            at: row.at,
        })
    });
    Ok(found.collect())
}

/// What became of a webhook.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which one.
    pub lease: Lease,
    /// The payment that it led to.
    pub payment: Option<PaymentId>,
    /// When the provider was asked because of it.
    pub asked_at: Option<DateTime<Utc>>,
    /// What is next for it.
    pub next: Next,
}

/// What is next for a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: what it hinted at is on record, or the provider says otherwise.
    Done(&'static str),
    /// Nothing: it leads nowhere, for this reason.
    Ignored(&'static str),
    /// Once more, after a while: nobody was asked yet.
    Later(Duration, &'static str),
    /// Once more, after a while: the provider was asked and did not answer.
    Unanswered(Duration, &'static str),
}

/// Writes down what became of webhooks. One that came again meanwhile is left to be looked into again.
pub async fn record(db: &PgPool, findings: &[Finding]) -> sqlx::Result<()> {
    let (ids, leases): (Vec<_>, Vec<_>) = findings.iter().map(|it| (it.lease.id, it.lease.until)).unzip();
    let payments: Vec<_> = findings.iter().map(|it| it.payment.map(PaymentId::uuid)).collect();
    let asked: Vec<_> = findings.iter().map(|it| it.asked_at).collect();
    let silences: Vec<_> = findings.iter().map(|it| i32::from(matches!(it.next, Next::Unanswered(..)))).collect();
    let (mut statuses, mut reasons, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    for finding in findings {
        let (status, reason, delay) = match finding.next {
            Next::Done(reason) => ("done", reason, None),
            Next::Ignored(reason) => ("ignored", reason, None),
            Next::Later(delay, reason) | Next::Unanswered(delay, reason) => {
                ("pending", reason, Some(delay.as_secs_f64()))
            }
        };
        statuses.push(status.to_owned());
        reasons.push(reason.to_owned());
        delays.push(delay);
    }
    sqlx::query!(
        "
        UPDATE webhook_inbox w
        SET status = f.status, reason = f.reason, payment_id = coalesce(f.payment_id, w.payment_id),
            asked_at = coalesce(f.asked_at, w.asked_at), due_at = now() + make_interval(secs => f.delay),
            attempts = w.attempts + f.silences
        FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::timestamptz[], $5::text[], $6::text[], $7::float8[], $8::int[])
            AS f (id, lease, payment_id, asked_at, status, reason, delay, silences)
        -- Not `=`: that would invite a plan that reads everything that is pending.
        WHERE w.id = f.id AND w.due_at IS NOT DISTINCT FROM f.lease
        ",
        &ids,
        &leases,
        &payments as &[Option<Uuid>],
        &asked as &[Option<DateTime<Utc>>],
        &statuses,
        &reasons,
        &delays as &[Option<f64>],
        &silences
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets webhooks that were looked into and came longer ago than any is sent again. Returns how many; call again
/// while it is `limit`.
pub async fn prune(db: &PgPool, older_than: Duration, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "
        DELETE FROM webhook_inbox WHERE id IN (
            SELECT id FROM webhook_inbox
            WHERE received_at < now() - make_interval(secs => $1) AND status <> 'pending'
            ORDER BY received_at LIMIT $2)
        ",
        older_than.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

#[cfg(test)]
mod tests;
