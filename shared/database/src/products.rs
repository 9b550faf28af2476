//! The catalogue, with what is left of it.

use domain::{ProductId, Won};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use crate::decode;

/// A product as the storefront shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Korean name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Won per piece, today.
    pub price: Won,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// Pieces that can still be bought: on hand and not reserved.
    pub available: i32,
    /// Pieces that one order may hold.
    pub max_per_order: i32,
}

/// A product to put on sale.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// Its id; an existing product of that id is left as it is.
    pub id: ProductId,
    /// Korean name.
    pub name: String,
    /// English name.
    pub name_en: String,
    /// Won per piece.
    pub price: Won,
    /// Where its picture is.
    pub image_url: Option<String>,
    /// Pieces received.
    pub stock: i32,
}

struct Row {
    id: Uuid,
    name: String,
    name_en: String,
    price: i64,
    image_url: Option<String>,
    available: i32,
    max_per_order: i32,
}

impl TryFrom<Row> for Product {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id.into(),
            name: row.name,
            name_en: row.name_en,
            price: decode(Won::new(row.price))?,
            image_url: row.image_url,
            available: row.available,
            max_per_order: row.max_per_order,
        })
    }
}

/// What is on sale, newest first; at most 200 products.
pub async fn list(db: &PgPool) -> sqlx::Result<Vec<Product>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT p.id, p.name, p.name_en, p.price, p.image_url, p.max_per_order, s.on_hand - s.reserved AS "available!"
        FROM products p JOIN stock s ON s.product_id = p.id
        WHERE p.active
        ORDER BY p.created_at DESC, p.id
        LIMIT 200
        "#
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Product::try_from)
    .collect()
}

/// The products of those ids that are on sale, in no particular order; unknown ids are left out.
pub async fn find(db: impl PgExecutor<'_>, ids: &[ProductId]) -> sqlx::Result<Vec<Product>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query_as!(
        Row,
        r#"
        SELECT p.id, p.name, p.name_en, p.price, p.image_url, p.max_per_order, s.on_hand - s.reserved AS "available!"
        FROM products p JOIN stock s ON s.product_id = p.id
        WHERE p.active AND p.id = ANY($1)
        "#,
        &ids
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Product::try_from)
    .collect()
}

/// Puts products on sale that are not there yet, and writes their first stock into the ledger.
/// Returns how many were new.
pub async fn add(db: &PgPool, products: &[NewProduct]) -> sqlx::Result<u64> {
    let ids: Vec<Uuid> = products.iter().map(|p| p.id.uuid()).collect();
    let names: Vec<String> = products.iter().map(|p| p.name.clone()).collect();
    let names_en: Vec<String> = products.iter().map(|p| p.name_en.clone()).collect();
    let prices: Vec<i64> = products.iter().map(|p| p.price.get()).collect();
    let images: Vec<Option<String>> = products.iter().map(|p| p.image_url.clone()).collect();
    let stock: Vec<i32> = products.iter().map(|p| p.stock).collect();
    let added = sqlx::query_scalar!(
        r#"
        WITH added AS (
            INSERT INTO products (id, name, name_en, price, image_url)
            SELECT id, name, name_en, price, image_url
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[])
                AS p (id, name, name_en, price, image_url)
            ON CONFLICT (id) DO NOTHING
            RETURNING id
        ), received AS (
            SELECT a.id, p.stock FROM added a JOIN unnest($1::uuid[], $6::int[]) AS p (id, stock) USING (id)
        ), shelved AS (
            INSERT INTO stock (product_id, on_hand) SELECT id, stock FROM received
        ), booked AS (
            INSERT INTO stock_ledger (product_id, kind, quantity)
            SELECT id, 'received', stock FROM received WHERE stock > 0
        )
        SELECT count(*) AS "added!" FROM added
        "#,
        &ids,
        &names,
        &names_en,
        &prices,
        &images as &[Option<String>],
        &stock
    )
    .fetch_one(db)
    .await?;
    Ok(added.unsigned_abs())
}
