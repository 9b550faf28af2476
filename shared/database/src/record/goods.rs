//! Goods that come back. The inbox decides whether they were already sold: the first to claim the event of the sale, stock
//! worker or refund, decides, and the other one sees that it was claimed.

use domain::{Attempt, OrderId, PaymentState, RefundState, Settlement};
use sqlx::PgConnection;

/// What a decision does to the goods of an order that was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goods {
    /// Nothing.
    Stay,
    /// The deposit is awaited again: they are not sold any more, and stay reserved.
    Reserved,
    /// They are refunded, and for sale again.
    Returned,
}

impl Goods {
    pub(super) fn moved_by(before: &Attempt, decision: &Settlement) -> Self {
        let back =
            decision.refunds.iter().any(|refund| refund.restock && matches!(refund.state, RefundState::Done { .. }));
        match (&before.payment.state, &decision.payment.state) {
            (PaymentState::Done(_), PaymentState::AwaitingDeposit(_)) => Self::Reserved,
            _ if back && decision.order.state.name() == "refunded" => Self::Returned,
            _ => Self::Stay,
        }
    }
}

/// Keeps the stock worker from selling what it has not sold, and locks the shelf.
pub(super) async fn hold(connection: &mut PgConnection, goods: Goods, order: OrderId) -> sqlx::Result<()> {
    if goods == Goods::Stay {
        return Ok(());
    }
    // First of all locks, as in the worker's own statement; waits for a sale that is under way. The buyer need not
    // be told either of a payment that is none any more.
    sqlx::query!(
        "
        INSERT INTO inbox (consumer, event_id)
        SELECT c.name, e.id
        FROM outbox e CROSS JOIN unnest(CASE WHEN $2 THEN ARRAY['checkout-stock', 'checkout-push'] ELSE ARRAY['checkout-stock'] END) AS c (name)
        WHERE e.order_id = $1 AND e.type = 'checkout-success'
        ORDER BY c.name, e.id
        ON CONFLICT DO NOTHING
        ",
        order.uuid(),
        goods == Goods::Reserved
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "
        SELECT FROM stock WHERE product_id IN (SELECT product_id FROM order_lines WHERE order_id = $1)
        ORDER BY product_id FOR NO KEY UPDATE
        ",
        order.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts back what was sold, and ends the reservation if the goods are for sale again.
pub(super) async fn hand_back(connection: &mut PgConnection, goods: Goods, order: OrderId) -> sqlx::Result<()> {
    if goods == Goods::Stay {
        return Ok(());
    }
    sqlx::query!(
        "
        WITH sold AS MATERIALIZED (
            SELECT g.product_id, g.event_id, -g.quantity AS quantity FROM stock_ledger g
            WHERE g.order_id = $1 AND g.kind = 'sold' AND NOT EXISTS (
                SELECT FROM stock_ledger b WHERE b.order_id = g.order_id AND b.product_id = g.product_id
                    AND b.event_id = g.event_id AND b.kind = 'returned')
        ), noted AS (
            INSERT INTO stock_ledger (product_id, kind, quantity, order_id, event_id)
            SELECT product_id, 'returned', quantity, $1, event_id FROM sold
        )
        UPDATE stock s
        SET on_hand = s.on_hand + coalesce(g.quantity, 0),
            reserved = s.reserved + CASE WHEN $2 THEN coalesce(g.quantity, 0) ELSE coalesce(g.quantity, 0) - l.quantity END
        FROM order_lines l LEFT JOIN sold g USING (product_id)
        WHERE l.order_id = $1 AND s.product_id = l.product_id
        ",
        order.uuid(),
        goods == Goods::Reserved
    )
    .execute(connection)
    .await?;
    Ok(())
}
