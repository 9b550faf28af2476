//! What no consumer could take, kept until a person or a rule decides.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::EventId;
use sqlx::PgPool;
use uuid::Uuid;

use crate::without_nul;

/// A message to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The event's own id, if the message carries one that can be read.
    pub event: Option<EventId>,
    /// The subscription whose consumer could not take it.
    pub source: &'a str,
    /// The engine's id of the message.
    pub message_id: Option<&'a str>,
    /// The body, byte for byte.
    pub data: &'a [u8],
    /// The message's attributes.
    pub attributes: &'a BTreeMap<String, String>,
    /// Why nobody could.
    pub reason: &'a str,
    /// How often it was tried.
    pub delivery_attempts: Option<i32>,
}

/// A message that was kept.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its id at the desk.
    pub id: Uuid,
    /// The event's own id, if it could be read.
    pub event: Option<EventId>,
    /// The subscription whose consumer could not take it.
    pub source: String,
    /// The engine's id of the message.
    pub message_id: Option<String>,
    /// The body.
    pub data: Vec<u8>,
    /// The message's attributes, an object of texts.
    pub attributes: serde_json::Value,
    /// Why nobody could.
    pub reason: String,
    /// How often it was tried.
    pub delivery_attempts: Option<i32>,
    /// When it was first kept.
    pub received_at: DateTime<Utc>,
    /// `open`, `replayed` or `discarded`.
    pub status: String,
}

/// A line of the desk's list.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id at the desk.
    pub id: Uuid,
    /// The event's own id, if it could be read.
    pub event: Option<EventId>,
    /// The subscription whose consumer could not take it.
    pub source: String,
    /// Why nobody could.
    pub reason: String,
    /// When it was first kept.
    pub received_at: DateTime<Utc>,
}

/// Keeps a message. `false` when it is kept already: the engine may forward it more than once.
pub async fn park(db: &PgPool, letter: Letter<'_>) -> sqlx::Result<bool> {
    let attributes: serde_json::Map<_, _> = letter
        .attributes
        .iter()
        .map(|(name, value)| (without_nul(name).into_owned(), without_nul(value).into()))
        .collect();
    let message_id = letter.message_id.map(without_nul);
    let kept = sqlx::query!(
        r#"
        INSERT INTO dead_letters (id, event_id, source, message_id, data, attributes, reason, delivery_attempts)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (source, message_id, sha256(data)) WHERE message_id IS NOT NULL DO NOTHING
        "#,
        Uuid::now_v7(),
        letter.event.map(EventId::uuid),
        &without_nul(letter.source),
        message_id.as_deref(),
        letter.data,
        serde_json::Value::Object(attributes),
        &without_nul(letter.reason),
        letter.delivery_attempts
    )
    .execute(db)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// The oldest messages that nobody has decided on.
pub async fn list(db: &PgPool, limit: i64) -> sqlx::Result<Vec<Summary>> {
    sqlx::query!(
        r#"
        SELECT id, event_id, source, reason, received_at FROM dead_letters
        WHERE status = 'open' ORDER BY received_at LIMIT $1
        "#,
        limit
    )
    .map(|row| Summary {
        id: row.id,
        event: row.event_id.map(Into::into),
        source: row.source,
        reason: row.reason,
        received_at: row.received_at,
    })
    .fetch_all(db)
    .await
}

/// One message, whatever was decided on it.
pub async fn get(db: &PgPool, id: Uuid) -> sqlx::Result<Option<DeadLetter>> {
    sqlx::query!(
        r#"
        SELECT id, event_id, source, message_id, data, attributes, reason, delivery_attempts, received_at, status
        FROM dead_letters WHERE id = $1
        "#,
        id
    )
    .map(|row| DeadLetter {
        id: row.id,
        event: row.event_id.map(Into::into),
        source: row.source,
        message_id: row.message_id,
        data: row.data,
        attributes: row.attributes,
        reason: row.reason,
        delivery_attempts: row.delivery_attempts,
        received_at: row.received_at,
        status: row.status,
    })
    .fetch_optional(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &BTreeMap<String, String> = &BTreeMap::new();

    fn letter<'a>(message_id: Option<&'a str>, data: &'a [u8]) -> Letter<'a> {
        Letter {
            event: None,
            source: "checkout-stock",
            message_id,
            data,
            attributes: NONE,
            reason: "not JSON",
            delivery_attempts: None,
        }
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_message_is_kept_once(db: PgPool) {
        assert!(park(&db, letter(Some("1"), b"a")).await.unwrap());
        assert!(!park(&db, letter(Some("1"), b"a")).await.unwrap());
        assert!(park(&db, letter(Some("1"), b"b")).await.unwrap(), "Google's emulator counts from 1 after a restart");
        assert!(park(&db, Letter { source: "checkout-push", ..letter(Some("1"), b"a") }).await.unwrap());
        assert!(park(&db, letter(None, b"a")).await.unwrap());
        assert_eq!(list(&db, 10).await.unwrap().len(), 4);
        assert_eq!(list(&db, 3).await.unwrap().len(), 3);
    }

    #[sqlx::test(migrator = "crate::MIGRATOR")]
    async fn a_nul_anywhere_is_no_reason_to_lose_it(db: PgPool) {
        let attributes = BTreeMap::from([("na\0me".into(), "val\0ue".into())]);
        let event = EventId::new();
        let data = [0, 159, 146, 150, 0];
        let nasty = Letter {
            event: Some(event),
            source: "sou\0rce",
            message_id: Some("1\0"),
            data: &data,
            attributes: &attributes,
            reason: "why\0",
            delivery_attempts: Some(5),
        };
        assert!(park(&db, nasty).await.unwrap());
        assert!(!park(&db, nasty).await.unwrap());
        let id = list(&db, 1).await.unwrap()[0].id;
        let kept = get(&db, id).await.unwrap().unwrap();
        assert_eq!((kept.event, kept.data.as_slice()), (Some(event), data.as_slice()));
        assert_eq!(kept.attributes, serde_json::json!({"na\u{fffd}me": "val\u{fffd}ue"}));
        assert_eq!((kept.delivery_attempts, kept.status.as_str()), (Some(5), "open"));
        assert!(get(&db, Uuid::nil()).await.unwrap().is_none());
    }
}
