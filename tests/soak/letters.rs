//! Dead letters: the engine forwards each until it is acknowledged, and a person decides about it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use database::dead_letters::{self, Decision};
use harness::Push;
use sqlx::query_as;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::shop::Shop;

/// Letters in a round.
const ROUND: usize = 5;

/// Longer than any fault that keeps the worker from storing a letter.
const PATIENCE: Duration = Duration::from_mins(2);

impl Shop {
    /// Forwards messages about events that are nobody's, whoever dies over them. Returns their events.
    pub(crate) async fn forward_dead_letters(&self) -> anyhow::Result<Vec<Uuid>> {
        let [.., worker] = &self.workers;
        let events: Vec<Uuid> = (0..ROUND).map(|_| Uuid::new_v4()).collect();
        for event in &events {
            let push = Push::message("dead-letter-sub", &event.to_string(), b"{}");
            let acknowledged = async {
                while !matches!(push.try_deliver(worker).await, Ok(204)) {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            timeout(PATIENCE, acknowledged).await.context("nobody stores a dead letter")?;
        }
        Ok(events)
    }

    /// Discards the letters about these events, as a shop at rest has none open. Each must have been stored, once.
    pub(crate) async fn decide(&self, events: &[Uuid]) -> anyhow::Result<()> {
        let letters: Vec<(Uuid, Uuid)> =
            query_as("SELECT id, event_id FROM dead_letters WHERE status = 'open' AND event_id = ANY($1)")
                .bind(events)
                .fetch_all(&self.db)
                .await?;
        let ids: Vec<Uuid> = letters.iter().map(|(id, _)| *id).collect();
        let decision = Decision { actor: "soak", reason: Some("the event is nobody's") };
        dead_letters::discard(&self.db, &ids, decision).await?;
        let stored: BTreeSet<Uuid> = letters.iter().map(|(_, event)| *event).collect();
        anyhow::ensure!(
            letters.len() == events.len() && stored.len() == events.len(),
            "{} dead letters about {} of {} events were stored",
            letters.len(),
            stored.len(),
            events.len()
        );
        Ok(())
    }
}
