//! What the shop's people do with products: look at all of them, change them, count their stock.

use domain::{ProductId, Won};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::decode;

/// A product, on sale or not, with its stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: ProductId,
    /// Korean name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Won per piece.
    pub price: Won,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// Pieces that one order may hold.
    pub max_per_order: i32,
    /// Whether it is on sale.
    pub active: bool,
    /// Pieces in the warehouse.
    pub on_hand: i32,
    /// Pieces of these that are promised to orders.
    pub reserved: i32,
}

/// All products, newest first.
pub async fn list(db: &PgPool) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "SELECT id, name, name_en, price, image_url, max_per_order, active, on_hand, reserved
        FROM products JOIN stock ON product_id = id ORDER BY created_at DESC, id"
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Entry {
                id: row.id.into(),
                name: row.name,
                name_en: row.name_en,
                price: decode(Won::new(row.price))?,
                image_url: row.image_url,
                max_per_order: row.max_per_order,
                active: row.active,
                on_hand: row.on_hand,
                reserved: row.reserved,
            })
        })
        .collect()
}

/// What is to be different about a product. Orders that there are keep their names and prices.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Korean name.
    pub name: Option<String>,
    /// English name.
    pub name_en: Option<String>,
    /// Won per piece.
    pub price: Option<Won>,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// Pieces that one order may hold.
    pub max_per_order: Option<i32>,
    /// Whether it is on sale.
    pub active: Option<bool>,
}

/// Changes a product. `false`: there is none of that id.
pub async fn change(db: impl PgExecutor<'_>, id: ProductId, change: &Change) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE products SET name = coalesce($2, name), name_en = coalesce($3, name_en), price = coalesce($4, price),
            image_url = coalesce($5, image_url), max_per_order = coalesce($6, max_per_order), active = coalesce($7, active)
        WHERE id = $1",
        id.uuid(),
        change.name,
        change.name_en,
        change.price.map(Won::get),
        change.image_url,
        change.max_per_order,
        change.active
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Why the stock changes other than by an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Pieces were delivered to the shop.
    Received,
    /// Somebody counted, or something broke or was found.
    Adjusted,
}

/// What there is of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Pieces in the warehouse.
    pub on_hand: i32,
    /// Pieces of these that are promised to orders.
    pub reserved: i32,
}

/// Changes how many pieces there are by so many, and writes it into the ledger. `None`, and nothing is changed: there is no
/// such product, or fewer would be left than are promised to orders.
pub async fn count(db: impl PgExecutor<'_>, id: ProductId, pieces: i32, reason: Reason) -> sqlx::Result<Option<Stock>> {
    let id: Uuid = id.uuid();
    let kind = match reason {
        Reason::Received => "received",
        Reason::Adjusted => "adjusted",
    };
    sqlx::query_as!(
        Stock,
        "WITH counted AS (
            -- As 8-byte numbers, which do not overflow.
            UPDATE stock SET on_hand = on_hand + $2::int4
            WHERE product_id = $1 AND on_hand::int8 + $2::int4 BETWEEN reserved AND 2147483647
            RETURNING on_hand, reserved
        ), booked AS (
            INSERT INTO stock_ledger (product_id, kind, quantity) SELECT $1, $3, $2 FROM counted
        )
        SELECT on_hand, reserved FROM counted",
        id,
        pieces,
        kind
    )
    .fetch_optional(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::products::{self, NewProduct};

    #[tokio::test]
    async fn stock_is_counted_down_to_what_is_promised_and_every_change_is_in_the_ledger() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let id = ProductId::from(Uuid::from_u128(7));
        let plate = NewProduct {
            id,
            name: "접시".into(),
            name_en: "Plate".into(),
            price: Won::new(27_000).unwrap(),
            image_url: None,
            stock: 5,
        };
        products::add(&db, &[plate]).await.unwrap();
        sqlx::query("UPDATE stock SET reserved = 2").execute(&db).await.unwrap();
        let count = async |pieces, reason| count(&db, id, pieces, reason).await.unwrap();
        assert_eq!(count(20, Reason::Received).await, Some(Stock { on_hand: 25, reserved: 2 }));
        assert_eq!(count(-23, Reason::Adjusted).await, Some(Stock { on_hand: 2, reserved: 2 }));
        assert_eq!(count(-1, Reason::Adjusted).await, None, "these are promised");
        assert_eq!(count(i32::MAX, Reason::Received).await, None);
        assert_eq!(super::count(&db, Uuid::from_u128(8).into(), 1, Reason::Received).await.unwrap(), None);
        let booked: i64 = sqlx::query_scalar("SELECT sum(quantity) FROM stock_ledger").fetch_one(&db).await.unwrap();
        assert_eq!(booked, 2);
    }

    #[tokio::test]
    async fn only_what_is_said_is_changed() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let id = ProductId::from(Uuid::from_u128(7));
        let price = Won::new(27_000).unwrap();
        let plate = NewProduct {
            id,
            name: "접시".into(),
            name_en: "Plate".into(),
            price,
            image_url: Some("/plate.jpg".into()),
            stock: 0,
        };
        products::add(&db, &[plate]).await.unwrap();
        let before = list(&db).await.unwrap();
        assert!(change(&db, id, &Change::default()).await.unwrap());
        assert_eq!(list(&db).await.unwrap(), before);
        let hidden = Change { active: Some(false), max_per_order: Some(2), ..Change::default() };
        assert!(change(&db, id, &hidden).await.unwrap());
        assert_eq!(list(&db).await.unwrap(), [Entry { active: false, max_per_order: 2, ..before[0].clone() }]);
        assert!(products::list(&db).await.unwrap().is_empty(), "no longer on sale");
        assert!(!change(&db, Uuid::from_u128(8).into(), &hidden).await.unwrap());
    }
}
