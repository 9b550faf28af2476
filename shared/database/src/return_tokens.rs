//! Return tokens: how a buyer comes back from the payment window in a browser that has no session.
//!
//! The address carries a token that is good for one visit. It is exchanged for another one, which stays in a cookie of
//! that browser. Either speaks for one order, for half an hour, and may only have it confirmed and see how it stands.

use domain::{CustomerId, OrderId};
use sqlx::PgPool;

use crate::customers::TokenHash;

/// How long a buyer may be away: as long as Toss keeps a payment window open.
pub(crate) const MINUTES: i32 = 30;

/// Lets the buyer come back to an unpaid order by this token, and by no earlier one.
pub async fn renew(db: &PgPool, order: OrderId, token: TokenHash) -> sqlx::Result<()> {
    sqlx::query!(
        "
        UPDATE orders SET return_token = $2, return_until = now() + make_interval(mins => $3), return_used = false
        WHERE id = $1 AND status = 'pending'
        ",
        order.uuid(),
        token.as_slice(),
        MINUTES
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Exchanges the token of an address for that of a cookie. Whose order it is; `None` if the token opens nothing (any more).
pub async fn exchange(
    db: &PgPool,
    order: OrderId,
    token: TokenHash,
    cookie: TokenHash,
) -> sqlx::Result<Option<CustomerId>> {
    let owner = sqlx::query_scalar!(
        "
        UPDATE orders SET return_token = $3, return_used = true
        WHERE id = $1 AND return_token = $2 AND NOT return_used AND return_until > now()
        RETURNING customer_id
        ",
        order.uuid(),
        token.as_slice(),
        cookie.as_slice()
    )
    .fetch_optional(db)
    .await?;
    Ok(owner.map(CustomerId::from))
}

/// Whose order a browser came back to that holds such a cookie.
pub async fn owner(db: &PgPool, order: OrderId, cookie: TokenHash) -> sqlx::Result<Option<CustomerId>> {
    let owner = sqlx::query_scalar!(
        "SELECT customer_id FROM orders WHERE id = $1 AND return_token = $2 AND return_used AND return_until > now()",
        order.uuid(),
        cookie.as_slice()
    )
    .fetch_optional(db)
    .await?;
    Ok(owner.map(CustomerId::from))
}
