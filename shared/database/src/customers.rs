//! Customers and their sessions.

use domain::CustomerId;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// SHA-256 of a session cookie.
pub type TokenHash = [u8; 32];

/// Whoever holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    /// Our id.
    pub id: CustomerId,
    /// What the payment provider knows the customer by.
    pub key: Uuid,
    /// Whether the customer has signed in; else a guest.
    pub member: bool,
    /// A member's session that is in use and would soon end; see [`crate::members::keep`].
    pub in_need_of_keeping: bool,
}

impl Customer {
    fn guest(id: Uuid, key: Uuid) -> Self {
        Self { id: id.into(), key, member: false, in_need_of_keeping: false }
    }
}

/// Finds the customers behind live sessions; `None` for a session that is unknown or over.
pub async fn find_by_sessions(db: impl PgExecutor<'_>, sessions: &[TokenHash]) -> sqlx::Result<Vec<Option<Customer>>> {
    let hashes: Vec<&[u8]> = sessions.iter().map(<[u8; 32]>::as_slice).collect();
    let rows = sqlx::query!(
        r#"
        SELECT c.id AS "id?", c.customer_key AS "key?", s.member AS "member?",
            -- Not at every use: that would be a write for each page.
            s.member AND s.expires_at < least(now() + interval '25 minutes', s.created_at + interval '12 hours') AS due
        FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (token_hash, ix)
        LEFT JOIN sessions s ON s.token_hash = asked.token_hash AND s.expires_at > now()
        LEFT JOIN customers c ON c.id = s.customer_id
        ORDER BY asked.ix
        "#,
        &hashes as &[&[u8]]
    )
    .fetch_all(db)
    .await?;
    let customer = |id: Uuid, key, member, due| Customer { id: id.into(), key, member, in_need_of_keeping: due };
    Ok(rows
        .into_iter()
        .map(|row| Some(customer(row.id?, row.key?, row.member?, row.due.unwrap_or_default())))
        .collect())
}

/// Makes a guest for each session: a customer that nobody has a name for yet.
pub async fn open_guests(db: impl PgExecutor<'_>, sessions: &[TokenHash]) -> sqlx::Result<Vec<Customer>> {
    let hashes: Vec<&[u8]> = sessions.iter().map(<[u8; 32]>::as_slice).collect();
    let guests: Vec<Customer> =
        sessions.iter().map(|_| Customer::guest(CustomerId::new().uuid(), Uuid::new_v4())).collect();
    let ids: Vec<Uuid> = guests.iter().map(|guest| guest.id.uuid()).collect();
    let keys: Vec<Uuid> = guests.iter().map(|guest| guest.key).collect();
    let rows = sqlx::query!(
        r#"
        -- A session that exists already was made by this call's first try: its customer is the answer.
        WITH asked AS (
            SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS a (token_hash, id, key, ix)
        ), fresh AS (
            SELECT a.* FROM asked a WHERE NOT EXISTS (SELECT FROM sessions s WHERE s.token_hash = a.token_hash)
        ), guest AS (
            INSERT INTO customers (id, customer_key) SELECT id, key FROM fresh
        ), opened AS (
            INSERT INTO sessions (token_hash, customer_id, expires_at)
            SELECT token_hash, id, now() + interval '180 days' FROM fresh
        )
        SELECT coalesce(c.id, a.id) AS "id!", coalesce(c.customer_key, a.key) AS "key!"
        FROM asked a
        LEFT JOIN sessions s ON s.token_hash = a.token_hash
        LEFT JOIN customers c ON c.id = s.customer_id
        ORDER BY a.ix
        "#,
        &hashes as &[&[u8]],
        &ids,
        &keys
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| Customer::guest(row.id, row.key)).collect())
}

/// Forgets sessions that ended more than a day ago, at most `limit` of them. Returns how many.
pub async fn prune_sessions(db: &PgPool, limit: i64) -> sqlx::Result<u64> {
    let pruned = sqlx::query!(
        "
        DELETE FROM sessions WHERE token_hash IN (
            SELECT token_hash FROM sessions WHERE expires_at < now() - interval '1 day'
            ORDER BY expires_at LIMIT $1)
        ",
        limit
    )
    .execute(db)
    .await?;
    Ok(pruned.rows_affected())
}

/// Where a look through all customers, in the order of their ids, goes on. The default is the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct GuestsFrom(Uuid);

/// Looks at the next `limit` customers and forgets those who are nobody any more: a month old, not a member, without a
/// session, an order or a device. Returns how many those were, and where to go on.
pub async fn prune_guests(db: &PgPool, from: GuestsFrom, limit: i64) -> sqlx::Result<(i64, GuestsFrom)> {
    let looked = sqlx::query!(
        r#"
        WITH looked AS MATERIALIZED (
            SELECT id, created_at < now() - interval '30 days' AS old FROM customers
            WHERE id > $1 ORDER BY id LIMIT $2
        ), pruned AS (
            -- Nobody can come to be them: what made them known is gone. One by one, not by reading all orders.
            DELETE FROM customers c USING looked l
            WHERE c.id = l.id AND l.old
                AND NOT EXISTS (SELECT FROM sessions s WHERE s.customer_id = l.id OFFSET 0)
                AND NOT EXISTS (SELECT FROM members m WHERE m.customer_id = l.id OFFSET 0)
                AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = l.id OFFSET 0)
                AND NOT EXISTS (SELECT FROM messaging_tokens t WHERE t.customer_id = l.id OFFSET 0)
            RETURNING c.id
        )
        SELECT (SELECT count(*) FROM pruned) AS "pruned!",
            -- Ids grow with time: behind a young one all are young.
            (SELECT id FROM looked WHERE old ORDER BY id OFFSET $2 - 1) AS last
        "#,
        from.0,
        limit
    )
    .fetch_one(db)
    .await?;
    Ok((looked.pruned, GuestsFrom(looked.last.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_sessions_that_ended_are_forgotten() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let hashes: Vec<TokenHash> = (0..9).map(|n| [n; 32]).collect();
        open_guests(&db, &hashes).await.unwrap();
        sqlx::query("UPDATE sessions SET expires_at = now() - get_byte(token_hash, 0) * interval '10 hours'")
            .execute(&db)
            .await
            .unwrap();
        assert_eq!(prune_sessions(&db, 4).await.unwrap(), 4);
        assert_eq!(prune_sessions(&db, 4).await.unwrap(), 2, "ended less than a day ago");
        assert_eq!(prune_sessions(&db, 4).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn guests_who_left_nothing_are_forgotten_after_a_month() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let hashes: Vec<TokenHash> = (0..12).map(|n| [n; 32]).collect();
        let guests = open_guests(&db, &hashes).await.unwrap();
        let execute = async |sql: &'static str, guest: usize| {
            sqlx::query(sql).bind(guests[guest].id.uuid()).execute(&db).await.unwrap();
        };
        execute("UPDATE customers SET created_at = now() - interval '31 days' WHERE id <> $1", 11).await;
        execute("DELETE FROM sessions WHERE customer_id <> $1", 0).await;
        execute("INSERT INTO members (customer_id, issuer, subject) VALUES ($1, 'i', 's')", 1).await;
        execute(
            "INSERT INTO messaging_tokens (id, customer_id, kind, token) VALUES (gen_random_uuid(), $1, 'token', 'x')",
            2,
        )
        .await;
        execute("INSERT INTO orders (id, customer_id, name, amount, cart_hash, expires_at) VALUES (gen_random_uuid(), $1, 'x', 1, sha256(''), now())", 3).await;

        let (mut pruned, mut from) = (Vec::new(), GuestsFrom::default());
        for _ in 0..5 {
            let (count, next) = prune_guests(&db, from, 4).await.unwrap();
            pruned.push(count);
            from = next;
        }
        assert_eq!(pruned, [0, 4, 3, 0, 0], "round and round, four at a time");
        let left: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM customers ORDER BY id").fetch_all(&db).await.unwrap();
        assert_eq!(left, [0, 1, 2, 3, 11].map(|n: usize| guests[n].id.uuid()));
    }
}
