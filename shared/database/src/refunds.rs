//! Refunds: finding them, and those that are due. What changes them is a decision, written by [`record`](crate::record).

use chrono::{DateTime, Utc};
use domain::{OrderId, PaymentId, RefundAccount, RefundId, Won};
use sqlx::PgPool;

use crate::decode;

/// A refund as people of the shop see it.
#[derive(Debug, Clone)]
pub struct RefundDetails {
    /// Its id.
    pub id: RefundId,
    /// Which payment of the order it takes from, counted from 1.
    pub attempt: i16,
    /// How much.
    pub amount: Won,
    /// Told to the buyer.
    pub reason: String,
    /// Who wants it: `operator`, `system` or `console`.
    pub origin: String,
    /// Whether the goods come back with it.
    pub restock: bool,
    /// `requested`, `done` or `failed`.
    pub status: String,
    /// The person who asked for it.
    pub requested_by: Option<String>,
    /// Where it goes, if it cannot go back to where it came from. Not to be shown.
    pub account: Option<RefundAccount>,
    /// The provider's code and text, if it refused.
    pub failure: Option<(String, String)>,
    /// When it was asked for, or heard of.
    pub created_at: DateTime<Utc>,
    /// When the money went back.
    pub done_at: Option<DateTime<Utc>>,
}

/// The account that three columns name, which a CHECK sets all together or not at all.
pub(crate) fn account(bank: Option<String>, number: Option<String>, holder: Option<String>) -> Option<RefundAccount> {
    Some(RefundAccount { bank: bank?, number: number?.into(), holder: holder? })
}

/// The refunds of an order, oldest first.
pub async fn of_order(db: &PgPool, order: OrderId) -> sqlx::Result<Vec<RefundDetails>> {
    let rows = sqlx::query!(
        "
        SELECT r.id, p.attempt, r.amount, r.reason, r.origin, r.restock, r.status, r.requested_by, r.failure_code,
            r.failure_message, r.created_at, r.done_at, r.account_bank, r.account_number, r.account_holder
        FROM refunds r JOIN payments p ON p.id = r.payment_id
        WHERE r.order_id = $1
        ORDER BY r.created_at, r.id
        ",
        order.uuid()
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RefundDetails {
                id: row.id.into(),
                attempt: row.attempt,
                amount: decode(Won::new(row.amount))?,
                reason: row.reason,
                origin: row.origin,
                restock: row.restock,
                status: row.status,
                requested_by: row.requested_by,
                account: account(row.account_bank, row.account_number, row.account_holder),
                failure: row.failure_code.zip(row.failure_message),
                created_at: row.created_at,
                done_at: row.done_at,
            })
        })
        .collect()
}

/// The payment of an order that a refund takes from: that attempt, else the one that paid, else the latest whose
/// money came for nothing.
pub async fn target(db: &PgPool, order: OrderId, attempt: Option<i16>) -> sqlx::Result<Option<PaymentId>> {
    let found = sqlx::query_scalar!(
        "
        SELECT id FROM payments WHERE order_id = $1 AND attempt = coalesce($2, attempt)
        ORDER BY status = 'done' DESC, status = 'excess' DESC, attempt DESC LIMIT 1
        ",
        order.uuid(),
        attempt
    )
    .fetch_optional(db)
    .await?;
    Ok(found.map(PaymentId::from))
}

/// The refund that was asked for under this key before.
pub async fn asked_before(db: &PgPool, order: OrderId, key: &str) -> sqlx::Result<Option<RefundId>> {
    let found =
        sqlx::query_scalar!("SELECT id FROM refunds WHERE order_id = $1 AND request_key = $2", order.uuid(), key);
    Ok(found.fetch_optional(db).await?.map(RefundId::from))
}

/// The refund of that sum that the same person asked for within the last hour for the same reason, unless it was refused.
pub async fn just_asked(
    db: &PgPool,
    order: OrderId,
    amount: Won,
    reason: &str,
    by: &str,
) -> sqlx::Result<Option<RefundId>> {
    let found = sqlx::query_scalar!(
        "
        SELECT id FROM refunds
        WHERE order_id = $1 AND amount = $2 AND reason = $3 AND requested_by = $4 AND status <> 'failed'
            AND created_at > now() - interval '1 hour'
        ORDER BY created_at DESC LIMIT 1
        ",
        order.uuid(),
        amount.get(),
        reason,
        by
    );
    Ok(found.fetch_optional(db).await?.map(RefundId::from))
}

/// A refund whose outcome is open.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    /// The refund.
    pub refund: RefundId,
    /// The payment that it takes from.
    pub payment: PaymentId,
    /// How often it was looked into, this time included.
    pub checks: i16,
}

/// Takes up to `limit` refunds that are due to be looked into, and puts each off until its next turn. `pace` stretches
/// (or, in tests, shrinks) the schedule. Two reconcilers get different refunds.
pub async fn take_due(db: &PgPool, limit: i64, pace: f64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        "
        WITH due AS MATERIALIZED (
            SELECT id FROM refunds WHERE next_check_at <= now()
            ORDER BY next_check_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE refunds r SET checks = r.checks + 1, next_check_at = now() + $2 * check_after(r.checks)
        FROM due WHERE r.id = due.id
        RETURNING r.id, r.payment_id, r.checks
        ",
        limit,
        pace
    )
    .fetch_all(db)
    .await?;
    let due =
        rows.into_iter().map(|row| Due { refund: row.id.into(), payment: row.payment_id.into(), checks: row.checks });
    Ok(due.collect())
}

/// Notes why a person has to look at a refund that is still open. It keeps being looked into.
pub async fn call_for_attention(db: &PgPool, id: RefundId, why: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE refunds SET attention = $2 WHERE id = $1 AND status = 'requested'", id.uuid(), why)
        .execute(db)
        .await?;
    Ok(())
}
