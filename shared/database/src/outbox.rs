//! The outbox: events that committed together with what they announce, on their way to the message engine.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{EventEnvelope, EventId, EventType};
use sqlx::PgPool;
use uuid::Uuid;

/// Takes up to `limit` unpublished events, oldest first, and keeps other relays from them for `claim`.
/// Whoever publishes them calls [`mark_published`]; what is not marked by then is taken again.
pub async fn claim(pool: &PgPool, limit: i64, claim: Duration) -> sqlx::Result<Vec<EventEnvelope>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        -- A claim that a crash of the server forgets is only a second publish: no need to wait for the disk.
        WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        next AS MATERIALIZED (
            SELECT id FROM outbox
            WHERE published_at IS NULL AND (claimed_until IS NULL OR claimed_until <= now())
            ORDER BY occurred_at LIMIT $1
            FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE outbox SET claimed_until = now() + make_interval(secs => $2)
        FROM next, unflushed WHERE outbox.id = next.id
        RETURNING outbox.id, outbox.type AS event_type, outbox.order_id, outbox.data, outbox.traceparent,
            outbox.occurred_at
        "#,
        limit,
        claim.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::event).collect()
}

/// The events of these ids that there are, published or not.
pub async fn find(pool: &PgPool, ids: &[EventId]) -> sqlx::Result<Vec<EventEnvelope>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, type AS event_type, order_id, data, traceparent, occurred_at FROM outbox WHERE id = ANY($1)",
        &ids
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Row::event).collect()
}

struct Row {
    id: Uuid,
    event_type: String,
    order_id: Uuid,
    data: String,
    traceparent: Option<String>,
    occurred_at: DateTime<Utc>,
}

impl Row {
    fn event(self) -> sqlx::Result<EventEnvelope> {
        Ok(EventEnvelope {
            id: self.id.into(),
            event_type: event_type(&self.event_type)?,
            order: self.order_id.into(),
            occurred_at: self.occurred_at,
            data: self.data,
            traceparent: self.traceparent,
        })
    }
}

fn event_type(name: &str) -> sqlx::Result<EventType> {
    EventType::parse(name).ok_or_else(|| crate::decode_text(format!("no event type {name}")))
}

/// Notes that the engine has these events for good. Safe to repeat, also by a relay whose claim ran out.
pub async fn mark_published(pool: &PgPool, ids: &[EventId]) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    sqlx::query!(
        "-- Forgotten in a crash, it is only a second publish.
        WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        -- Whether it was marked before is not asked: that would invite a plan that reads everything unpublished.
        UPDATE outbox SET published_at = coalesce(published_at, now()), claimed_until = NULL
        FROM unflushed WHERE id = ANY($1)",
        &ids,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes at most `limit` events that were published longer ago than `age`, with the attempts to tell of them. Returns how
/// many; call again while it is `limit`.
///
/// What may still be needed stays: an event that lacks an effect, and one that a dead letter is about, until `age` after
/// somebody has decided about the letter.
pub async fn prune(pool: &PgPool, age: Duration, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "WITH old AS MATERIALIZED (
            SELECT id FROM outbox
            WHERE published_at < now() - make_interval(secs => $1) AND published_at IS NOT NULL AND look_at IS NULL
                AND NOT EXISTS (
                    SELECT FROM dead_letters l
                    WHERE l.event_id = outbox.id AND coalesce(l.resolved_at, now()) > now() - make_interval(secs => $1))
            ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ), told AS (
            DELETE FROM push_attempts WHERE event_id IN (SELECT id FROM old)
        )
        DELETE FROM outbox WHERE id IN (SELECT id FROM old)",
        age.as_secs_f64(),
        limit,
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    async fn unpublished(db: &PgPool) -> i64 {
        let sql = "SELECT count(*) FROM outbox WHERE published_at IS NULL";
        sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
    }

    fn ids(events: &[EventEnvelope]) -> Vec<EventId> {
        events.iter().map(|event| event.id).collect()
    }

    #[tokio::test]
    async fn two_relays_share_the_events_and_none_is_skipped() {
        let pool = postgres::fresh_with(&crate::MIGRATOR, include_str!("../fixtures/announced_payments.sql")).await;
        let (one, other) = tokio::join!(claim(&pool, 200, MINUTE), claim(&pool, 200, MINUTE));
        let mut all = ids(&one.unwrap());
        all.extend(ids(&other.unwrap()));
        assert!(all.len() >= 200);
        all.extend(ids(&claim(&pool, 200, MINUTE).await.unwrap()));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 250);
        assert!(claim(&pool, 200, MINUTE).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_not_marked_is_taken_again() {
        let pool = postgres::fresh_with(&crate::MIGRATOR, include_str!("../fixtures/announced_payments.sql")).await;
        let first = claim(&pool, 10, Duration::ZERO).await.unwrap();
        let mut again = claim(&pool, 10, MINUTE).await.unwrap();
        let mut oldest = first.clone();
        for events in [&mut oldest, &mut again] {
            events.sort_by_key(|event| event.occurred_at);
        }
        assert_eq!(oldest, again);

        mark_published(&pool, &ids(&first)).await.unwrap();
        mark_published(&pool, &ids(&first)).await.unwrap();
        assert_eq!(unpublished(&pool).await, 240);
    }

    #[tokio::test]
    async fn only_old_events_that_nobody_needs_are_pruned() {
        let pool = postgres::fresh_with(&crate::MIGRATOR, include_str!("../fixtures/announced_payments.sql")).await;
        let published = ids(&claim(&pool, 100, MINUTE).await.unwrap());
        mark_published(&pool, &published).await.unwrap();
        for sql in [
            "INSERT INTO push_attempts (event_id, device_id, order_id) SELECT id, gen_random_uuid(), order_id FROM outbox",
            "UPDATE outbox SET published_at = now() - interval '2 minutes' WHERE published_at IS NOT NULL",
        ] {
            sqlx::query(sql).execute(&pool).await.unwrap();
        }
        let keep = |event: usize, sql: &'static str| sqlx::query(sql).bind(published[event].uuid()).execute(&pool);
        keep(0, "UPDATE outbox SET look_at = now() WHERE id = $1").await.unwrap();
        let letter =
            "INSERT INTO dead_letters (id, event_id, source, data, reason) VALUES (gen_random_uuid(), $1, 'x', '', '')";
        keep(1, letter).await.unwrap();
        keep(2, letter).await.unwrap();
        keep(2, "UPDATE dead_letters SET status = 'replayed', resolved_at = now() WHERE event_id = $1").await.unwrap();
        assert_eq!(prune(&pool, 60 * MINUTE, 1_000).await.unwrap(), 0);
        assert_eq!(prune(&pool, MINUTE, 60).await.unwrap(), 60);
        assert_eq!(prune(&pool, MINUTE, 60).await.unwrap(), 37);
        let told: i64 = sqlx::query_scalar("SELECT count(*) FROM push_attempts").fetch_one(&pool).await.unwrap();
        assert_eq!(told, 153, "with what was sent because of them");

        let old = "UPDATE dead_letters SET resolved_at = now() - interval '2 minutes' WHERE event_id = $1";
        keep(2, old).await.unwrap();
        assert_eq!(prune(&pool, MINUTE, 60).await.unwrap(), 1, "its letter is dealt with");
    }
}
