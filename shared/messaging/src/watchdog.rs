//! The watchdog: has events published again whose effect is missing long after they were published.
//!
//! A message engine that loses what it had acknowledged (Google's emulator forgets everything when it stops; a
//! subscription may be deleted, or expire) thereby only delays. Consumers that had their effect see a duplicate.

use std::time::Duration;

use database::watchdog::{self, Look};
use sqlx::PgPool;
use tracing::warn;

use crate::topology::{DEAD_LETTER_TOPIC, SUBSCRIPTIONS};

/// Events looked at in one statement: a few milliseconds.
const SLICE: usize = 1_000;

/// Looks for events without all of their effects.
#[derive(Clone)]
pub struct Watchdog {
    pool: PgPool,
    age: Duration,
}

impl Watchdog {
    /// Effects may take `age` from when their event was published.
    pub fn new(pool: PgPool, age: Duration) -> Self {
        Self { pool, age }
    }

    /// Looks at every event whose time has come. Stops at about a thousand that lack an effect, so that they do not crowd
    /// out new events: the rest comes in the next step. Returns how many are published again.
    pub async fn step(&self) -> sqlx::Result<usize> {
        let consumers: Vec<(&str, &str)> = SUBSCRIPTIONS
            .iter()
            .filter(|subscription| subscription.topic != DEAD_LETTER_TOPIC)
            .map(|subscription| (subscription.topic, subscription.name))
            .collect();
        let limit = i64::try_from(SLICE).unwrap_or(i64::MAX);
        let mut republished = 0;
        loop {
            let Look { looked, put_back } = watchdog::look(&self.pool, self.age, &consumers, limit).await?;
            if let Some(id) = put_back.first() {
                let count = put_back.len();
                warn!(event.id = %id, count, "{count} events without their effect are published again, such as {id}");
            }
            republished += put_back.len();
            if looked < SLICE || republished >= SLICE {
                return Ok(republished);
            }
        }
    }
}
