//! What is on record about a payment and its refunds, and decisions about money that is held: refunds, late money, reversed
//! deposits. They are rare, so each is a transaction of its own, step by step. (Decisions about payments
//! that are under way are many, and are made in batches: [`payments::settle`](crate::payments::settle).)

mod goods;
mod row;

use chrono::{DateTime, Utc};
use domain::{
    Attempt, DeclineKind, OrderId, OrderState, Payment, PaymentId, PaymentKey, PaymentState, Refund, RefundOrigin,
    RefundState, Settlement, Won,
};
use secrecy::ExposeSecret as _;
use sqlx::{PgConnection, PgPool, PgTransaction};

use goods::Goods;
pub(crate) use row::KnownRow;

/// A payment as the database knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The order, the payment and its refunds.
    pub attempt: Attempt,
    /// W3C trace context of the click.
    pub traceparent: Option<String>,
    /// The database's time when this was read.
    pub at: DateTime<Utc>,
    /// How often the provider was asked about the payment while it was open.
    pub checks: i16,
}

/// Reads a payment, whatever state it is in.
pub async fn find(db: &PgPool, id: PaymentId) -> sqlx::Result<Option<Known>> {
    row::read(&mut *db.acquire().await?, id).await
}

/// Reads the payment of that key, if it is one of the order's.
pub async fn find_by_key(db: &PgPool, order: OrderId, key: &PaymentKey) -> sqlx::Result<Option<Known>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM payments WHERE provider = 'toss' AND payment_key = $1 AND order_id = $2",
        key.as_str(),
        order.uuid()
    );
    match id.fetch_optional(db).await? {
        Some(id) => find(db, id.into()).await,
        None => Ok(None),
    }
}

/// Reads a payment that the provider is about to be asked about. What others were told of a deposit before counts no
/// more from here on: the bank may have taken it back since.
pub async fn ask(db: &PgPool, id: PaymentId) -> sqlx::Result<Option<Known>> {
    sqlx::query!("UPDATE payments SET version = version + 1 WHERE id = $1 AND deposit_due_at IS NOT NULL", id.uuid())
        .execute(db)
        .await?;
    find(db, id).await
}

/// Who asked for the refund that a decision begins, for the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The person.
    pub by: Option<&'a str>,
    /// The client's `Idempotency-Key`.
    pub key: Option<&'a str>,
}

/// Writes a decision down that was made from `before`: payment, order, refunds, goods and events, all or nothing.
/// Answers `false` when something has happened since: nothing is written then; read again, ask the provider again.
pub async fn write(
    db: &PgPool,
    before: &Attempt,
    decision: &Settlement,
    asked: Asked<'_>,
    traceparent: Option<&str>,
) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    let goods = Goods::moved_by(before, decision);
    goods::hold(&mut tx, goods, before.order.id).await?;
    if !lock(&mut tx, &before.payment).await?.is_some_and(|now| now.attempt.stands_like(before)) {
        tx.rollback().await?;
        return Ok(false);
    }
    let closed = decision
        .refunds
        .iter()
        .any(|refund| matches!(&refund.state, RefundState::Failed(why) if why.kind == DeclineKind::Later));
    for refund in &decision.refunds {
        // Somebody who asked is about to ask the provider; what we owe is the reconciler's to begin, unless the bank is
        // closed at this hour.
        let patience = match refund.origin {
            RefundOrigin::Operator => 20.0,
            RefundOrigin::System | RefundOrigin::Console if closed => 3600.0,
            RefundOrigin::System | RefundOrigin::Console => 0.0,
        };
        write_refund(&mut tx, refund, patience, asked, traceparent).await?;
    }
    write_payment(&mut tx, &decision.payment).await?;
    write_order(&mut tx, before, decision, goods == Goods::Returned).await?;
    goods::hand_back(&mut tx, goods, before.order.id).await?;
    announce(&mut tx, decision, traceparent).await?;
    tx.commit().await?;
    Ok(true)
}

/// The order, then the payment, as the lock order wants it.
async fn lock(tx: &mut PgTransaction<'_>, payment: &Payment) -> sqlx::Result<Option<Known>> {
    sqlx::query!("SELECT FROM orders WHERE id = $1 FOR NO KEY UPDATE", payment.order.uuid()).execute(&mut **tx).await?;
    sqlx::query!("SELECT FROM payments WHERE id = $1 FOR NO KEY UPDATE", payment.id.uuid()).execute(&mut **tx).await?;
    row::read(tx, payment.id).await
}

async fn write_refund(
    connection: &mut PgConnection,
    refund: &Refund,
    patience: f64,
    asked: Asked<'_>,
    traceparent: Option<&str>,
) -> sqlx::Result<()> {
    let (mut transaction_key, mut done_at, mut failure) = (None, None, None);
    match &refund.state {
        RefundState::Requested => {}
        RefundState::Done { transaction_key: key, at } => (transaction_key, done_at) = (Some(key.as_str()), Some(*at)),
        RefundState::Failed(why) => failure = Some(why),
    }
    sqlx::query!(
        r#"
        INSERT INTO refunds (id, order_id, payment_id, amount, refundable, reason, origin, restock, account_bank, account_number,
            account_holder, status, requested_by, request_key, next_check_at, attention, transaction_key, done_at, failure_code,
            failure_message, traceparent, settled_at)
        SELECT $1, $2, p.id, $4, $5, $6, $7, $8,
            -- What the buyer said in the payment window, if nobody says better.
            coalesce($9, p.refund_bank), coalesce($10, p.refund_account), coalesce($11, p.refund_holder),
            $12, $13, $14, CASE $12 WHEN 'requested' THEN now() + make_interval(secs => $15) END, $16, $18, $19, $16, $17, $20,
            CASE WHEN $12 <> 'requested' THEN now() END
        FROM payments p WHERE p.id = $3
        ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, next_check_at = EXCLUDED.next_check_at,
            attention = EXCLUDED.attention, transaction_key = EXCLUDED.transaction_key, done_at = EXCLUDED.done_at,
            failure_code = EXCLUDED.failure_code, failure_message = EXCLUDED.failure_message, settled_at = EXCLUDED.settled_at
        "#,
        refund.id.uuid(),
        refund.order.uuid(),
        refund.payment.uuid(),
        refund.amount.get(),
        refund.refundable.get(),
        refund.reason,
        refund.origin.name(),
        refund.restock,
        refund.account.as_ref().map(|account| account.bank.as_str()),
        refund.account.as_ref().map(|account| account.number.expose_secret()),
        refund.account.as_ref().map(|account| account.holder.as_str()),
        refund.state.name(),
        asked.by,
        asked.key,
        patience,
        failure.map(|why| why.code.as_str()),
        failure.map(|why| why.message.as_str()),
        transaction_key,
        done_at,
        traceparent
    )
    .execute(&mut *connection)
    .await?;
    // A later refund of the same payment settles what an earlier one called a person for.
    sqlx::query!(
        "UPDATE refunds SET attention = NULL WHERE payment_id = $1 AND id <> $2 AND attention IS NOT NULL",
        refund.payment.uuid(),
        refund.id.uuid()
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_payment(connection: &mut PgConnection, payment: &Payment) -> sqlx::Result<()> {
    let (mut approval, mut deposit) = (None, None);
    match &payment.state {
        PaymentState::Done(taken) | PaymentState::Excess(taken) => approval = Some(taken),
        PaymentState::AwaitingDeposit(account) => deposit = Some(account),
        PaymentState::Confirming | PaymentState::Declined(_) | PaymentState::Canceled => {}
    }
    sqlx::query!(
        r#"
        UPDATE payments p
        SET status = $2, version = p.version + 1, approved_at = $3, method = coalesce($4, p.method), receipt_url = coalesce($5, p.receipt_url),
            decline_code = NULL, decline_message = NULL, decline_kind = NULL,
            deposit_due_at = coalesce($6, p.deposit_due_at), next_check_at = CASE WHEN $6::timestamptz IS NOT NULL THEN least($6, now() + interval '1 hour') END, checks = 0, attention = NULL,
            settled_at = CASE WHEN $6::timestamptz IS NOT NULL THEN NULL WHEN p.status = $2 THEN p.settled_at ELSE now() END,
            reversals = p.reversals + (p.status = 'done' AND $2 = 'awaiting_deposit')::int::smallint,
            refunded_amount = (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = p.id AND r.status = 'done')
        WHERE p.id = $1
        "#,
        payment.id.uuid(),
        payment.state.name(),
        approval.map(|taken| taken.approved_at),
        approval.and_then(|taken| taken.method.as_deref()),
        approval.and_then(|taken| taken.receipt_url.as_deref()),
        deposit.map(|account| account.due_at)
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_order(
    connection: &mut PgConnection,
    before: &Attempt,
    decision: &Settlement,
    restocked: bool,
) -> sqlx::Result<()> {
    let (from, order) = (&before.order.state, &decision.order);
    let (paid_at, refunded) = match order.state {
        OrderState::Paid { paid_at, refunded, .. } | OrderState::Refunding { paid_at, refunded, .. } => {
            (Some(paid_at), refunded)
        }
        OrderState::Refunded { paid_at, .. } => (Some(paid_at), order.amount),
        _ => (None, Won::ZERO),
    };
    let done = sqlx::query!(
        "
        UPDATE orders SET status = $2, paid_at = $3, refunded_amount = $4, updated_at = now(),
            restocked_at = CASE WHEN $5 THEN now() ELSE restocked_at END
        WHERE id = $1 AND status = $6
        ",
        order.id.uuid(),
        order.state.name(),
        paid_at,
        refunded.get(),
        restocked,
        from.name()
    )
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() != 1 {
        return Err(sqlx::Error::RowNotFound);
    }
    if from.name() != order.state.name() {
        let refund = decision.refunds.last().map(|refund| format!("refund {}", refund.state.name()));
        sqlx::query!(
            "INSERT INTO order_log (order_id, from_status, to_status, payment_id, cause) VALUES ($1, $2, $3, $4, $5)",
            order.id.uuid(),
            from.name(),
            order.state.name(),
            decision.payment.id.uuid(),
            refund.as_deref().unwrap_or(decision.payment.state.name())
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

async fn announce(connection: &mut PgConnection, decision: &Settlement, traceparent: Option<&str>) -> sqlx::Result<()> {
    for event in decision.events() {
        let data = event.body().map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        sqlx::query!(
            "INSERT INTO outbox (id, type, order_id, payment_id, data, traceparent) VALUES ($1, $2, $3, $4, $5, $6)",
            event.id().uuid(),
            event.event_type().name(),
            event.order().uuid(),
            event.payment().uuid(),
            data,
            traceparent
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
