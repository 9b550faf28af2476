//! Members: signing in and out, and moving a guest's orders.

use domain::{CustomerId, DeviceToken};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use uuid::Uuid;

use crate::customers::TokenHash;

/// Whom the identity provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider.
    pub issuer: String,
    /// The person, as the provider calls them.
    pub subject: String,
}

/// A sign-in that is on its way through the provider.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// What the provider must put into its token.
    pub nonce: String,
    /// PKCE's secret.
    pub verifier: SecretString,
    /// Where the buyer was: a path of ours.
    pub return_to: String,
}

/// Writes down a sign-in that leaves for the provider from the browser with this session.
pub async fn begin(db: &PgPool, state: &TokenHash, session: &TokenHash, sign_in: &SignIn) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO sign_ins (state_hash, session_hash, nonce, verifier, return_to) VALUES ($1, $2, $3, $4, $5)",
        state.as_slice(),
        session.as_slice(),
        sign_in.nonce,
        sign_in.verifier.expose_secret(),
        sign_in.return_to
    )
    .execute(db)
    .await
    .map(drop)
}

/// Takes back a sign-in that left from this very browser. `None`: there is none, it is too old, or it was taken before.
pub async fn take(db: &PgPool, state: &TokenHash, session: &TokenHash) -> sqlx::Result<Option<SignIn>> {
    sqlx::query!(
        "DELETE FROM sign_ins WHERE state_hash = $1 AND session_hash = $2 AND expires_at > now()
        RETURNING nonce, verifier, return_to",
        state.as_slice(),
        session.as_slice()
    )
    .map(|row| SignIn { nonce: row.nonce, verifier: row.verifier.into(), return_to: row.return_to })
    .fetch_optional(db)
    .await
}

/// Forgets sign-ins that never came back.
pub async fn prune(db: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM sign_ins WHERE expires_at < now()").execute(db).await.map(drop)
}

/// How often a sign-in is repeated that something else got in the way of.
const TRIES: usize = 3;

/// Opens a member's session, and ends the one that the browser had: a cookie that somebody planted, or copied, is worth
/// nothing afterwards. If that was a guest's, the guest's orders and devices become the member's. Returns how many
/// orders that were.
///
/// An order that is made under the guest's session in this very moment may stay behind, unpaid, and expires.
pub async fn sign_in(
    db: &PgPool,
    who: &Identity,
    session: &TokenHash,
    former: Option<&TokenHash>,
) -> sqlx::Result<i64> {
    let mut tries = 1;
    loop {
        match try_sign_in(db, who, session, former).await {
            // The same person's first sign-in elsewhere, or a cart that was opened meanwhile.
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn try_sign_in(
    db: &PgPool,
    who: &Identity,
    session: &TokenHash,
    former: Option<&TokenHash>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        WITH known AS (
            UPDATE members SET signed_in_at = now() WHERE issuer = $3 AND subject = $4 RETURNING customer_id
        ), fresh AS (
            -- A customer of their own, never the guest's: what others may know of the guest is worth nothing here.
            INSERT INTO customers (id, customer_key) SELECT $5, $6 WHERE NOT EXISTS (SELECT FROM known) RETURNING id
        ), joined AS (
            INSERT INTO members (customer_id, issuer, subject) SELECT id, $3, $4 FROM fresh RETURNING customer_id
        ), member AS MATERIALIZED (
            SELECT customer_id FROM known UNION ALL SELECT customer_id FROM joined
        ), former AS MATERIALIZED (
            -- Of two sign-ins that left from one session, only the first takes something along.
            SELECT customer_id, member FROM sessions WHERE token_hash = $2 FOR UPDATE
        ), ended AS (
            DELETE FROM sessions s USING former f
            WHERE s.token_hash = $2 OR (NOT f.member AND s.customer_id = f.customer_id)
        ), opened AS (
            INSERT INTO sessions (token_hash, customer_id, member, expires_at)
            SELECT $1, customer_id, true, now() + interval '30 minutes' FROM member
        ), held AS MATERIALIZED (
            -- In id order, as everywhere. No stock is touched.
            SELECT o.id FROM orders o JOIN former f ON o.customer_id = f.customer_id AND NOT f.member
            ORDER BY o.id FOR NO KEY UPDATE OF o
        ), moved AS (
            UPDATE orders o SET
                customer_id = m.customer_id,
                -- A customer has one open order for a cart. If the member has one already, this one is another cart's.
                cart_hash = CASE WHEN EXISTS (SELECT FROM orders k WHERE k.customer_id = m.customer_id
                        AND k.cart_hash = o.cart_hash AND k.status IN ('pending', 'confirming'))
                    THEN sha256(o.cart_hash || uuid_send(o.id)) ELSE o.cart_hash END,
                updated_at = now()
            FROM held h, member m WHERE o.id = h.id
            RETURNING o.id
        ), device AS MATERIALIZED (
            -- In id order, as in push_attempts::record.
            SELECT t.id FROM messaging_tokens t JOIN former f ON t.customer_id = f.customer_id AND NOT f.member
            ORDER BY t.id FOR NO KEY UPDATE OF t
        ), handed_over AS (
            UPDATE messaging_tokens t SET customer_id = m.customer_id FROM device d, member m WHERE t.id = d.id
        )
        SELECT count(*) AS "orders!" FROM moved
        "#,
        session.as_slice(),
        former.map(<[u8; 32]>::as_slice),
        who.issuer,
        who.subject,
        CustomerId::new().uuid(),
        Uuid::new_v4()
    )
    .fetch_one(db)
    .await
}

/// Puts off the end of a member's session that is in use: by half an hour, up to twelve hours after it began.
pub async fn keep(db: &PgPool, session: &TokenHash) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET expires_at = least(now() + interval '30 minutes', created_at + interval '12 hours')
        WHERE token_hash = $1 AND member AND expires_at > now()",
        session.as_slice()
    )
    .execute(db)
    .await
    .map(drop)
}

/// Ends a member's session, and the notifications to the device that it was on. `false`: it is a guest's, whose orders
/// would be lost with it. A session that there is not has ended.
pub async fn sign_out(db: &PgPool, session: &TokenHash, device: Option<&DeviceToken>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        WITH ended AS (
            DELETE FROM sessions WHERE token_hash = $1 AND member RETURNING customer_id
        ), silenced AS (
            DELETE FROM messaging_tokens t USING ended e
            WHERE t.customer_id = e.customer_id AND t.kind = $2 AND t.token = $3
        )
        SELECT NOT EXISTS (SELECT FROM sessions WHERE token_hash = $1 AND NOT member AND expires_at > now()) AS "ended!"
        "#,
        session.as_slice(),
        device.map(|device| device.kind.name()),
        device.map(|device| device.token.expose_secret())
    )
    .fetch_one(db)
    .await
}

#[cfg(test)]
mod tests;
