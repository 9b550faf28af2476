//! What is deleted, and when.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use database::customers::{self, GuestsFrom};
use database::{inbox, members, orders, outbox, webhook_inbox};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Published events and consumers' claims are kept this long: replayed dead letters must still be recognized.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Toss sends a webhook again for up to four days.
const KEEP_WEBHOOKS: Duration = Duration::from_hours(14 * 24);

/// A key protects a request that is being repeated, and nobody repeats one after a day.
const KEEP_IDEMPOTENCY_KEYS: Duration = Duration::from_hours(24);

/// Rows that one statement deletes, or looks at, at most: few enough to hold nobody up.
const AT_ONCE: i64 = 1_000;

/// Customers that one round looks at.
const GUESTS_AT_ONCE: i64 = 5_000;

/// Forgets what nobody needs any more, a little at a time.
pub(crate) struct Pruning {
    db: PgPool,
    shutdown: CancellationToken,
    guests_from: Mutex<GuestsFrom>,
}

impl Pruning {
    pub(crate) fn new(db: PgPool, shutdown: CancellationToken) -> Self {
        Self { db, shutdown, guests_from: Mutex::default() }
    }

    /// Each for itself: what fails keeps nothing else from being forgotten. Returns the first failure.
    pub(crate) async fn step(&self) -> sqlx::Result<()> {
        let db = &self.db;
        let done = [
            self.all(|| outbox::prune(db, KEEP, AT_ONCE)).await,
            // After their events: see there.
            self.all(|| inbox::prune(db, KEEP, AT_ONCE)).await,
            self.all(|| webhook_inbox::prune(db, KEEP_WEBHOOKS, AT_ONCE)).await,
            self.all(|| customers::prune_sessions(db, AT_ONCE)).await,
            self.all(|| orders::prune_idempotency_keys(db, KEEP_IDEMPOTENCY_KEYS, AT_ONCE)).await,
            members::prune(db).await,
            self.guests().await,
        ];
        done.into_iter().collect()
    }

    /// Forgets slice by slice, until there is no full one.
    async fn all<F>(&self, slice: impl Fn() -> F) -> sqlx::Result<()>
    where
        F: Future<Output = sqlx::Result<u64>>,
    {
        while !self.shutdown.is_cancelled() && slice().await? == AT_ONCE.unsigned_abs() {}
        Ok(())
    }

    async fn guests(&self) -> sqlx::Result<()> {
        let from = *self.guests_from.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, next) = customers::prune_guests(&self.db, from, GUESTS_AT_ONCE).await?;
        *self.guests_from.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}
