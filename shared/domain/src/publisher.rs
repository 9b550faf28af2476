use async_trait::async_trait;

use crate::EventEnvelope;

/// A message engine that events are handed to.
#[async_trait]
pub trait EventPublisher: Send + Sync {
    /// Publishes a batch and says of each event, in order, whether the engine has it for good.
    /// An error may still have been a success whose answer was lost: publish again, consumers de-duplicate.
    async fn publish(&self, events: &[EventEnvelope]) -> Vec<Result<(), PublishError>>;
}

/// The engine did not take the event, or did not say so. It stays in the outbox.
#[derive(Debug, thiserror::Error)]
#[error("the message engine did not acknowledge the event")]
pub struct PublishError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
