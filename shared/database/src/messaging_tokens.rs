//! Customers' devices.

use domain::{CustomerId, DeviceId, DeviceToken};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;

/// The most devices a customer may have; beyond it, the one that was longest not heard of goes.
const MAX_DEVICES: i64 = 20;

/// The language of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Locale {
    /// Korean.
    #[default]
    Ko,
    /// English.
    En,
}

impl Locale {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }
}

/// A device that asks to be notified.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Who is signed in on it.
    pub customer: CustomerId,
    /// Where it is reached.
    pub token: DeviceToken,
    /// What it speaks.
    pub locale: Locale,
    /// The browser or app, for people who look at the table.
    pub user_agent: Option<String>,
}

/// Writes down a device, or that it is still there. A device that belonged to another customer moves: whoever
/// signs in on it last is the one whose payments it may show.
pub async fn register(db: &PgPool, registration: &Registration) -> sqlx::Result<DeviceId> {
    let id = sqlx::query_scalar!(
        r#"
        WITH device AS (
            INSERT INTO messaging_tokens (id, customer_id, kind, token, locale, user_agent)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT ON CONSTRAINT messaging_tokens_device DO UPDATE
                SET customer_id = excluded.customer_id, locale = excluded.locale, user_agent = excluded.user_agent, updated_at = now()
            RETURNING id
        ), surplus AS (
            -- The snapshot does not show the new row yet: it is the one beside the others.
            DELETE FROM messaging_tokens WHERE id IN (
                SELECT t.id FROM messaging_tokens t
                WHERE t.customer_id = $2 AND t.id <> (SELECT id FROM device)
                ORDER BY t.updated_at DESC OFFSET $7::bigint - 1
            )
        )
        SELECT id FROM device
        "#,
        DeviceId::new().uuid(),
        registration.customer.uuid(),
        registration.token.kind.name(),
        registration.token.token.expose_secret(),
        registration.locale.name(),
        registration.user_agent.as_deref(),
        MAX_DEVICES
    )
    .fetch_one(db)
    .await?;
    Ok(id.into())
}

/// Forgets a device of this customer. `false` when the customer has no such device.
pub async fn remove(db: &PgPool, customer: CustomerId, token: &DeviceToken) -> sqlx::Result<bool> {
    let removed = sqlx::query!(
        "DELETE FROM messaging_tokens WHERE customer_id = $1 AND kind = $2 AND token = $3",
        customer.uuid(),
        token.kind.name(),
        token.token.expose_secret()
    )
    .execute(db)
    .await?;
    Ok(removed.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use domain::TokenKind;

    use super::*;

    async fn customer(db: &PgPool) -> CustomerId {
        let id = CustomerId::new();
        sqlx::query("INSERT INTO customers (id) VALUES ($1)").bind(id.uuid()).execute(db).await.unwrap();
        id
    }

    fn registration(customer: CustomerId, token: &str) -> Registration {
        let token = DeviceToken { kind: TokenKind::Token, token: token.into() };
        Registration { customer, token, locale: Locale::Ko, user_agent: None }
    }

    async fn tokens(db: &PgPool, customer: CustomerId) -> Vec<String> {
        sqlx::query_scalar("SELECT token FROM messaging_tokens WHERE customer_id = $1 ORDER BY updated_at")
            .bind(customer.uuid())
            .fetch_all(db)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_device_has_one_owner() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let (first, second) = (customer(&db).await, customer(&db).await);
        let device = register(&db, &registration(first, "phone")).await.unwrap();
        assert_eq!(register(&db, &registration(second, "phone")).await.unwrap(), device, "it moves, it is not copied");
        assert!(tokens(&db, first).await.is_empty());
        assert_eq!(tokens(&db, second).await, ["phone"]);

        let phone = registration(first, "phone").token;
        assert!(!remove(&db, first, &phone).await.unwrap(), "only the owner may");
        assert!(remove(&db, second, &phone).await.unwrap());
        assert!(!remove(&db, second, &phone).await.unwrap());
    }

    #[tokio::test]
    async fn the_oldest_device_makes_room() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let (owner, other) = (customer(&db).await, customer(&db).await);
        register(&db, &registration(other, "other")).await.unwrap();
        for n in 0..MAX_DEVICES {
            register(&db, &registration(owner, &format!("phone-{n}"))).await.unwrap();
        }
        register(&db, &registration(owner, "phone-0")).await.unwrap();
        assert_eq!(tokens(&db, owner).await.len(), 20, "a known device needs no room");
        register(&db, &registration(owner, "new")).await.unwrap();
        let left = tokens(&db, owner).await;
        assert_eq!((left.len(), left[0].as_str()), (20, "phone-2"), "phone-1 was longest not heard of");
        assert_eq!(tokens(&db, other).await, ["other"]);
    }
}
