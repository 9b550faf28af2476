//! What a buyer sees of the past: their orders, and what happened to one of them.

use chrono::{DateTime, Utc};
use domain::{CustomerId, OrderId, Won};
use sqlx::PgPool;

use crate::decode;
use crate::orders::status_name;

/// One of a buyer's orders, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// Its id.
    pub id: OrderId,
    /// Korean name of one of its products.
    pub name: String,
    /// English name of that product.
    pub name_en: String,
    /// The picture of that product.
    pub image_url: Option<String>,
    /// How many other products were ordered with it.
    pub others: i64,
    /// The frozen total.
    pub amount: Won,
    /// How much of it went back.
    pub refunded: Won,
    /// The name of its state.
    pub status: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A buyer's orders, newest first: at most `most`, and only those made before that one.
pub async fn of_customer(
    db: &PgPool,
    customer: CustomerId,
    before: Option<OrderId>,
    most: i64,
) -> sqlx::Result<Vec<OrderLine>> {
    let rows = sqlx::query!(
        r#"
        SELECT o.id, o.amount, o.refunded_amount, o.status, o.created_at, l.name, l.name_en, l.image_url, l.others AS "others!"
        FROM orders o
        CROSS JOIN LATERAL (
            SELECT l.name, p.name_en, p.image_url, count(*) OVER () - 1 AS others
            FROM order_lines l JOIN products p ON p.id = l.product_id
            WHERE l.order_id = o.id ORDER BY l.product_id LIMIT 1
        ) l
        WHERE o.customer_id = $1
            AND ($2::uuid IS NULL OR (o.created_at, o.id) < (SELECT b.created_at, b.id FROM orders b WHERE b.id = $2 AND b.customer_id = $1))
        ORDER BY o.created_at DESC, o.id DESC
        LIMIT $3
        "#,
        customer.uuid(),
        before.map(OrderId::uuid),
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(OrderLine {
                id: row.id.into(),
                name: row.name,
                name_en: row.name_en,
                image_url: row.image_url,
                others: row.others,
                amount: decode(Won::new(row.amount))?,
                refunded: decode(Won::new(row.refunded_amount))?,
                status: status_name(&row.status)?,
                created_at: row.created_at,
            })
        })
        .collect()
}

/// A step that an order took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state it came from; `None` for one that is older than the log.
    pub from: Option<String>,
    /// The state it came to.
    pub to: &'static str,
    /// What settled it; a provider's code, if that refused.
    pub cause: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The steps of an order, oldest first. Whether it is the reader's to see is for the caller to know.
pub async fn steps(db: &PgPool, order: OrderId) -> sqlx::Result<Vec<Step>> {
    let rows = sqlx::query!(
        "SELECT from_status, to_status, cause, at FROM order_log WHERE order_id = $1 ORDER BY id",
        order.uuid()
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| Ok(Step { from: row.from_status, to: status_name(&row.to_status)?, cause: row.cause, at: row.at }))
        .collect()
}
