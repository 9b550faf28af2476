//! The dead-letter desk: events of dead letters are published again, under the same event id.

use std::collections::{BTreeMap, HashMap};

use database::dead_letters::{self, Decision, Summary};
use database::outbox;
use domain::{EventEnvelope, EventId, EventPublisher, PublishError};
use sqlx::PgPool;
use tracing::info;
use uuid::Uuid;

/// The most events that are published together.
const BATCH: usize = 200;

/// Why a letter stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nobody could tell which event it is: a consumer would have nothing to claim.
    #[error("it carries no event id that can be read")]
    NoEvent,
    /// Consumers act upon what we announced ourselves, and would only park it again.
    #[error("the outbox holds no such event")]
    Unknown,
    /// The message engine may or may not have it. Replay it again.
    #[error(transparent)]
    NotPublished(PublishError),
}

/// What a replay will do, or did.
#[derive(Debug, Default)]
pub struct Replay {
    /// The events to publish, each with its letters: one event may have died at several subscriptions.
    ready: Vec<(EventEnvelope, Vec<Uuid>)>,
    /// Letters whose event the message engine has again.
    pub replayed: Vec<Uuid>,
    /// Letters that stay as they are, by reason.
    pub refused: Vec<(Vec<Uuid>, Refusal)>,
}

impl Replay {
    /// Looks up the events of these letters. What is published is the outbox's own copy, not what a letter claims.
    pub async fn plan(db: &PgPool, letters: &[Summary]) -> sqlx::Result<Self> {
        let mut replay = Self::default();
        let (mut wanted, mut without_event): (BTreeMap<EventId, Vec<Uuid>>, _) = (BTreeMap::new(), Vec::new());
        for letter in letters {
            let event = letter.event.map(|event| wanted.entry(event).or_default());
            event.unwrap_or(&mut without_event).push(letter.id);
        }
        replay.refuse(without_event, Refusal::NoEvent);
        let ids: Vec<EventId> = wanted.keys().copied().collect();
        let mut events: HashMap<EventId, EventEnvelope> =
            outbox::find(db, &ids).await?.into_iter().map(|event| (event.id, event)).collect();
        for (event, letters) in wanted {
            match events.remove(&event) {
                Some(event) => replay.ready.push((event, letters)),
                None => replay.refuse(letters, Refusal::Unknown),
            }
        }
        Ok(replay)
    }

    /// The letters that will be replayed.
    pub fn ready(&self) -> impl Iterator<Item = Uuid> {
        self.ready.iter().flat_map(|(_, letters)| letters).copied()
    }

    /// Publishes the events, and notes the decision where the message engine confirmed it. All subscriptions of the topic
    /// get the event; whoever had its effect before sees a duplicate.
    ///
    /// # Errors
    /// When the database did not answer. What was published and not marked may be replayed again.
    pub async fn carry_out(
        mut self,
        db: &PgPool,
        publisher: &dyn EventPublisher,
        decision: Decision<'_>,
    ) -> sqlx::Result<Self> {
        let ready = std::mem::take(&mut self.ready);
        for batch in ready.chunks(BATCH) {
            let events: Vec<EventEnvelope> = batch.iter().map(|(event, _)| event.clone()).collect();
            let answers = publisher.publish(&events).await;
            let mut confirmed = Vec::new();
            for ((event, letters), answer) in batch.iter().zip(answers) {
                match answer {
                    Ok(()) => {
                        info!(event.id = %event.id, actor = decision.actor, "Replayed event {}", event.id);
                        confirmed.extend_from_slice(letters);
                    }
                    Err(cause) => self.refuse(letters.clone(), Refusal::NotPublished(cause)),
                }
            }
            dead_letters::mark_replayed(db, &confirmed, decision).await?;
            self.replayed.append(&mut confirmed);
        }
        Ok(self)
    }

    fn refuse(&mut self, letters: Vec<Uuid>, why: Refusal) {
        if !letters.is_empty() {
            self.refused.push((letters, why));
        }
    }
}

#[cfg(test)]
mod tests;
