//! The demo catalogue.

use anyhow::Context as _;
use database::products::{self, NewProduct};
use domain::Won;
use sqlx::PgPool;
use uuid::Uuid;

use crate::home::Home;
use crate::output;
use crate::store::Store;
use crate::variables::Variables;

/// Korean name, English name, picture, won, pieces. The position decides the id: append, do not insert.
const CATALOGUE: [(&str, &str, &str, i64, i32); 8] = [
    ("달항아리 머그컵", "Moon jar mug", "moon-jar-mug", 18_000, 120),
    ("옻칠 나무 숟가락", "Lacquered wooden spoon", "wooden-spoon", 12_000, 200),
    ("보성 녹차 80g", "Boseong green tea, 80 g", "green-tea", 22_000, 80),
    ("전통 매듭 책갈피", "Knotted silk bookmark", "silk-bookmark", 9_000, 300),
    ("한지 공책 세트", "Hanji notebook set", "hanji-notebook", 15_000, 150),
    ("제주 감귤 초콜릿", "Jeju tangerine chocolate", "tangerine-chocolate", 13_500, 5),
    ("모시 보자기", "Ramie wrapping cloth", "ramie-cloth", 34_000, 40),
    ("유기 수저 세트", "Brassware cutlery set", "brass-cutlery", 89_000, 12),
];

/// The first id; the others follow it. Written down, so that seeding twice is seeding once.
const FIRST_ID: u128 = 0x0199_0000_0000_7000_8000_0000_0000_0001;

fn catalogue() -> anyhow::Result<Vec<NewProduct>> {
    (FIRST_ID..)
        .zip(CATALOGUE)
        .map(|(id, (name, name_en, picture, price, stock))| {
            let price = Won::new(price).context("the demo catalogue has an impossible price")?;
            let id = Uuid::from_u128(id).into();
            Ok(NewProduct {
                id,
                name: name.into(),
                name_en: name_en.into(),
                price,
                image_url: Some(format!("/assets/demo/{picture}.svg")),
                stock,
            })
        })
        .collect()
}

/// Puts the demo catalogue on sale, what of it is not there yet. Returns how many products were new.
pub(crate) async fn fill(db: &PgPool) -> anyhow::Result<u64> {
    Ok(products::add(db, &catalogue()?).await?)
}

/// The command.
pub(crate) async fn seed(variables: &Variables, home: &Home) -> anyhow::Result<()> {
    let store = Store::find(variables, home).await?;
    store.migrate().await?;
    let db = store.connect(1, None).await?;
    let added = fill(&db).await?;
    db.close().await;
    store.close().await?;
    Ok(output::say(&format!("상품 {added}개를 추가했습니다 · {added} products added"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn seeding_twice_is_seeding_once() {
        let db = postgres::fresh(&database::MIGRATOR).await;
        assert_eq!(fill(&db).await.unwrap(), 8);
        assert_eq!(fill(&db).await.unwrap(), 0);
        assert!(products::list(&db).await.unwrap().iter().all(|product| product.available > 0));
    }
}
