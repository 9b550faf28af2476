//! What each consumer has already acted upon. Claims are made inside the statement of the effect they guard.

use std::time::Duration;

use sqlx::PgPool;

/// What a consumer's statement did about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// The effect took place now.
    Done,
    /// It had taken place before.
    Duplicate,
    /// Our outbox announced no such event. A message alone is no authority to act.
    Unknown,
    /// The order is not in the state that the event announced.
    NotPaid,
}

/// Forgets claims that are older than any message can be. Returns how many; call again while it is `limit`.
///
/// A claim outlives its event: as long as that can be published again, who acted upon it must not act twice.
pub async fn prune(db: &PgPool, older_than: Duration, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        r#"
        DELETE FROM inbox WHERE (consumer, event_id) IN (
            SELECT consumer, event_id FROM inbox
            WHERE at < now() - make_interval(secs => $1) AND NOT EXISTS (SELECT FROM outbox WHERE id = event_id)
            ORDER BY at LIMIT $2
        )
        "#,
        older_than.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_old_claims_are_forgotten() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        sqlx::query("INSERT INTO inbox SELECT 'checkout-stock', gen_random_uuid(), now() - n * interval '1 day' FROM generate_series(1, 9) n")
            .execute(&db)
            .await
            .unwrap();
        let week = Duration::from_hours(7 * 24) - Duration::from_mins(1);
        assert_eq!(prune(&db, week, 2).await.unwrap(), 2);
        assert_eq!(prune(&db, week, 2).await.unwrap(), 1);
        assert_eq!(prune(&db, week, 2).await.unwrap(), 0);
    }
}
