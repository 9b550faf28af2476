//! The stock step of a purchase: what was reserved when the buyer paid is sold.

use domain::EventId;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::inbox::Outcome;

/// Sells what the paid orders of these events hold: `on_hand` and `reserved` fall together and the ledger says
/// why, all lines of an order or none, once per event. Answers in order. Safe to repeat.
///
/// # Errors
/// A violated constraint means that one of the orders asks for what is not there or was sold before; nothing of
/// the whole call has happened then. Called with that event alone, it says which.
pub async fn sell(db: impl PgExecutor<'_>, consumer: &str, events: &[EventId]) -> sqlx::Result<Vec<Outcome>> {
    let events: Vec<Uuid> = events.iter().map(|event| event.uuid()).collect();
    sqlx::query_scalar!(
        r#"
        WITH asked AS MATERIALIZED (
            -- An event may come twice in one batch; only the first of them can claim it.
            SELECT id, ix, row_number() OVER (PARTITION BY id ORDER BY ix) = 1 AS first
            FROM unnest($2::uuid[]) WITH ORDINALITY AS a (id, ix)
        ), sale AS MATERIALIZED (
            -- The message is only a hint: what counts is what we announced ourselves and how the order stands.
            -- Goods that came back need not be sold: whoever took them back has claimed the event.
            SELECT e.id AS event_id, o.id AS order_id, o.paid_at IS NOT NULL AS paid
            FROM asked a
            JOIN outbox e ON e.id = a.id AND e.type = 'checkout-success'
            JOIN orders o ON o.id = e.order_id
            WHERE a.first
        ), claimed AS (
            -- Waits for a twin that is under way elsewhere. In id order, so that two batches cannot wait for each other.
            INSERT INTO inbox (consumer, event_id)
            SELECT $1, event_id FROM sale WHERE paid ORDER BY event_id
            ON CONFLICT DO NOTHING
            RETURNING event_id
        ), line AS MATERIALIZED (
            SELECT s.event_id, s.order_id, l.product_id, l.quantity
            FROM claimed JOIN sale s USING (event_id) JOIN order_lines l ON l.order_id = s.order_id
        ), demand AS MATERIALIZED (
            SELECT product_id, sum(quantity)::int AS pieces FROM line GROUP BY product_id
        ), shelf AS MATERIALIZED (
            -- The weaker lock: it lets order lines that reference the product be written meanwhile.
            SELECT s.product_id, d.pieces FROM stock s JOIN demand d USING (product_id)
            ORDER BY s.product_id FOR NO KEY UPDATE OF s
        ), taken AS (
            UPDATE stock s SET on_hand = s.on_hand - shelf.pieces, reserved = s.reserved - shelf.pieces
            FROM shelf WHERE s.product_id = shelf.product_id
            RETURNING s.product_id
        ), noted AS (
            -- LEFT JOIN: a line of a product without a shelf must violate NOT NULL, not vanish.
            INSERT INTO stock_ledger (product_id, kind, quantity, order_id, event_id)
            SELECT t.product_id, 'sold', -l.quantity, l.order_id, l.event_id FROM line l LEFT JOIN taken t USING (product_id)
        )
        SELECT CASE
            WHEN a.first AND c.event_id IS NOT NULL THEN 'done'
            WHEN s.paid THEN 'duplicate'
            -- Sold, and since then taken back or forgotten by the outbox.
            WHEN EXISTS (SELECT FROM inbox i WHERE i.consumer = $1 AND i.event_id = a.id) THEN 'duplicate'
            WHEN s.event_id IS NULL THEN 'unknown'
            ELSE 'not_paid'
        END AS "outcome!: Outcome"
        FROM asked a
        LEFT JOIN sale s ON s.event_id = a.id
        LEFT JOIN claimed c ON c.event_id = a.id
        ORDER BY a.ix
        "#,
        consumer,
        &events
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests;
