//! The embedded message engine's store: one row per message and subscription, until it is acknowledged.
//!
//! The statements on a purchase's path do not wait for the disk. What a crash of the server forgets is always the end of
//! one log: an acknowledgement that is forgotten is a redelivery, and a message cannot be forgotten while the outbox row,
//! marked published after it, is remembered as such.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A message to be delivered to every subscription of its topic.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Publishing it again while it is still on its way changes nothing.
    pub dedup_key: String,
    /// What it carries.
    pub data: &'a [u8],
    /// Its attributes, a JSON object of strings.
    pub attributes: String,
}

/// How much of a subscription to take.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// The subscription.
    pub subscription: &'a str,
    /// At most this many.
    pub limit: usize,
    /// How long nobody else gets them.
    pub lease: Duration,
}

/// A message that is ours to push until the lease runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The message's id.
    pub id: Uuid,
    /// Where it goes.
    pub subscription: String,
    /// What it carries.
    pub data: Vec<u8>,
    /// Its attributes, a JSON object of strings.
    pub attributes: String,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Which attempt this is, from 1.
    pub attempt: i32,
}

struct RoomColumns<'a> {
    subscriptions: Vec<&'a str>,
    limits: Vec<i64>,
    leases: Vec<f64>,
}

impl<'a> RoomColumns<'a> {
    fn of(rooms: &[Room<'a>]) -> Self {
        Self {
            subscriptions: rooms.iter().map(|it| it.subscription).collect(),
            limits: rooms.iter().map(|it| i64::try_from(it.limit).unwrap_or(i64::MAX)).collect(),
            leases: rooms.iter().map(|it| it.lease.as_secs_f64()).collect(),
        }
    }
}

/// Stores messages for delivery: one row for each message and each of its topic's subscriptions, given as pairs of
/// topic and subscription. As many of each subscription as there is `room` for are born leased, and returned: whoever is
/// about to push them need not look for them.
pub async fn enqueue(
    pool: &PgPool,
    messages: &[Message<'_>],
    subscriptions: &[(&str, &str)],
    rooms: &[Room<'_>],
) -> sqlx::Result<Vec<Lease>> {
    let topics: Vec<&str> = messages.iter().map(|it| it.topic).collect();
    let keys: Vec<&str> = messages.iter().map(|it| it.dedup_key.as_str()).collect();
    let data: Vec<&[u8]> = messages.iter().map(|it| it.data).collect();
    let attributes: Vec<&str> = messages.iter().map(|it| it.attributes.as_str()).collect();
    let (from, to): (Vec<&str>, Vec<&str>) = subscriptions.iter().copied().unzip();
    let room = RoomColumns::of(rooms);
    sqlx::query_as!(
        Lease,
        r#"
        WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        stored AS (
            INSERT INTO deliveries (id, subscription, dedup_key, data, attributes, attempts, due_at)
            SELECT gen_random_uuid(), subscription, dedup_key, data, attributes::jsonb, leased::int,
                now() + make_interval(secs => CASE WHEN leased THEN lease ELSE 0 END)
            FROM unflushed, (
                SELECT *, row_number() OVER (PARTITION BY subscription ORDER BY dedup_key) <= coalesce(most, 0) AS leased
                FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[]) AS m (topic, dedup_key, data, attributes)
                JOIN unnest($5::text[], $6::text[]) AS s (topic, subscription) USING (topic)
                LEFT JOIN unnest($7::text[], $8::int8[], $9::float8[]) AS room (subscription, most, lease)
                    USING (subscription)
            ) message
            -- Two publishers of the same messages meet their conflicts in the same order.
            ORDER BY subscription, dedup_key
            ON CONFLICT (subscription, dedup_key) DO NOTHING
            RETURNING id, subscription, data, attributes, published_at, attempts
        )
        SELECT id, subscription, data, attributes::text AS "attributes!", published_at, attempts AS attempt
        FROM stored WHERE attempts = 1
        "#,
        &topics as &[&str],
        &keys as &[&str],
        &data as &[&[u8]],
        &attributes as &[&str],
        &from as &[&str],
        &to as &[&str],
        &room.subscriptions as &[&str],
        &room.limits,
        &room.leases,
    )
    .fetch_all(pool)
    .await
}

/// Leases what is due, oldest first. A lease that is not concluded makes the message due again by running out.
pub async fn lease(pool: &PgPool, rooms: &[Room<'_>]) -> sqlx::Result<Vec<Lease>> {
    let room = RoomColumns::of(rooms);
    sqlx::query_as!(
        Lease,
        r#"
        WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
        due AS MATERIALIZED (
            SELECT next.id, room.lease
            FROM unnest($1::text[], $2::int8[], $3::float8[]) AS room (subscription, most, lease)
            CROSS JOIN LATERAL (
                SELECT id FROM deliveries
                WHERE subscription = room.subscription AND due_at <= now()
                ORDER BY due_at LIMIT room.most
                FOR UPDATE SKIP LOCKED
            ) next
        )
        UPDATE deliveries d SET attempts = d.attempts + 1, due_at = now() + make_interval(secs => due.lease)
        FROM due, unflushed WHERE d.id = due.id
        RETURNING d.id, d.subscription, d.data, d.attributes::text AS "attributes!", d.published_at,
            d.attempts AS attempt
        "#,
        &room.subscriptions as &[&str],
        &room.limits,
        &room.leases,
    )
    .fetch_all(pool)
    .await
}

/// What became of a pushed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: it is gone. Also when the lease had run out meanwhile.
    Done(Uuid),
    /// Not acknowledged: due again later, unless somebody else has leased it meanwhile.
    Again {
        /// The message.
        id: Uuid,
        /// The attempt that failed.
        attempt: i32,
        /// How much later.
        after: Duration,
    },
    /// Given up: moves to the dead-letter subscription, unless somebody else has leased it meanwhile.
    Dead {
        /// The message.
        id: Uuid,
        /// The attempt that failed.
        attempt: i32,
    },
}

/// Where given-up messages go, and what they are told about where they come from.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetterRoute<'a> {
    /// The subscription that takes them.
    pub subscription: &'a str,
    /// The project that the source subscription belongs to.
    pub project: &'a str,
}

/// Writes outcomes down, one statement per kind. Safe to repeat.
pub async fn conclude(
    db: &mut PgConnection,
    outcomes: &[Outcome],
    dead_letters: DeadLetterRoute<'_>,
) -> sqlx::Result<()> {
    let mut done = Vec::new();
    let mut again = (Vec::new(), Vec::new(), Vec::new());
    let mut dead = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match *outcome {
            Outcome::Done(id) => done.push(id),
            Outcome::Again { id, attempt, after } => {
                again.0.push(id);
                again.1.push(attempt);
                again.2.push(after.as_secs_f64());
            }
            Outcome::Dead { id, attempt } => {
                dead.0.push(id);
                dead.1.push(attempt);
            }
        }
    }
    if !done.is_empty() {
        acknowledge(db, &done).await?;
    }
    if !again.0.is_empty() {
        postpone(db, &again.0, &again.1, &again.2).await?;
    }
    if !dead.0.is_empty() {
        give_up(db, &dead.0, &dead.1, dead_letters).await?;
    }
    Ok(())
}

async fn acknowledge(db: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        DELETE FROM deliveries USING unflushed WHERE id = ANY($1)",
        ids,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn postpone(db: &mut PgConnection, ids: &[Uuid], attempts: &[i32], seconds: &[f64]) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
        UPDATE deliveries d SET due_at = now() + make_interval(secs => failed.after)
        FROM unflushed, unnest($1::uuid[], $2::int4[], $3::float8[]) AS failed (id, attempt, after)
        -- The attempt is the fence: another broker's lease has a later one.
        WHERE d.id = failed.id AND d.attempts = failed.attempt",
        ids,
        attempts,
        seconds,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn give_up(
    db: &mut PgConnection,
    ids: &[Uuid],
    attempts: &[i32],
    route: DeadLetterRoute<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH dead AS (
            DELETE FROM deliveries d USING unnest($1::uuid[], $2::int4[]) AS failed (id, attempt)
            WHERE d.id = failed.id AND d.attempts = failed.attempt
            RETURNING d.*
        )
        INSERT INTO deliveries (id, subscription, dedup_key, data, attributes)
        -- The same event may die in several subscriptions, and again after a replay: each is a message of its own.
        SELECT gen_random_uuid(), $3, dead.id::text, data, attributes || jsonb_build_object(
            'CloudPubSubDeadLetterSourceDeliveryCount', attempts::text,
            'CloudPubSubDeadLetterSourceSubscription', subscription,
            'CloudPubSubDeadLetterSourceSubscriptionProject', $4::text,
            'CloudPubSubDeadLetterSourceTopicPublishTime',
                to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
        FROM dead
        "#,
        ids,
        attempts,
        route.subscription,
        route.project,
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const ROUTE: DeadLetterRoute<'_> = DeadLetterRoute { subscription: "dead-letter-sub", project: "local" };
    const TOPOLOGY: [(&str, &str); 3] = [("paid", "stock"), ("paid", "push"), ("refunded", "refunds")];

    fn message(key: &str) -> Message<'_> {
        Message { topic: "paid", dedup_key: key.into(), data: b"\0\xff", attributes: r#"{"ce-id":"1"}"#.into() }
    }

    async fn enqueue_some(pool: &PgPool, keys: &[&str]) {
        let messages: Vec<_> = keys.iter().map(|key| message(key)).collect();
        assert!(enqueue(pool, &messages, &TOPOLOGY, &[]).await.unwrap().is_empty(), "nobody asked for a lease");
    }

    async fn take(pool: &PgPool, subscription: &str, limit: usize, lease: Duration) -> Vec<Lease> {
        super::lease(pool, &[Room { subscription, limit, lease }]).await.unwrap()
    }

    #[tokio::test]
    async fn a_message_goes_once_to_every_subscription_of_its_topic() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        enqueue_some(&pool, &["a", "b"]).await;
        enqueue_some(&pool, &["b", "a"]).await;
        let rooms = ["stock", "push", "refunds"].map(|it| Room { subscription: it, limit: 9, lease: MINUTE });
        let mut leased = lease(&pool, &rooms).await.unwrap();
        leased.sort_by(|a, b| a.subscription.cmp(&b.subscription));
        let subscriptions: Vec<_> = leased.iter().map(|it| it.subscription.as_str()).collect();
        assert_eq!(subscriptions, ["push", "push", "stock", "stock"]);
        assert!(leased.iter().all(|it| it.attempt == 1 && it.data == b"\0\xff"));
        assert_eq!(leased[0].attributes, r#"{"ce-id": "1"}"#);
    }

    #[tokio::test]
    async fn as_many_as_there_is_room_for_are_born_leased() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        let messages = ["a", "b", "c"].map(message);
        let rooms =
            [("stock", 2), ("refunds", 9)].map(|(subscription, limit)| Room { subscription, limit, lease: MINUTE });
        let leased = enqueue(&pool, &messages, &TOPOLOGY, &rooms).await.unwrap();
        assert_eq!(leased.len(), 2, "{leased:?}");
        assert!(leased.iter().all(|it| it.subscription == "stock" && it.attempt == 1 && it.data == b"\0\xff"));
        assert!(enqueue(&pool, &messages, &TOPOLOGY, &rooms).await.unwrap().is_empty(), "published before");
        assert_eq!(take(&pool, "stock", 9, MINUTE).await.len(), 1, "the others are due, as ever");
        assert_eq!(take(&pool, "push", 9, MINUTE).await.len(), 3);

        let abandoned = leased.iter().map(|it| Outcome::Again { id: it.id, attempt: 1, after: Duration::ZERO });
        conclude(&mut pool.acquire().await.unwrap(), &abandoned.collect::<Vec<_>>(), ROUTE).await.unwrap();
        let again = take(&pool, "stock", 9, MINUTE).await;
        assert_eq!(again.iter().map(|it| it.attempt).collect::<Vec<_>>(), [2, 2]);
    }

    #[tokio::test]
    async fn a_lease_excludes_others_until_it_runs_out() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        enqueue_some(&pool, &["a", "b", "c"]).await;
        assert_eq!(take(&pool, "stock", 2, MINUTE).await.len(), 2);
        let short = take(&pool, "stock", 9, Duration::ZERO).await;
        assert_eq!(short.len(), 1);
        let again = take(&pool, "stock", 9, MINUTE).await;
        assert_eq!((again[0].id, again[0].attempt), (short[0].id, 2));
    }

    #[tokio::test]
    async fn the_holder_of_a_lease_that_ran_out_can_acknowledge_but_not_postpone() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        enqueue_some(&pool, &["a"]).await;
        let stale = take(&pool, "stock", 1, Duration::ZERO).await.remove(0);
        let current = take(&pool, "stock", 1, MINUTE).await.remove(0);
        let too_late = [
            Outcome::Again { id: stale.id, attempt: stale.attempt, after: Duration::ZERO },
            Outcome::Dead { id: stale.id, attempt: stale.attempt },
        ];
        conclude(&mut pool.acquire().await.unwrap(), &too_late, ROUTE).await.unwrap();
        assert!(take(&pool, "stock", 1, MINUTE).await.is_empty(), "the second holder still has it");

        conclude(&mut pool.acquire().await.unwrap(), &[Outcome::Done(stale.id)], ROUTE).await.unwrap();
        let again = Outcome::Again { id: current.id, attempt: current.attempt, after: Duration::ZERO };
        conclude(&mut pool.acquire().await.unwrap(), &[again], ROUTE).await.unwrap();
        assert!(take(&pool, "stock", 1, MINUTE).await.is_empty(), "what is done is gone");
    }

    #[tokio::test]
    async fn a_failed_message_is_due_later() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        enqueue_some(&pool, &["a"]).await;
        let leased = take(&pool, "stock", 1, MINUTE).await.remove(0);
        sqlx::query("DELETE FROM deliveries WHERE subscription = 'push'").execute(&pool).await.unwrap();
        let again = Outcome::Again { id: leased.id, attempt: 1, after: 5 * MINUTE };
        conclude(&mut pool.acquire().await.unwrap(), &[again], ROUTE).await.unwrap();
        assert!(take(&pool, "stock", 1, MINUTE).await.is_empty());
        let due: DateTime<Utc> = sqlx::query_scalar("SELECT due_at FROM deliveries").fetch_one(&pool).await.unwrap();
        let due = due - leased.published_at;
        assert!((300..400).contains(&due.num_seconds()), "{due}");
    }

    #[tokio::test]
    async fn a_given_up_message_moves_with_all_it_carries() {
        let pool = postgres::fresh(&crate::MIGRATOR).await;
        enqueue_some(&pool, &["a"]).await;
        let mut dead = Vec::new();
        for subscription in ["stock", "push"] {
            let leased = take(&pool, subscription, 1, MINUTE).await.remove(0);
            dead.push(Outcome::Dead { id: leased.id, attempt: 1 });
        }
        conclude(&mut pool.acquire().await.unwrap(), &dead, ROUTE).await.unwrap();
        conclude(&mut pool.acquire().await.unwrap(), &dead, ROUTE).await.unwrap();

        let letters = take(&pool, "dead-letter-sub", 9, MINUTE).await;
        assert_eq!(letters.len(), 2, "one for each subscription that gave up");
        for letter in letters {
            assert_eq!((letter.data.as_slice(), letter.attempt), (b"\0\xff".as_slice(), 1));
            let attributes: serde_json::Value = serde_json::from_str(&letter.attributes).unwrap();
            assert_eq!(attributes["ce-id"], "1");
            assert_eq!(attributes["CloudPubSubDeadLetterSourceDeliveryCount"], "1");
            assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscriptionProject"], "local");
            let published = attributes["CloudPubSubDeadLetterSourceTopicPublishTime"].as_str().unwrap();
            assert!(published.parse::<DateTime<Utc>>().is_ok(), "{published}");
        }
    }
}
