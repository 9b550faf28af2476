//! The relay: takes events from the outbox and hands them to the message engine.

use std::sync::Arc;
use std::time::Duration;

use database::outbox;
use domain::{EventId, EventPublisher};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::pause;

/// The most events that are published together.
const BATCH: usize = 200;

/// Longer than an engine takes to answer. Also how soon an event that was not acknowledged is tried again.
const CLAIM: Duration = Duration::from_secs(10);

/// Publishes what the outbox holds: at least once, never not.
///
/// Any number of relays may run. Each claims its events for a while, so that they rarely publish the same one; a relay
/// that dies leaves a claim that runs out.
pub struct Relay {
    pool: PgPool,
    publisher: Arc<dyn EventPublisher>,
    claim: Duration,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing to publish, as far as other relays and earlier failures leave it to us.
    Idle,
    /// Some events.
    Some {
        /// The engine has these.
        published: usize,
        /// These it did not acknowledge. They are tried again when their claim has run out.
        refused: usize,
    },
}

impl Relay {
    /// A relay from this outbox to this engine.
    pub fn new(pool: PgPool, publisher: Arc<dyn EventPublisher>) -> Self {
        Self { pool, publisher, claim: CLAIM }
    }

    /// Claims events for another time than 10 seconds: tests cannot wait that long.
    #[must_use]
    pub fn claiming_for(self, claim: Duration) -> Self {
        Self { claim, ..self }
    }

    /// Publishes the oldest unpublished events.
    ///
    /// # Errors
    /// When the database did not answer. What was published and not marked is published again.
    pub async fn step(&self) -> sqlx::Result<Progress> {
        let events = outbox::claim(&self.pool, i64::try_from(BATCH).unwrap_or(i64::MAX), self.claim).await?;
        if events.is_empty() {
            return Ok(Progress::Idle);
        }
        let answers = self.publisher.publish(&events).await;
        let mut published: Vec<EventId> = Vec::with_capacity(events.len());
        let mut refusal = None;
        for (event, answer) in events.iter().zip(answers) {
            match answer {
                Ok(()) => published.push(event.id),
                Err(error) => refusal = Some((event.id, error)),
            }
        }
        outbox::mark_published(&self.pool, &published).await?;
        let refused = events.len() - published.len();
        if let Some((id, error)) = refusal {
            let error: &dyn std::error::Error = &error;
            warn!(event.id = %id, refused, error, "The message engine did not take {refused} events, such as {id}");
        }
        debug!(published = published.len(), refused, "Published events");
        Ok(Progress::Some { published: published.len(), refused })
    }

    /// Publishes whenever there is something, until `shutdown`. `wake` makes it look at once: whoever commits an event in
    /// this process calls `notify_one`.
    pub async fn run(self, shutdown: CancellationToken, wake: Arc<Notify>) {
        let mut failures = 0;
        while !shutdown.is_cancelled() {
            match self.step().await {
                Ok(Progress::Some { published, refused }) if published + refused == BATCH => failures = 0,
                Ok(_) => {
                    failures = 0;
                    pause::until_woken(&shutdown, &wake).await;
                }
                Err(error) => {
                    failures += 1;
                    warn!(%error, failures, "The outbox cannot be read");
                    pause::rest(&shutdown, pause::after_failures(failures)).await;
                }
            }
        }
    }
}
