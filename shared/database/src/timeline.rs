//! What happened to one order, from every table that knows something of it.

use chrono::{DateTime, Utc};
use domain::{OrderId, PaymentKey};
use sqlx::PgPool;

/// An order and its history.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The order's state now.
    pub status: String,
    /// What the payment window showed.
    pub name: String,
    /// What it costs, in won.
    pub amount: i64,
    /// Won given back.
    pub refunded: i64,
    /// What happened, oldest first; what has a cause follows it, whatever the provider's clock says.
    pub entries: Vec<Entry>,
}

/// Something that happened, or that is still to come.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, by the database's clock; what has an answer of the provider's in it, by the provider's.
    pub at: DateTime<Utc>,
    /// Who or what: `order`, `payment`, `refund`, `state`, `event`, `delivery`, `effect`, `stock`, `push`, `dead letter`.
    pub what: String,
    /// What happened.
    pub text: String,
    /// The trace it belongs to.
    pub trace: Option<String>,
}

/// The order that a payment of that key was for.
pub async fn find_by_key(db: &PgPool, key: &PaymentKey) -> sqlx::Result<Option<OrderId>> {
    let found =
        sqlx::query_scalar!("SELECT order_id FROM payments WHERE provider = 'toss' AND payment_key = $1", key.as_str());
    Ok(found.fetch_optional(db).await?.map(OrderId::from))
}

/// Reads an order's history. `consumers` are the subscriptions whose effects are looked for.
pub async fn read(db: &PgPool, order: OrderId, consumers: &[&str]) -> sqlx::Result<Option<Timeline>> {
    let Some(head) =
        sqlx::query!("SELECT status, name, amount, refunded_amount FROM orders WHERE id = $1", order.uuid())
            .fetch_optional(db)
            .await?
    else {
        return Ok(None);
    };
    let entries = entries(db, order, consumers).await?;
    Ok(Some(Timeline {
        status: head.status,
        name: head.name,
        amount: head.amount,
        refunded: head.refunded_amount,
        entries,
    }))
}

async fn entries(db: &PgPool, order: OrderId, consumers: &[&str]) -> sqlx::Result<Vec<Entry>> {
    sqlx::query_as!(
        Entry,
        r#"
        WITH attempt AS (
            -- The second field of a W3C trace context is the trace's id.
            SELECT id, attempt, amount, payment_type, provider_order_id, asked_at, approved_at, method, settled_at, status, decline_code,
                decline_message, checks, next_check_at, deposit_due_at, attention, split_part(traceparent, '-', 2) AS trace
            FROM payments WHERE order_id = $1
        ), event AS (
            SELECT *, split_part(traceparent, '-', 2) AS trace FROM outbox WHERE order_id = $1
        ), entry (at, after, rank, what, text, trace) AS (
            -- The provider's clock knows whole seconds only: `after` is what it cannot have been before.
            SELECT created_at, NULL::timestamptz, 0, 'order', format('placed: %s, %s won, payable until %s', name, amount, to_char(expires_at, 'HH24:MI:SS "UTC"')), NULL
            FROM orders WHERE id = $1
            UNION ALL
            SELECT asked_at, NULL, 2, 'payment', format('attempt %s: the provider is asked for %s won (%s, as %s)', attempt, amount, payment_type, provider_order_id), trace
            FROM attempt
            UNION ALL
            SELECT approved_at, asked_at, 3, 'payment', format('attempt %s: approved by the provider, %s', attempt, coalesce(method, 'by an unknown method')), trace
            FROM attempt WHERE approved_at IS NOT NULL
            UNION ALL
            SELECT settled_at, NULL, 4, 'payment', format('attempt %s: %s on record%s', attempt, status, CASE status
                WHEN 'declined' THEN format(' (%s: %s)', decline_code, decline_message) ELSE '' END), trace
            FROM attempt WHERE settled_at IS NOT NULL
            UNION ALL
            SELECT now(), NULL, 9, 'payment', format('attempt %s: %s, asked about %s times, next %s%s', attempt, status, checks,
                to_char(next_check_at, 'YYYY-MM-DD HH24:MI:SS "UTC"'), CASE status
                WHEN 'awaiting_deposit' THEN to_char(deposit_due_at, '", deposit due "YYYY-MM-DD HH24:MI:SS" UTC"') ELSE '' END), trace
            FROM attempt WHERE next_check_at IS NOT NULL
            UNION ALL
            SELECT now(), NULL, 9, 'payment', format('attempt %s: needs a person: %s', attempt, attention), trace
            FROM attempt WHERE attention IS NOT NULL
            UNION ALL
            SELECT r.created_at, NULL, 2, 'refund', format('%s won asked for by %s%s: %s', r.amount, coalesce(r.requested_by, r.origin),
                CASE WHEN r.restock THEN ', goods back on the shelf' ELSE '' END, r.reason), split_part(r.traceparent, '-', 2)
            FROM refunds r WHERE r.order_id = $1
            UNION ALL
            SELECT r.done_at, r.created_at, 3, 'refund', format('%s won given back by the provider', r.amount), split_part(r.traceparent, '-', 2)
            FROM refunds r WHERE r.order_id = $1 AND r.done_at IS NOT NULL
            UNION ALL
            SELECT r.settled_at, NULL, 4, 'refund', format('%s won: %s on record%s', r.amount, r.status, CASE r.status
                WHEN 'failed' THEN format(' (%s: %s)', r.failure_code, r.failure_message) ELSE '' END), split_part(r.traceparent, '-', 2)
            FROM refunds r WHERE r.order_id = $1 AND r.settled_at IS NOT NULL
            UNION ALL
            SELECT now(), NULL, 9, 'refund', format('%s won: %s', r.amount, coalesce('needs a person: ' || r.attention, format('asked about %s times, next %s',
                r.checks, to_char(r.next_check_at, 'YYYY-MM-DD HH24:MI:SS "UTC"')))), split_part(r.traceparent, '-', 2)
            FROM refunds r WHERE r.order_id = $1 AND (r.attention IS NOT NULL OR r.next_check_at IS NOT NULL)
            UNION ALL
            SELECT l.at, NULL, 5, 'state', format('%s to %s: %s', coalesce(l.from_status, '?'), l.to_status, l.cause), a.trace
            FROM order_log l LEFT JOIN attempt a ON a.id = l.payment_id
            WHERE l.order_id = $1
            UNION ALL
            SELECT occurred_at, NULL, 6, 'event', format('%s written down as %s', type, id), trace FROM event
            UNION ALL
            SELECT published_at, NULL, 7, 'event', format('%s %s', type, CASE republished WHEN 0 THEN 'published'
                ELSE format('published again, %s times so far', republished) END), trace
            FROM event WHERE published_at IS NOT NULL
            UNION ALL
            SELECT now(), NULL, 9, 'event', format('%s waits to be published', type), trace FROM event WHERE published_at IS NULL
            UNION ALL
            SELECT now(), NULL, 9, 'delivery', format('%s to %s: %s attempts, next %s', e.type, d.subscription, d.attempts,
                to_char(d.due_at, 'YYYY-MM-DD HH24:MI:SS "UTC"')), e.trace
            FROM event e JOIN deliveries d ON d.subscription = ANY($2) AND d.dedup_key = e.id::text
            UNION ALL
            SELECT i.at, NULL, 8, 'effect', format('%s taken by %s', e.type, i.consumer), e.trace
            FROM event e JOIN inbox i ON i.consumer = ANY($2) AND i.event_id = e.id
            UNION ALL
            SELECT g.at, NULL, 8, 'stock', format('%s %s of %s', g.kind, abs(g.quantity), coalesce(l.name, g.product_id::text)), NULL
            FROM stock_ledger g LEFT JOIN order_lines l USING (order_id, product_id)
            WHERE g.order_id = $1 AND g.kind IN ('sold', 'returned')
            UNION ALL
            SELECT a.at, NULL, 8, 'push', format('%s to device %s: %s after %s attempts%s%s', coalesce(e.type, 'an event'), a.device_id, a.status, a.attempts,
                CASE a.unknowns WHEN 0 THEN '' ELSE format(', %s without a clear answer', a.unknowns) END,
                CASE WHEN a.status <> 'sent' AND a.last_error IS NOT NULL THEN format(' (%s)', a.last_error) ELSE '' END), e.trace
            FROM push_attempts a LEFT JOIN event e ON e.id = a.event_id
            WHERE a.order_id = $1
            UNION ALL
            SELECT d.received_at, NULL, 8, 'dead letter', format('%s: %s, %s (%s)', d.source, d.reason, d.status, d.id), e.trace
            FROM event e JOIN dead_letters d ON d.event_id = e.id
            UNION ALL
            SELECT t.at, NULL, 8, 'dead letter', format('%s by %s%s (%s)', t.action, t.actor, coalesce(': ' || t.reason, ''), t.letter_id), e.trace
            FROM event e JOIN dead_letters d ON d.event_id = e.id JOIN dead_letter_actions t ON t.letter_id = d.id
        )
        SELECT at AS "at!", what AS "what!", text AS "text!", nullif(trace, '') AS trace FROM entry ORDER BY greatest(at, after), rank, text
        "#,
        order.uuid(),
        consumers as &[&str]
    )
    .fetch_all(db)
    .await
}
