use std::sync::Arc;

use async_trait::async_trait;
use database::deliveries::{self, Message};
use domain::{EventEnvelope, EventPublisher, PublishError};
use sqlx::PgPool;
use tokio::sync::Notify;

use crate::envelope;
use crate::topology::SUBSCRIPTIONS;

/// Publishes to the embedded engine.
pub struct EmbeddedPublisher {
    pool: PgPool,
    wake: Arc<Notify>,
}

impl EmbeddedPublisher {
    /// A publisher that wakes the broker that waits on `wake`, if it is in this process.
    pub fn new(pool: PgPool, wake: Arc<Notify>) -> Self {
        Self { pool, wake }
    }

    async fn enqueue(&self, events: &[EventEnvelope]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let messages = events.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let subscriptions = SUBSCRIPTIONS.each_ref().map(|it| (it.topic, it.name));
        deliveries::enqueue(&self.pool, &messages, &subscriptions).await?;
        self.wake.notify_one();
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
