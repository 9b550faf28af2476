//! Transaction A of the purchase: reserve the stock, write down that the provider is about to be asked.

use chrono::{DateTime, Utc};
use domain::{CustomerId, Order, OrderError, Payment, PaymentId, PaymentKey, PaymentState, ProviderOrderId, Won};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::decode;
use crate::orders::status_name;

/// A buyer who came back from the payment window.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who.
    pub customer: CustomerId,
    /// For which attempt of which order the window was opened.
    pub order: ProviderOrderId,
    /// The provider's key of the authenticated payment.
    pub key: PaymentKey,
    /// What the browser says it will cost. Only compared.
    pub amount: Won,
    /// The provider's `paymentType`.
    pub payment_type: String,
    /// The id of the payment, if this claim begins one.
    pub payment: PaymentId,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// What became of a [`Claim`].
#[derive(Debug, Clone)]
pub enum Claimed {
    /// Stock is reserved and the payment is on record: ask the provider now.
    Begun(Box<domain::Attempt>),
    /// This payment is on record already: somebody else asked the provider, or is asking right now. Read it.
    Known,
    /// The customer has no such order.
    NotFound,
    /// The order cannot take this payment. Nothing was reserved.
    Refused(OrderError),
    /// Not enough is left of something. Nothing was reserved.
    SoldOut,
    /// The order may no longer be paid.
    Overdue,
    /// Another claim was in the way: try again at once.
    Busy,
}

struct Row {
    begun: bool,
    short: bool,
    at: DateTime<Utc>,
    name: Option<String>,
    status: Option<String>,
    amount: Option<i64>,
    attempts: Option<i16>,
    current_key: Option<String>,
    overdue: Option<bool>,
    known: bool,
}

/// Begins payments: reserves the stock of each order, all lines or none, and moves it from `pending` to
/// `confirming`. First come, first served within a call. Safe to repeat.
pub async fn claim(db: impl PgExecutor<'_>, claims: &[Claim]) -> sqlx::Result<Vec<Claimed>> {
    let orders: Vec<Uuid> = claims.iter().map(|c| c.order.order.uuid()).collect();
    let customers: Vec<Uuid> = claims.iter().map(|c| c.customer.uuid()).collect();
    let attempts: Vec<i16> = claims.iter().map(|c| c.order.attempt).collect();
    let amounts: Vec<i64> = claims.iter().map(|c| c.amount.get()).collect();
    let keys: Vec<String> = claims.iter().map(|c| c.key.as_str().to_owned()).collect();
    let payments: Vec<Uuid> = claims.iter().map(|c| c.payment.uuid()).collect();
    let types: Vec<String> = claims.iter().map(|c| c.payment_type.clone()).collect();
    let traces: Vec<Option<String>> = claims.iter().map(|c| c.traceparent.clone()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        WITH asked AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::bigint[], $5::text[], $6::uuid[], $7::text[], $8::text[])
                WITH ORDINALITY AS a (order_id, customer_id, attempt, amount, payment_key, payment_id, payment_type, traceparent, ix)
        ), demanded AS MATERIALIZED (
            -- Lines never change, so they are read before any lock. Only an order that looks payable is worth a lock on stock.
            SELECT a.ix, l.product_id, l.quantity
            FROM asked a
            -- OFFSET 0: by id, one by one. A plan that begins with the status would read everybody's open orders.
            CROSS JOIN LATERAL (SELECT id, customer_id, status FROM orders WHERE id = a.order_id OFFSET 0) o
            JOIN order_lines l ON l.order_id = o.id
            WHERE o.customer_id = a.customer_id AND o.status = 'pending'
        ), shelf AS MATERIALIZED (
            -- The weaker lock: it lets order lines that reference the product be written meanwhile.
            SELECT product_id, on_hand - reserved AS available FROM stock
            WHERE product_id IN (SELECT product_id FROM demanded)
            ORDER BY product_id FOR NO KEY UPDATE
        ), held AS MATERIALIZED (
            -- Counting the shelf makes it be locked first. What comes back is the row as it is under the lock.
            SELECT id, customer_id, status, name, amount, attempts, payment_key, expires_at FROM orders
            WHERE id IN (SELECT order_id FROM asked) AND (SELECT count(*) FROM shelf) >= 0
            ORDER BY id FOR NO KEY UPDATE
        ), candidate AS MATERIALIZED (
            -- Two claims of one order in one batch: the first is the candidate, the other one comes again.
            SELECT DISTINCT ON (h.id) a.*
            FROM asked a
            JOIN held h ON h.id = a.order_id AND h.customer_id = a.customer_id
            WHERE h.status = 'pending' AND h.amount = a.amount AND h.attempts + 1 = a.attempt AND h.expires_at > now()
                AND NOT EXISTS (SELECT FROM payments p WHERE p.order_id = h.id AND p.provider = 'toss' AND p.payment_key = a.payment_key)
            ORDER BY h.id, a.ix
        ), queue AS MATERIALIZED (
            SELECT d.ix, d.product_id, d.quantity, coalesce(s.available, 0) AS available,
                sum(d.quantity) OVER (PARTITION BY d.product_id ORDER BY d.ix) AS up_to
            FROM demanded d JOIN candidate USING (ix) LEFT JOIN shelf s USING (product_id)
        ), served AS MATERIALIZED (
            SELECT ix FROM queue GROUP BY ix HAVING bool_and(up_to <= available)
        ), taken AS MATERIALIZED (
            SELECT q.product_id, sum(q.quantity)::int AS quantity FROM queue q JOIN served USING (ix) GROUP BY q.product_id
        ), short AS MATERIALIZED (
            -- Would not fit even if it were the only one: what others of this batch were refused does not count.
            SELECT q.ix FROM queue q LEFT JOIN taken t USING (product_id)
            WHERE q.quantity > q.available - coalesce(t.quantity, 0)
        ), reserved AS (
            UPDATE stock s SET reserved = s.reserved + t.quantity FROM taken t WHERE s.product_id = t.product_id
        ), begun AS (
            UPDATE orders o
            SET status = 'confirming', attempts = c.attempt, payment_key = c.payment_key, updated_at = now()
            FROM candidate c JOIN served USING (ix)
            WHERE o.id = c.order_id
            RETURNING c.ix
        ), written AS (
            INSERT INTO payments (id, order_id, attempt, payment_key, payment_type, amount, traceparent, next_check_at)
            SELECT c.payment_id, c.order_id, c.attempt, c.payment_key, c.payment_type, c.amount, c.traceparent,
                now() + interval '20 seconds' -- by then the request that asks the provider is done, or dead
            FROM candidate c JOIN begun USING (ix)
        ), logged AS (
            INSERT INTO order_log (order_id, from_status, to_status, payment_id, cause)
            SELECT c.order_id, 'pending', 'confirming', c.payment_id, 'claimed' FROM candidate c JOIN begun USING (ix)
        )
        SELECT b.ix IS NOT NULL AS "begun!",
            a.ix IN (SELECT ix FROM short) AS "short!", now() AS "at!", h.name AS "name?", h.status AS "status?", h.amount AS "amount?", h.attempts AS "attempts?",
            h.payment_key AS "current_key?", h.expires_at <= now() AS "overdue?",
            p.id IS NOT NULL AS "known!"
        FROM asked a
        LEFT JOIN held h ON h.id = a.order_id AND h.customer_id = a.customer_id
        LEFT JOIN begun b USING (ix)
        -- OFFSET 0, again: by key, one by one.
        LEFT JOIN LATERAL (SELECT * FROM payments WHERE provider = 'toss' AND payment_key = a.payment_key OFFSET 0) p
            ON p.order_id = h.id
        ORDER BY a.ix
        "#,
        &orders,
        &customers,
        &attempts,
        &amounts,
        &keys,
        &payments,
        &types,
        &traces as &[Option<String>]
    )
    .fetch_all(db)
    .await?;
    claims.iter().zip(rows).map(|(claim, row)| judge(claim, row)).collect()
}

fn judge(claim: &Claim, row: Row) -> sqlx::Result<Claimed> {
    let (Some(status), Some(name), Some(amount), Some(attempts)) = (row.status, row.name, row.amount, row.attempts)
    else {
        return Ok(Claimed::NotFound);
    };
    if !row.begun && (row.known || row.current_key.as_deref() == Some(claim.key.as_str())) {
        return Ok(Claimed::Known);
    }
    if status != "pending" {
        return Ok(Claimed::Refused(OrderError::InvalidTransition {
            from: status_name(&status)?,
            action: "confirmed",
        }));
    }
    let order = Order {
        id: claim.order.order,
        customer: claim.customer,
        name,
        amount: decode(Won::new(amount))?,
        attempts,
        state: domain::OrderState::Pending, // `held` is the row before this statement changed it
    };
    let order = match order.confirm(claim.payment, claim.order.attempt, claim.amount) {
        Ok(order) => order,
        Err(refusal) => return Ok(Claimed::Refused(refusal)),
    };
    if row.begun {
        return Ok(Claimed::Begun(Box::new(domain::Attempt {
            payment: Payment {
                id: claim.payment,
                order: order.id,
                attempt: claim.order.attempt,
                key: claim.key.clone(),
                amount: claim.amount,
                payment_type: claim.payment_type.clone(),
                asked_at: row.at,
                state: PaymentState::Confirming,
            },
            order,
            refunds: Vec::new(),
            version: 0,
        })));
    }
    Ok(match (row.overdue, row.short) {
        (Some(true), _) => Claimed::Overdue,
        (_, true) => Claimed::SoldOut,
        (_, false) => Claimed::Busy,
    })
}
