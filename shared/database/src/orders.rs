//! Orders: placing them, reading them, and what happens to them without a payment.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{CustomerId, Decline, DeclineKind, Line, NewOrder, Order, OrderId, OrderState, PaymentId, Quantity, Won};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::customers::TokenHash;
use crate::{decode, decode_text, return_tokens};

/// An order to write down, and under which key the client asked for it.
#[derive(Debug, Clone)]
pub struct Creation {
    /// The priced order.
    pub order: NewOrder,
    /// The client's `Idempotency-Key`.
    pub idempotency_key: String,
    /// SHA-256 of what the client asked for.
    pub request_hash: [u8; 32],
    /// SHA-256 of lines, prices and e-mail.
    pub cart_hash: [u8; 32],
    /// Where the receipt goes.
    pub email: Option<String>,
    /// SHA-256 of the token that the buyer may come back by; see [`return_tokens`].
    pub return_token: TokenHash,
}

/// What became of a [`Creation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The order is new.
    New,
    /// The key was used before for the same request: that order is the answer again.
    Replayed(OrderId),
    /// The buyer already has an unpaid order of the same cart: that order is the answer.
    StillOpen(OrderId),
    /// The key was used before for another request.
    KeyReused,
    /// The buyer has as many unpaid orders as one may have.
    TooManyOpen,
}

/// How long an unpaid order may be paid. Longer than Toss's own 30 + 10 minutes from window to confirm.
const PAYABLE_MINUTES: i32 = 60;

/// Writes orders down, as long as their buyers have fewer than `most_open` unpaid ones. Safe to repeat.
///
/// The limit is against hoarding, and soft: a buyer whose orders arrive at the very same moment over several connections
/// may get a few more. To be exact each order would have to lock its buyer and count in a second statement, a round trip
/// more for everybody; unpaid orders reserve nothing, and expire.
pub async fn create(db: impl PgExecutor<'_>, creations: &[Creation], most_open: i64) -> sqlx::Result<Vec<Created>> {
    let mut column = CreateColumns::default();
    for creation in creations {
        column.push(creation);
    }
    let rows = sqlx::query!(
        r#"
        WITH asked AS (
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::bigint[], $8::text[],
                $16::bytea[])
                WITH ORDINALITY AS a (id, customer_id, key, request_hash, cart_hash, name, amount, email, return_token, ix)
        ), fresh AS (
            SELECT a.* FROM asked a
            WHERE NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.customer_id = a.customer_id AND k.key = a.key)
        ), allowed AS (
            -- Asking again for a cart that is open already makes no new order.
            SELECT f.* FROM (SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY ix) AS nth FROM fresh) f
            WHERE f.nth
                + (SELECT count(*) FROM orders o WHERE o.customer_id = f.customer_id AND o.status IN ('pending', 'confirming'))
                + (SELECT count(*) FROM orders o WHERE o.customer_id = f.customer_id AND o.status = 'awaiting_deposit') <= $15
                OR EXISTS (SELECT FROM orders o WHERE o.customer_id = f.customer_id AND o.cart_hash = f.cart_hash
                    AND o.status IN ('pending', 'confirming'))
        ), placed AS (
            -- The no-op update is there for RETURNING: an open order of the same cart comes back with its own id.
            INSERT INTO orders (id, customer_id, name, amount, cart_hash, customer_email, expires_at, return_token, return_until)
            SELECT id, customer_id, name, amount, cart_hash, email, now() + make_interval(mins => $9), return_token,
                now() + make_interval(mins => $17)
            FROM allowed
            ON CONFLICT (customer_id, cart_hash) WHERE status IN ('pending', 'confirming')
                DO UPDATE SET updated_at = orders.updated_at
            RETURNING id, customer_id, cart_hash
        ), lined AS (
            INSERT INTO order_lines (order_id, product_id, name, unit_price, quantity)
            SELECT l.order_id, l.product_id, l.name, l.unit_price, l.quantity
            FROM unnest($10::uuid[], $11::uuid[], $12::text[], $13::bigint[], $14::int[])
                AS l (order_id, product_id, name, unit_price, quantity)
            JOIN placed ON placed.id = l.order_id -- only of orders that are new
        ), keyed AS (
            -- No ON CONFLICT: a twin with the same key fails here, everything is undone, and its repetition
            -- finds the key and compares the request.
            INSERT INTO idempotency_keys (customer_id, key, request_hash, order_id)
            SELECT f.customer_id, f.key, f.request_hash, p.id
            FROM fresh f JOIN placed p USING (customer_id, cart_hash)
        )
        SELECT a.id AS "id!", p.id AS "placed?", k.order_id AS "keyed?", k.request_hash = a.request_hash AS "same?",
            f.ix IS NOT NULL AS "fresh!"
        FROM asked a
        LEFT JOIN fresh f USING (ix)
        LEFT JOIN placed p ON p.customer_id = f.customer_id AND p.cart_hash = f.cart_hash
        LEFT JOIN idempotency_keys k ON k.customer_id = a.customer_id AND k.key = a.key
        ORDER BY a.ix
        "#,
        &column.ids,
        &column.customers,
        &column.keys,
        &column.request_hashes,
        &column.cart_hashes,
        &column.names,
        &column.amounts,
        &column.emails as &[Option<String>],
        PAYABLE_MINUTES,
        &column.line_orders,
        &column.line_products,
        &column.line_names,
        &column.line_prices,
        &column.line_quantities,
        most_open,
        &column.return_tokens,
        return_tokens::MINUTES
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| match (row.placed, row.keyed, row.same) {
            (Some(placed), ..) if placed == row.id => Ok(Created::New),
            (Some(placed), ..) => Ok(Created::StillOpen(placed.into())),
            (None, Some(keyed), Some(true)) if keyed == row.id => Ok(Created::New), // our own first try, committed
            (None, Some(keyed), Some(true)) => Ok(Created::Replayed(keyed.into())),
            (None, Some(_), _) => Ok(Created::KeyReused),
            (None, None, _) if row.fresh => Ok(Created::TooManyOpen),
            (None, None, _) => Err(sqlx::Error::RowNotFound),
        })
        .collect()
}

#[derive(Default)]
struct CreateColumns {
    ids: Vec<Uuid>,
    customers: Vec<Uuid>,
    keys: Vec<String>,
    request_hashes: Vec<Vec<u8>>,
    cart_hashes: Vec<Vec<u8>>,
    names: Vec<String>,
    amounts: Vec<i64>,
    emails: Vec<Option<String>>,
    return_tokens: Vec<Vec<u8>>,
    line_orders: Vec<Uuid>,
    line_products: Vec<Uuid>,
    line_names: Vec<String>,
    line_prices: Vec<i64>,
    line_quantities: Vec<i32>,
}

impl CreateColumns {
    fn push(&mut self, creation: &Creation) {
        let order = &creation.order;
        self.ids.push(order.id.uuid());
        self.customers.push(order.customer.uuid());
        self.keys.push(creation.idempotency_key.clone());
        self.request_hashes.push(creation.request_hash.to_vec());
        self.cart_hashes.push(creation.cart_hash.to_vec());
        self.names.push(order.name.clone());
        self.amounts.push(order.amount.get());
        self.emails.push(creation.email.clone());
        self.return_tokens.push(creation.return_token.to_vec());
        for line in &order.lines {
            self.line_orders.push(order.id.uuid());
            self.line_products.push(line.product.uuid());
            self.line_names.push(line.name.clone());
            self.line_prices.push(line.unit_price.get());
            self.line_quantities.push(line.quantity.get());
        }
    }
}

/// An order with all that its owner may see.
#[derive(Debug, Clone)]
pub struct OrderDetails {
    /// The order.
    pub order: Order,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it may be paid.
    pub expires_at: DateTime<Utc>,
    /// Whether that time is over.
    pub overdue: bool,
    /// The latest attempt to pay it.
    pub payment: Option<PaymentDetails>,
}

/// What the owner may see of an attempt to pay.
#[derive(Debug, Clone)]
pub struct PaymentDetails {
    /// The name of its state.
    pub status: String,
    /// How it was paid, in the provider's words.
    pub method: Option<String>,
    /// The provider's receipt page.
    pub receipt_url: Option<String>,
    /// Why it was refused.
    pub decline: Option<Decline>,
    /// Where to transfer to, while a deposit is awaited: bank, account, until when.
    pub deposit: Option<(String, String, DateTime<Utc>)>,
}

/// The order of that id, if it belongs to that customer. A stranger's order looks like no order.
pub async fn find(db: &PgPool, id: OrderId, customer: CustomerId) -> sqlx::Result<Option<OrderDetails>> {
    let Some(row) = sqlx::query!(
        r#"
        SELECT o.status, o.name, o.amount, o.attempts, o.paid_at, o.refunded_amount, o.created_at, o.expires_at,
            o.expires_at <= now() AS "overdue!", p.id AS "payment_id?", p.status AS "payment_status?", p.method, p.receipt_url, p.decline_code, p.decline_message, p.decline_kind,
            p.deposit_bank, p.deposit_account, p.deposit_due_at,
            (SELECT jsonb_agg(jsonb_build_array(l.product_id, l.name, l.unit_price, l.quantity) ORDER BY l.product_id)
             FROM order_lines l WHERE l.order_id = o.id) AS "lines!: sqlx::types::Json<Vec<(Uuid, String, i64, i64)>>"
        FROM orders o
        LEFT JOIN payments p ON p.order_id = o.id AND p.attempt = o.attempts
        WHERE o.id = $1 AND o.customer_id = $2
        "#,
        id.uuid(),
        customer.uuid()
    )
    .fetch_optional(db)
    .await?
    else {
        return Ok(None);
    };
    let state = state(&StateColumns {
        status: &row.status,
        payment: row.payment_id.map(PaymentId::from),
        paid_at: row.paid_at,
        due_at: row.deposit_due_at,
        refunded: row.refunded_amount,
    })?;
    let lines = row.lines.0.into_iter().map(|(product, name, price, quantity)| {
        Ok(Line {
            product: product.into(),
            name,
            unit_price: decode(Won::new(price))?,
            quantity: decode(Quantity::new(quantity))?,
        })
    });
    Ok(Some(OrderDetails {
        order: Order {
            id,
            customer,
            name: row.name,
            amount: decode(Won::new(row.amount))?,
            attempts: row.attempts,
            state,
        },
        lines: lines.collect::<sqlx::Result<_>>()?,
        created_at: row.created_at,
        expires_at: row.expires_at,
        overdue: row.overdue,
        payment: row.payment_status.map(|status| PaymentDetails {
            status,
            method: row.method,
            receipt_url: row.receipt_url,
            decline: row.decline_code.zip(row.decline_message).map(|(code, message)| Decline {
                code,
                message,
                kind: row.decline_kind.as_deref().and_then(DeclineKind::parse).unwrap_or_default(),
            }),
            deposit: match (row.deposit_bank, row.deposit_account, row.deposit_due_at) {
                (Some(bank), Some(account), Some(due_at)) => Some((bank, account, due_at)),
                _ => None,
            },
        }),
    }))
}

/// The columns that decide which state an order is in.
pub(crate) struct StateColumns<'a> {
    pub(crate) status: &'a str,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) paid_at: Option<DateTime<Utc>>,
    pub(crate) due_at: Option<DateTime<Utc>>,
    pub(crate) refunded: i64,
}

/// The state that a row describes. The schema's CHECKs make the missing columns impossible.
pub(crate) fn state(row: &StateColumns<'_>) -> sqlx::Result<OrderState> {
    let missing = || decode_text(format!("a {} order lacks a column of its state", row.status));
    let payment = || row.payment.ok_or_else(missing);
    let paid_at = || row.paid_at.ok_or_else(missing);
    Ok(match row.status {
        "pending" => OrderState::Pending,
        "confirming" => OrderState::Confirming { payment: payment()? },
        "awaiting_deposit" => {
            OrderState::AwaitingDeposit { payment: payment()?, due_at: row.due_at.ok_or_else(missing)? }
        }
        "paid" => {
            OrderState::Paid { payment: payment()?, paid_at: paid_at()?, refunded: decode(Won::new(row.refunded))? }
        }
        "refunding" => OrderState::Refunding {
            payment: payment()?,
            paid_at: paid_at()?,
            refunded: decode(Won::new(row.refunded))?,
        },
        "refunded" => OrderState::Refunded { payment: payment()?, paid_at: paid_at()? },
        "expired" => OrderState::Expired,
        "canceled" => OrderState::Canceled,
        other => return Err(decode_text(format!("unknown order status {other}"))),
    })
}

/// The domain's own word for a status column.
pub(crate) fn status_name(status: &str) -> sqlx::Result<&'static str> {
    ["pending", "confirming", "awaiting_deposit", "paid", "refunding", "refunded", "expired", "canceled"]
        .into_iter()
        .find(|name| *name == status)
        .ok_or_else(|| decode_text(format!("unknown order status {status}")))
}

/// Writes down that the owner gave an unpaid order up. `false` when it was no longer pending by then.
pub async fn cancel(db: &PgPool, id: OrderId, customer: CustomerId) -> sqlx::Result<bool> {
    // A pending order holds no stock, so there is nothing to give back.
    let done = sqlx::query!(
        "
        WITH canceled AS (
            UPDATE orders SET status = 'canceled', updated_at = now()
            WHERE id = $1 AND customer_id = $2 AND status = 'pending'
            RETURNING id
        )
        INSERT INTO order_log (order_id, from_status, to_status, cause) SELECT id, 'pending', 'canceled', 'buyer' FROM canceled
        ",
        id.uuid(),
        customer.uuid()
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends unpaid orders whose time is over, at most `limit` of them. Returns how many; call again while it is `limit`.
pub async fn expire(db: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "
        WITH expired AS (
            UPDATE orders SET status = 'expired', updated_at = now()
            WHERE id IN (
                SELECT id FROM orders WHERE status = 'pending' AND expires_at <= now()
                -- Two expiry loops share the work; an order that is being paid this moment is left to its payment.
                ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
            RETURNING id
        )
        INSERT INTO order_log (order_id, from_status, to_status, cause) SELECT id, 'pending', 'expired', 'overdue' FROM expired
        ",
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// Forgets idempotency keys that are older than `age`, at most `limit` of them. Returns how many; call again while it is
/// `limit`.
pub async fn prune_idempotency_keys(db: &PgPool, age: Duration, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "
        DELETE FROM idempotency_keys WHERE (customer_id, key) IN (
            SELECT customer_id, key FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1)
            ORDER BY created_at LIMIT $2)
        ",
        age.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}
