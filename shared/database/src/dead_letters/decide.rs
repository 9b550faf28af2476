//! What a person decides about dead letters, each decision with its row of who and why.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Whose decision it is, and why.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// Who decides.
    pub actor: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// Something that was decided.
#[derive(Debug, Clone)]
pub struct Action {
    /// `replayed` or `discarded`.
    pub action: String,
    /// Who decided.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Notes that the message engine has the events of these letters again. Whatever was decided before: a replay is harmless
/// and may be repeated.
pub async fn mark_replayed(db: &PgPool, letters: &[Uuid], decision: Decision<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH resolved AS (
            UPDATE dead_letters SET status = 'replayed', resolved_at = now(), resolved_by = $2, resolution = $3
            WHERE id = ANY($1)
            RETURNING id, event_id
        ), noted AS (
            INSERT INTO dead_letter_actions (letter_id, action, actor, reason) SELECT id, 'replayed', $2, $3 FROM resolved
        )
        -- Published anew: the watchdog looks once more whether it had its effect.
        UPDATE outbox SET published_at = now()
        WHERE id IN (SELECT event_id FROM resolved) AND published_at IS NOT NULL",
        letters,
        decision.actor,
        decision.reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives open letters up: their events are not to have their effect there. Returns those that were open.
///
/// # Errors
/// A decision without a reason violates a constraint.
pub async fn discard(db: &PgPool, letters: &[Uuid], decision: Decision<'_>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "WITH resolved AS (
            UPDATE dead_letters SET status = 'discarded', resolved_at = now(), resolved_by = $2, resolution = $3
            WHERE id = ANY($1) AND status = 'open'
            RETURNING id
        )
        INSERT INTO dead_letter_actions (letter_id, action, actor, reason) SELECT id, 'discarded', $2, $3 FROM resolved
        RETURNING letter_id",
        letters,
        decision.actor,
        decision.reason,
    )
    .fetch_all(db)
    .await
}

/// Everything that was decided about a letter, oldest first.
pub async fn actions(db: &PgPool, letter: Uuid) -> sqlx::Result<Vec<Action>> {
    sqlx::query_as!(
        Action,
        "SELECT action, actor, reason, at FROM dead_letter_actions WHERE letter_id = $1 ORDER BY id",
        letter
    )
    .fetch_all(db)
    .await
}
