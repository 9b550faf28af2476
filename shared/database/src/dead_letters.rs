//! Dead letters: messages that no consumer could process, kept until a person decides.

mod decide;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{EventId, EventType};
use sqlx::PgPool;
use uuid::Uuid;

use crate::without_nul;

pub use decide::{Action, Decision, actions, discard, mark_replayed};

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

/// What was decided about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Nothing yet.
    Open,
    /// Its event was published again.
    Replayed,
    /// Its event is not to have its effect there.
    Discarded,
}

impl Status {
    /// As the database and the desk write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// A line of the desk's list.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id at the desk.
    pub id: Uuid,
    /// The event's own id, if it could be read.
    pub event: Option<EventId>,
    /// What it says to announce.
    pub event_type: Option<String>,
    /// The subscription whose consumer could not take it.
    pub source: String,
    /// Why nobody could.
    pub reason: String,
    /// How often it was tried.
    pub delivery_attempts: Option<i32>,
    /// When it was first kept.
    pub received_at: DateTime<Utc>,
    /// What was decided.
    pub status: Status,
}

/// What a message carried.
#[derive(Debug, Clone)]
pub struct Content {
    /// The engine's id of the message.
    pub message_id: Option<String>,
    /// The body.
    pub data: Vec<u8>,
    /// The message's attributes, an object of texts.
    pub attributes: serde_json::Value,
}

/// Which messages. What is `None` leaves none out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Only these.
    pub ids: Option<&'a [Uuid]>,
    /// Only those so decided.
    pub status: Option<Status>,
    /// Only those of this subscription.
    pub source: Option<&'a str>,
    /// Only those that say to announce this.
    pub event_type: Option<EventType>,
    /// Only those kept since then.
    pub since: Option<DateTime<Utc>>,
    /// Only those whose reason contains this, in upper or lower case.
    pub reason: Option<&'a str>,
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

/// The oldest messages that the filter leaves.
pub async fn list(db: &PgPool, filter: Filter<'_>, limit: i64) -> sqlx::Result<Vec<Summary>> {
    sqlx::query!(
        r#"
        SELECT id, event_id, attributes ->> 'ce-type' AS event_type, source, reason, delivery_attempts,
            received_at, status AS "status: Status"
        FROM dead_letters
        WHERE ($1::uuid[] IS NULL OR id = ANY($1))
            AND ($2::text IS NULL OR status = $2)
            AND ($3::text IS NULL OR source = $3)
            AND ($4::text IS NULL OR attributes ->> 'ce-type' = $4)
            AND ($5::timestamptz IS NULL OR received_at >= $5)
            -- Not LIKE: what is looked for may contain its wildcards.
            AND ($6::text IS NULL OR position(lower($6) IN lower(reason)) > 0)
        ORDER BY received_at, id LIMIT $7
        "#,
        filter.ids,
        filter.status.map(Status::name),
        filter.source,
        filter.event_type.map(EventType::name),
        filter.since,
        filter.reason,
        limit
    )
    .map(|row| Summary {
        id: row.id,
        event: row.event_id.map(Into::into),
        event_type: row.event_type,
        source: row.source,
        reason: row.reason,
        delivery_attempts: row.delivery_attempts,
        received_at: row.received_at,
        status: row.status,
    })
    .fetch_all(db)
    .await
}

/// What a message carried.
pub async fn content(db: &PgPool, id: Uuid) -> sqlx::Result<Option<Content>> {
    sqlx::query_as!(Content, "SELECT message_id, data, attributes FROM dead_letters WHERE id = $1", id)
        .fetch_optional(db)
        .await
}

#[cfg(test)]
mod tests;
