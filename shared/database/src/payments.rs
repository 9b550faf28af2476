//! Payments after the provider was asked: transaction B of the purchase, and what the reconciler needs.

use chrono::{DateTime, Utc};
use domain::{PaymentId, PaymentState, Settlement};
use secrecy::ExposeSecret as _;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::record::{Known, KnownRow};

/// A decision to write down.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The payment's state before the decision.
    pub from: &'static str,
    /// Its version then: only the first of two deciders wins, also when the payment is back in the same state.
    pub version: i32,
    /// What it is now, and what to announce.
    pub settlement: Settlement,
    /// W3C trace context for the event.
    pub traceparent: Option<String>,
}

/// Writes decisions down: payment, order, stock given back, event, all or nothing. Answers `false` for a payment
/// about which something else has been decided since: load it and decide again. Safe to repeat.
pub async fn settle(db: impl PgExecutor<'_>, verdicts: &[Verdict]) -> sqlx::Result<Vec<bool>> {
    let mut column = SettleColumns::default();
    for verdict in verdicts {
        column.push(verdict)?;
    }
    sqlx::query_scalar!(
        r#"
        WITH decided AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
                    $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::text[], $15::uuid[], $16::text[], $17::text[], $18::text[],
                    $19::text[], $20::text[], $21::text[], $22::int[], $23::text[])
                WITH ORDINALITY AS d (payment_id, order_id, from_status, status, order_status, approved_at, method, receipt_url,
                    decline_code, decline_message, deposit_bank, deposit_account, deposit_due_at, deposit_secret,
                    event_id, event_type, event_data, traceparent, refund_bank, refund_account, refund_holder, version, decline_kind, ix)
        ), returning_stock AS MATERIALIZED (
            SELECT d.ix, l.product_id, l.quantity FROM decided d JOIN order_lines l USING (order_id)
            WHERE d.order_status IN ('pending', 'canceled', 'expired')
        ), shelf AS MATERIALIZED (
            SELECT product_id FROM stock WHERE product_id IN (SELECT product_id FROM returning_stock)
            ORDER BY product_id FOR NO KEY UPDATE
        ), held AS MATERIALIZED (
            -- Stock, then orders, then payments: the lock order of the whole schema.
            SELECT id, status FROM orders WHERE id IN (SELECT order_id FROM decided) AND (SELECT count(*) FROM shelf) >= 0
            ORDER BY id FOR NO KEY UPDATE
        ), settled AS (
            -- The row is read again under its lock: of two deciders the second finds another version and changes nothing.
            UPDATE payments p
            SET status = d.status, version = p.version + 1, approved_at = d.approved_at, method = coalesce(d.method, p.method),
                receipt_url = coalesce(d.receipt_url, p.receipt_url),
                decline_code = d.decline_code, decline_message = d.decline_message, decline_kind = d.decline_kind,
                deposit_bank = coalesce(d.deposit_bank, p.deposit_bank),
                deposit_account = coalesce(d.deposit_account, p.deposit_account),
                deposit_due_at = coalesce(d.deposit_due_at, p.deposit_due_at),
                deposit_secret = coalesce(d.deposit_secret, p.deposit_secret),
                refund_bank = coalesce(d.refund_bank, p.refund_bank),
                refund_account = coalesce(d.refund_account, p.refund_account),
                refund_holder = coalesce(d.refund_holder, p.refund_holder),
                attention = NULL,
                -- The provider tells of a deposit unasked, unless that message is lost.
                next_check_at = CASE d.status WHEN 'awaiting_deposit' THEN least(d.deposit_due_at, now() + interval '1 hour') END,
                checks = 0,
                settled_at = CASE d.status WHEN 'awaiting_deposit' THEN NULL ELSE now() END
            -- While a payment is open, its order is in the state of that name.
            FROM decided d JOIN held h ON h.id = d.order_id AND h.status = d.from_status
            WHERE p.id = d.payment_id AND p.version = d.version AND p.status = d.from_status
            RETURNING d.ix
        ), moved AS (
            UPDATE orders o
            SET status = d.order_status, paid_at = d.approved_at, updated_at = now(),
                payment_key = CASE WHEN d.order_status IN ('pending', 'canceled', 'expired') THEN NULL ELSE o.payment_key END
            FROM decided d JOIN settled USING (ix)
            WHERE o.id = d.order_id
        ), logged AS (
            INSERT INTO order_log (order_id, from_status, to_status, payment_id, cause)
            SELECT d.order_id, h.status, d.order_status, d.payment_id, coalesce(d.decline_code, d.status)
            FROM decided d JOIN settled USING (ix) JOIN held h ON h.id = d.order_id
            WHERE h.status <> d.order_status
        ), returned AS (
            UPDATE stock s SET reserved = s.reserved - r.quantity
            FROM (SELECT r.product_id, sum(r.quantity)::int AS quantity FROM returning_stock r JOIN settled USING (ix) GROUP BY 1) r
            WHERE s.product_id = r.product_id
        ), announced AS (
            INSERT INTO outbox (id, type, order_id, payment_id, data, traceparent)
            SELECT d.event_id, d.event_type, d.order_id, d.payment_id, d.event_data, d.traceparent
            FROM decided d JOIN settled USING (ix)
            WHERE d.event_id IS NOT NULL
        )
        SELECT s.ix IS NOT NULL AS "settled!" FROM decided d LEFT JOIN settled s USING (ix) ORDER BY d.ix
        "#,
        &column.payments,
        &column.orders,
        &column.from,
        &column.statuses,
        &column.order_statuses,
        &column.approved_at as &[Option<DateTime<Utc>>],
        &column.methods as &[Option<String>],
        &column.receipts as &[Option<String>],
        &column.decline_codes as &[Option<String>],
        &column.decline_messages as &[Option<String>],
        &column.banks as &[Option<String>],
        &column.accounts as &[Option<String>],
        &column.due_at as &[Option<DateTime<Utc>>],
        &column.secrets as &[Option<String>],
        &column.event_ids as &[Option<Uuid>],
        &column.event_types as &[Option<String>],
        &column.event_data as &[Option<String>],
        &column.traces as &[Option<String>],
        &column.refund_banks as &[Option<String>],
        &column.refund_accounts as &[Option<String>],
        &column.refund_holders as &[Option<String>],
        &column.versions,
        &column.decline_kinds as &[Option<String>]
    )
    .fetch_all(db)
    .await
}

#[derive(Default)]
struct SettleColumns {
    payments: Vec<Uuid>,
    orders: Vec<Uuid>,
    from: Vec<String>,
    statuses: Vec<String>,
    order_statuses: Vec<String>,
    approved_at: Vec<Option<DateTime<Utc>>>,
    methods: Vec<Option<String>>,
    receipts: Vec<Option<String>>,
    decline_codes: Vec<Option<String>>,
    decline_messages: Vec<Option<String>>,
    banks: Vec<Option<String>>,
    accounts: Vec<Option<String>>,
    due_at: Vec<Option<DateTime<Utc>>>,
    secrets: Vec<Option<String>>,
    event_ids: Vec<Option<Uuid>>,
    event_types: Vec<Option<String>>,
    event_data: Vec<Option<String>>,
    traces: Vec<Option<String>>,
    refund_banks: Vec<Option<String>>,
    refund_accounts: Vec<Option<String>>,
    refund_holders: Vec<Option<String>>,
    versions: Vec<i32>,
    decline_kinds: Vec<Option<String>>,
}

impl SettleColumns {
    fn push(&mut self, verdict: &Verdict) -> sqlx::Result<()> {
        let Settlement { order, payment, event, .. } = &verdict.settlement;
        self.payments.push(payment.id.uuid());
        self.orders.push(order.id.uuid());
        self.from.push(verdict.from.to_owned());
        self.versions.push(verdict.version);
        self.statuses.push(payment.state.name().to_owned());
        self.order_statuses.push(order.state.name().to_owned());
        let (mut approval, mut decline, mut deposit) = (None, None, None);
        match &payment.state {
            PaymentState::Done(done) | PaymentState::Excess(done) => approval = Some(done),
            PaymentState::Declined(refusal) => decline = Some(refusal),
            PaymentState::AwaitingDeposit(account) => deposit = Some(account),
            PaymentState::Confirming | PaymentState::Canceled => {}
        }
        self.approved_at.push(approval.map(|a| a.approved_at));
        self.methods.push(approval.and_then(|a| a.method.clone()));
        self.receipts.push(approval.and_then(|a| a.receipt_url.clone()));
        self.decline_codes.push(decline.map(|d| d.code.clone()));
        self.decline_messages.push(decline.map(|d| d.message.clone()));
        self.decline_kinds.push(decline.map(|d| d.kind.name().to_owned()));
        self.banks.push(deposit.map(|d| d.bank.clone()));
        self.accounts.push(deposit.map(|d| d.account.clone()));
        self.due_at.push(deposit.map(|d| d.due_at));
        self.secrets.push(deposit.and_then(|d| d.secret.as_ref()).map(|s| s.expose_secret().to_owned()));
        self.event_ids.push(event.as_ref().map(|e| e.id().uuid()));
        self.event_types.push(event.as_ref().map(|e| e.event_type().name().to_owned()));
        let data = event.as_ref().map(domain::Event::body).transpose();
        self.event_data.push(data.map_err(|error| sqlx::Error::Encode(Box::new(error)))?);
        self.traces.push(verdict.traceparent.clone());
        let back = deposit.and_then(|d| d.refund_account.as_ref());
        self.refund_banks.push(back.map(|account| account.bank.clone()));
        self.refund_accounts.push(back.map(|account| account.number.expose_secret().to_owned()));
        self.refund_holders.push(back.map(|account| account.holder.clone()));
        Ok(())
    }
}

/// Takes up to `limit` payments that are due to be asked about, and puts each off until its next turn: 20 s after
/// the confirm, then 1, 2, 4, 8, 11 minutes, then hourly for a day, then daily. A deposit is asked about hourly until it
/// is due, and by that schedule from then on. `pace` stretches (or, in tests, shrinks) the schedule. Two reconcilers get
/// different payments.
pub async fn take_due(db: &PgPool, limit: i64, pace: f64) -> sqlx::Result<Vec<Known>> {
    sqlx::query_as!(
        KnownRow,
        r#"
        WITH due AS MATERIALIZED (
            SELECT id, CASE WHEN status = 'awaiting_deposit' AND deposit_due_at > now()
                    THEN least(deposit_due_at, now() + $2 * interval '1 hour') END AS before_due
            FROM payments WHERE next_check_at <= now()
            ORDER BY next_check_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
        ), taken AS (
            UPDATE payments p
            SET checks = p.checks + (d.before_due IS NULL)::int::smallint,
                -- Whoever took a deposit before and stands still since then has an answer that may have turned. (A confirm
                -- is left alone: its answer cannot turn, and may be on its way to somebody else.)
                version = p.version + (p.status = 'awaiting_deposit')::int,
                next_check_at = coalesce(d.before_due, now() + $2 * check_after(p.checks))
            FROM due d WHERE p.id = d.id
            RETURNING p.*
        )
        SELECT p.id, p.attempt, p.payment_key, p.payment_type, p.amount, p.status AS payment_status, p.asked_at, p.approved_at,
            p.decline_code, p.decline_message, p.decline_kind, p.checks, p.version, p.traceparent, p.deposit_bank, p.deposit_account, p.deposit_due_at,
            o.id AS order_id, o.customer_id, o.name, o.status AS order_status, o.attempts, o.paid_at, o.refunded_amount,
            h.id AS "holder?", h.deposit_due_at AS order_due_at, now() AS "at!"
        FROM taken p JOIN orders o ON o.id = p.order_id
        LEFT JOIN payments h ON h.order_id = o.id AND h.payment_key = o.payment_key
        "#,
        limit,
        pace
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Known::try_from)
    .collect()
}

/// Notes why a person has to look at a payment that evidence alone cannot settle. It keeps being asked about.
pub async fn call_for_attention(db: &PgPool, id: PaymentId, why: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payments SET attention = $2 WHERE id = $1", id.uuid(), why).execute(db).await?;
    Ok(())
}

/// Forgets why a person had to look at a payment: the provider agrees with the record.
pub async fn dismiss_attention(db: &PgPool, id: PaymentId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payments SET attention = NULL WHERE id = $1 AND attention IS NOT NULL", id.uuid())
        .execute(db)
        .await?;
    Ok(())
}

/// Payments that nothing is expected of any more, but that a person has been called for: up to `limit`, oldest first.
pub async fn disputed(db: &PgPool, limit: i64) -> sqlx::Result<Vec<PaymentId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM payments WHERE attention IS NOT NULL AND next_check_at IS NULL ORDER BY asked_at LIMIT $1",
        limit
    );
    Ok(ids.fetch_all(db).await?.into_iter().map(PaymentId::from).collect())
}

#[cfg(test)]
mod tests;
