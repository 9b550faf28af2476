//! The relay: takes events from the outbox and hands them to the message engine.

use std::sync::Arc;
use std::time::Duration;

use database::outbox;
use domain::{EventId, EventPublisher};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::time::Instant;
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
        crash::point!("ob.claim.after_commit");
        let answers = self.publisher.publish(&events).await;
        crash::point!("ob.publish.after_ack");
        let mut published: Vec<EventId> = Vec::with_capacity(events.len());
        let mut refusal = None;
        for (event, answer) in events.iter().zip(answers) {
            match answer {
                Ok(()) => published.push(event.id),
                Err(error) => refusal = Some((event.id, error)),
            }
        }
        outbox::mark_published(&self.pool, &published).await?;
        crash::point!("ob.mark.after_commit");
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
            let begun = Instant::now();
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
            pause::pace(&shutdown, begun).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use domain::{EventEnvelope, PublishError};

    use super::*;

    /// An engine that notes what it gets and refuses every third event once.
    #[derive(Default)]
    struct Engine(Mutex<Vec<EventId>>);

    #[async_trait]
    impl EventPublisher for Engine {
        async fn publish(&self, events: &[EventEnvelope]) -> Vec<Result<(), PublishError>> {
            tokio::task::yield_now().await;
            let mut seen = self.0.lock().unwrap();
            let answer = |event: &EventEnvelope| {
                let refuse = event.id.uuid().as_u128().is_multiple_of(3) && !seen.contains(&event.id);
                seen.push(event.id);
                if refuse { Err(PublishError("busy".into())) } else { Ok(()) }
            };
            events.iter().map(answer).collect()
        }
    }

    async fn unpublished(pool: &PgPool) -> i64 {
        let sql = "SELECT count(*) FROM outbox WHERE published_at IS NULL";
        sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
    }

    #[tokio::test]
    async fn a_refused_event_is_published_later_and_holds_up_no_other() {
        let pool =
            postgres::fresh_with(&database::MIGRATOR, include_str!("../../database/fixtures/announced_payments.sql"))
                .await;
        let engine = Arc::new(Engine::default());
        let relay = |claim| Relay::new(pool.clone(), engine.clone()).claiming_for(claim);
        let patient = relay(Duration::from_mins(1));
        assert_eq!(patient.step().await.unwrap(), Progress::Some { published: 134, refused: 66 });
        assert_eq!(patient.step().await.unwrap(), Progress::Some { published: 33, refused: 17 });
        assert_eq!(patient.step().await.unwrap(), Progress::Idle);

        sqlx::query("UPDATE outbox SET claimed_until = now()").execute(&pool).await.unwrap();
        assert_eq!(patient.step().await.unwrap(), Progress::Some { published: 83, refused: 0 });
        assert_eq!(unpublished(&pool).await, 0);
    }

    #[tokio::test]
    async fn two_relays_skip_nothing_and_share_the_work() {
        let pool =
            postgres::fresh_with(&database::MIGRATOR, include_str!("../../database/fixtures/announced_payments.sql"))
                .await;
        let engine = Arc::new(Engine::default());
        let (shutdown, tasks) = (CancellationToken::new(), tokio_util::task::TaskTracker::new());
        for _ in 0..2 {
            let relay = Relay::new(pool.clone(), engine.clone()).claiming_for(Duration::from_secs(1));
            tasks.spawn(relay.run(shutdown.clone(), Arc::default()));
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while unpublished(&pool).await > 0 {
            assert!(Instant::now() < deadline, "an event is never published");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shutdown.cancel();
        tasks.close();
        tasks.wait().await;
        let seen = engine.0.lock().unwrap().len();
        assert!((250 + 83..500).contains(&seen), "{seen} publishes of 250 events, 83 of them refused once");
    }
}
