//! What needs a person.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Something that the system cannot settle by itself.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What kind of thing.
    pub kind: Kind,
    /// The order or the dead letter.
    pub id: Uuid,
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// Why.
    pub why: String,
}

/// Kinds of things that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// The provider's answer about an order's payment contradicts our record.
    Disputed,
    /// The provider has not decided an order's payment for hours.
    Undecided,
    /// A refund that evidence cannot settle, that the provider refused, or has not decided for hours.
    Refund,
    /// No consumer could take a message.
    DeadLetter,
}

impl Kind {
    /// As it is written for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disputed => "disputed",
            Self::Undecided => "undecided",
            Self::Refund => "refund",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Everything that waits, oldest first.
pub async fn list(db: &PgPool) -> sqlx::Result<Vec<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"
        SELECT kind AS "kind!: Kind", id AS "id!", since AS "since!", why AS "why!" FROM (
            SELECT 'disputed' AS kind, order_id AS id, asked_at AS since, format('payment %s: %s', attempt, attention) AS why
            FROM payments WHERE attention IS NOT NULL
            UNION ALL
            -- Longer than the provider's own windows and the reconciler's patience with an outage.
            SELECT 'undecided', order_id, asked_at, format('payment %s: %s won, asked about %s times', attempt, amount, checks)
            FROM payments
            WHERE next_check_at IS NOT NULL AND status = 'confirming' AND attention IS NULL AND asked_at < now() - interval '3 hours'
            UNION ALL
            SELECT 'refund', order_id, created_at, format('%s refund of %s won: %s', status, amount,
                coalesce(attention, format('asked about %s times', checks)))
            FROM refunds
            WHERE attention IS NOT NULL OR (next_check_at IS NOT NULL AND created_at < now() - interval '3 hours')
            UNION ALL
            SELECT 'dead_letter', id, received_at, format('from %s: %s', source, reason) FROM dead_letters WHERE status = 'open'
        ) waiting
        ORDER BY since, id
        "#
    )
    .fetch_all(db)
    .await
}
