use std::sync::Arc;

use async_trait::async_trait;
use database::deliveries::{self, Message};
use domain::{EventEnvelope, EventPublisher, PublishError};
use sqlx::PgPool;

use super::Broker;
use crate::envelope;
use crate::topology::SUBSCRIPTIONS;

/// Publishes to the embedded engine.
pub struct EmbeddedPublisher {
    pool: PgPool,
    broker: Option<Broker>,
}

impl EmbeddedPublisher {
    /// A publisher that hands what it stores to the broker of this process, if there is one. Any other finds it.
    pub fn new(pool: PgPool, broker: Option<Broker>) -> Self {
        Self { pool, broker }
    }

    async fn enqueue(&self, events: &[EventEnvelope]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let messages = events.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let subscriptions = SUBSCRIPTIONS.each_ref().map(|it| (it.topic, it.name));
        let Some(broker) = &self.broker else {
            deliveries::enqueue(&self.pool, &messages, &subscriptions, &[]).await?;
            return Ok(());
        };
        let slots = broker.slots_for_news();
        let leased = deliveries::enqueue(&self.pool, &messages, &subscriptions, &slots.rooms()).await?;
        broker.push_news(leased, slots);
        Ok(())
    }
}

fn message(event: &EventEnvelope) -> serde_json::Result<Message<'_>> {
    Ok(Message {
        topic: event.event_type.name(),
        dedup_key: event.id.to_string(),
        data: event.data.as_bytes(),
        attributes: serde_json::to_string(&envelope::attributes(event))?,
    })
}

#[async_trait]
impl EventPublisher for EmbeddedPublisher {
    async fn publish(&self, events: &[EventEnvelope]) -> Vec<Result<(), PublishError>> {
        match self.enqueue(events).await {
            Ok(()) => events.iter().map(|_| Ok(())).collect(),
            Err(error) => {
                // One statement: all or none.
                let error: Arc<dyn std::error::Error + Send + Sync> = error.into();
                events.iter().map(|_| Err(PublishError(Box::new(Arc::clone(&error))))).collect()
            }
        }
    }
}
