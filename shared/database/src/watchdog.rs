//! Published events without their effect: a message engine can lose what it had accepted.

use std::time::Duration;

use domain::EventId;
use sqlx::PgPool;

/// How often the wait before the next look doubles. From 10 minutes that is to most of a day.
const DOUBLINGS: i16 = 7;

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Events that were looked at.
    pub looked: usize,
    /// Those that lacked an effect. The relay will publish them again.
    pub put_back: Vec<EventId>,
}

/// Looks at up to `limit` events that were published longer ago than `age` and not looked at since, and at as many that
/// lacked an effect before. What lacks one still is put back into the outbox, and looked at again after a time that doubles.
/// `consumers` are pairs of topic and subscription: who must have acted upon which events.
///
/// The limit is exceeded by events that were published at the same moment as the last one.
pub async fn look(pool: &PgPool, age: Duration, consumers: &[(&str, &str)], limit: i64) -> sqlx::Result<Look> {
    let (topics, names): (Vec<&str>, Vec<&str>) = consumers.iter().copied().unzip();
    let found = sqlx::query!(
        r#"
        WITH turn AS MATERIALIZED (
            -- One look at a time: a second watchdog has nothing to add.
            SELECT looked_until FROM watchdog FOR NO KEY UPDATE SKIP LOCKED
        ), fresh AS MATERIALIZED (
            SELECT e.id, e.type, e.published_at
            FROM turn CROSS JOIN LATERAL (
                SELECT id, type, published_at FROM outbox
                WHERE published_at > turn.looked_until AND published_at <= now() - make_interval(secs => $1)
                    AND look_at IS NULL
                -- With ties: a batch is published at one moment, and the next look begins after it.
                ORDER BY published_at FETCH FIRST ($2::int8) ROWS WITH TIES
            ) e
        ), missed AS MATERIALIZED (
            SELECT e.id, e.type
            FROM turn CROSS JOIN LATERAL (
                SELECT id, type FROM outbox
                -- Put back and published only now, after an outage of the engine: give it the same time as any other.
                WHERE look_at <= now() AND published_at <= now() - make_interval(secs => $1)
                ORDER BY look_at LIMIT $2
            ) e
        ), lacking AS MATERIALIZED (
            SELECT DISTINCT e.id
            FROM (SELECT id, type FROM fresh UNION ALL SELECT id, type FROM missed) e
            JOIN unnest($3::text[], $4::text[]) AS consumer (topic, name) ON consumer.topic = e.type
            -- LIMIT 1: one probe of the index for each, and never a hash of the whole inbox.
            LEFT JOIN LATERAL (
                SELECT true AS there FROM inbox WHERE inbox.consumer = consumer.name AND event_id = e.id LIMIT 1
            ) effect ON true
            -- A person will decide about it, or has decided that it is to have no effect.
            LEFT JOIN LATERAL (
                SELECT true AS there FROM dead_letters
                WHERE event_id = e.id AND source = consumer.name AND status IN ('open', 'discarded') LIMIT 1
            ) letter ON effect.there IS NULL
            WHERE effect.there IS NULL AND letter.there IS NULL
        ), put_back AS (
            UPDATE outbox SET published_at = NULL, claimed_until = now(), republished = republished + 1,
                look_at = now() + make_interval(secs => $1 * 2 ^ least(republished + 1, $5::int2))
            WHERE id IN (SELECT id FROM lacking)
            RETURNING id
        ), complete AS (
            UPDATE outbox SET look_at = NULL
            WHERE id IN (SELECT id FROM missed EXCEPT SELECT id FROM lacking)
        ), moved AS (
            UPDATE watchdog SET looked_until = last.published_at
            FROM (SELECT max(published_at) AS published_at FROM fresh) last
            WHERE last.published_at IS NOT NULL
        )
        SELECT (SELECT count(*) FROM fresh) + (SELECT count(*) FROM missed) AS "looked!",
            ARRAY(SELECT id FROM put_back) AS "put_back!"
        "#,
        age.as_secs_f64(),
        limit,
        &topics as &[&str],
        &names as &[&str],
        DOUBLINGS,
    )
    .fetch_one(pool)
    .await?;
    Ok(Look {
        looked: usize::try_from(found.looked).unwrap_or(usize::MAX),
        put_back: found.put_back.into_iter().map(EventId::from).collect(),
    })
}

#[cfg(test)]
mod tests;
