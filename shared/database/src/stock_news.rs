//! What is left of each product, and notifications of its changes.

use domain::ProductId;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::decode_text;

/// The channel that the trigger `stock_tell` writes to.
const CHANNEL: &str = "stock";

/// What is left of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The product.
    pub product: ProductId,
    /// Pieces that can still be bought: on hand and not reserved.
    pub left: i32,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        let (product, left) = text.split_once(' ')?;
        Some(Self { product: product.parse().ok()?, left: left.parse().ok()? })
    }
}

/// What is left of every product that has a shelf.
pub async fn levels(db: &PgPool) -> sqlx::Result<Vec<Level>> {
    sqlx::query!(r#"SELECT product_id, on_hand - reserved AS "left!" FROM stock"#)
        .map(|row| Level { product: row.product_id.into(), left: row.left })
        .fetch_all(db)
        .await
}

/// Hears of every change from the moment it is opened, on a connection of its own.
pub struct StockListener(PgListener);

impl StockListener {
    /// Connects to the database that `db` is connected to.
    pub async fn open(db: &PgPool) -> sqlx::Result<Self> {
        let options = db.connect_options().as_ref().clone().application_name("jumun-stock-news");
        let own =
            PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// The next change. `None`: the connection was lost and is there again; what happened meanwhile went unheard.
    ///
    /// May be dropped and called again: the connection never has a transaction, and what has arrived is kept.
    pub async fn next(&mut self) -> sqlx::Result<Option<Level>> {
        let Some(news) = self.0.try_recv().await? else { return Ok(None) };
        let level = Level::parse(news.payload());
        level.map(Some).ok_or_else(|| decode_text(format!("no stock level: {}", news.payload())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changes_for_buyers_is_told_and_nothing_else() {
        let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../fixtures/shop.sql")).await;
        sqlx::query("SELECT shop_product(7)").execute(&db).await.unwrap();
        let mut news = StockListener::open(&db).await.unwrap();
        let [shelf] = levels(&db).await.unwrap().try_into().unwrap();
        assert_eq!(shelf.left, 7);
        for change in [
            "UPDATE stock SET on_hand = on_hand + 10, reserved = reserved + 10", // as many as before
            "UPDATE stock SET reserved = reserved + 1",
            "UPDATE stock SET on_hand = on_hand - 1, reserved = reserved - 1", // sold
            "UPDATE stock SET on_hand = on_hand + 5",
        ] {
            sqlx::query(change).execute(&db).await.unwrap();
        }
        for left in [6, 11] {
            assert_eq!(news.next().await.unwrap(), Some(Level { left, ..shelf }));
        }
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for text in ["", "1", "x 1", "0198c1a2-0000-7000-8000-000000000042", "0198c1a2-0000-7000-8000-000000000042 x"] {
            assert_eq!(Level::parse(text), None, "{text}");
        }
    }
}
