//! What is deleted, and when.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use database::customers::{self, GuestsFrom};
use database::{inbox, members, orders, outbox, webhook_inbox};
use sqlx::PgPool;

/// Published events and consumers' claims are kept this long: replayed dead letters must still be recognized.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Toss sends a webhook again for up to four days.
const KEEP_WEBHOOKS: Duration = Duration::from_hours(14 * 24);

/// Rows that one round deletes, or looks at, at most.
const AT_ONCE: i64 = 5_000;

/// Forgets what nobody needs any more, a little at a time.
pub(crate) struct Pruning {
    db: PgPool,
    guests_from: Mutex<GuestsFrom>,
}

impl Pruning {
    pub(crate) fn new(db: PgPool) -> Self {
        Self { db, guests_from: Mutex::default() }
    }

    pub(crate) async fn step(&self) -> sqlx::Result<()> {
        let db = &self.db;
        outbox::prune(db, KEEP).await?;
        inbox::prune(db, KEEP, AT_ONCE).await?;
        webhook_inbox::prune(db, KEEP_WEBHOOKS, AT_ONCE).await?;
        customers::prune_sessions(db, AT_ONCE).await?;
        orders::prune_idempotency_keys(db).await?;
        members::prune(db).await?;
        let from = *self.guests_from.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, next) = customers::prune_guests(db, from, AT_ONCE).await?;
        *self.guests_from.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}
