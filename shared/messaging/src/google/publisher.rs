use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::{EventEnvelope, EventPublisher, EventType, PublishError};
use futures_util::future::join_all;
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::client_builder;
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_pubsub::client::Publisher;
use google_cloud_pubsub::model::Message;
use google_cloud_pubsub::retry_policy::RetryableErrors;
use tokio::time::timeout;

use super::Access;
use crate::envelope;

/// How long an event may take: well below the relay's claim, which must not run out meanwhile. The client's own limit is
/// ten minutes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the client waits for more to send along: the relay hands over whole batches, so there is nothing to wait for.
const GATHER: Duration = Duration::from_millis(1);

/// Pub/Sub takes 10 MB, the request around the message included. The emulator never answers to more.
const MESSAGE_LIMIT: usize = 9_000_000;

/// Publishes to Google Cloud Pub/Sub.
pub struct GooglePublisher {
    topics: HashMap<EventType, Publisher>,
    patience: Duration,
}

/// Why Pub/Sub has not acknowledged an event, where it is not Pub/Sub that says so.
#[derive(Debug, thiserror::Error)]
enum Unpublished {
    #[error("{0} bytes are more than a message may have")]
    TooLarge(usize),
    #[error("no answer in {0:?}")]
    Silence(Duration),
}

impl GooglePublisher {
    /// A publisher with one client per topic. Nothing is connected before the first event.
    ///
    /// # Errors
    /// When a client cannot be set up: without the emulator, for want of credentials.
    pub async fn new(access: &Access) -> Result<Self, client_builder::Error> {
        Self::with_patience(access, PATIENCE).await
    }

    async fn with_patience(access: &Access, patience: Duration) -> Result<Self, client_builder::Error> {
        let mut topics = HashMap::new();
        for event_type in EventType::ALL {
            let mut topic = Publisher::builder(access.topic(event_type.name()))
                // Gives up by itself a little earlier than we do, and says why.
                .with_retry_policy(RetryableErrors.with_time_limit(patience.mul_f64(0.8)))
                .set_delay_threshold(GATHER);
            if let Some(emulator) = access.emulator_endpoint() {
                topic = topic.with_endpoint(emulator).with_credentials(anonymous::Builder::new().build());
            }
            topics.insert(event_type, topic.build().await?);
        }
        Ok(Self { topics, patience })
    }

    async fn publish_one(&self, event: &EventEnvelope) -> Result<(), PublishError> {
        let attributes = envelope::attributes(event);
        let size = event.data.len() + attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if size > MESSAGE_LIMIT {
            return Err(PublishError(Box::new(Unpublished::TooLarge(size))));
        }
        let message = Message::new().set_data(event.data.clone()).set_attributes(attributes);
        // Synchronous, and buffers without end: what bounds it is that the relay waits for each batch.
        let answer = self.topics[&event.event_type].publish(message);
        match timeout(self.patience, answer).await {
            Ok(Ok(_message_id)) => Ok(()),
            Ok(Err(error)) => Err(PublishError(Box::new(error))),
            Err(_) => Err(PublishError(Box::new(Unpublished::Silence(self.patience)))),
        }
    }
}

#[async_trait]
impl EventPublisher for GooglePublisher {
    async fn publish(&self, events: &[EventEnvelope]) -> Vec<Result<(), PublishError>> {
        join_all(events.iter().map(|event| self.publish_one(event))).await
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use chrono::DateTime;
    use domain::{EventId, OrderId};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    fn event(event_type: EventType, data: String) -> EventEnvelope {
        let occurred_at = DateTime::UNIX_EPOCH;
        EventEnvelope { id: EventId::new(), event_type, order: OrderId::new(), occurred_at, data, traceparent: None }
    }

    async fn publish(emulator: String) -> Vec<String> {
        let access = Access { project: "shop".into(), emulator: Some(emulator) };
        let publisher = GooglePublisher::with_patience(&access, Duration::from_millis(400)).await.unwrap();
        let events = [
            event(EventType::CheckoutSuccess, "x".repeat(MESSAGE_LIMIT)),
            event(EventType::CheckoutFailed, "{}".into()),
            event(EventType::CheckoutSuccess, "{}".into()),
        ];
        let begun = Instant::now();
        let answers = publisher.publish(&events).await;
        assert!(begun.elapsed() < Duration::from_secs(2));
        answers.into_iter().map(|answer| answer.unwrap_err().source().unwrap().to_string()).collect()
    }

    #[tokio::test]
    async fn every_event_has_its_own_error_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap().to_string();
        drop(listener);
        let errors = publish(nobody).await;
        assert_eq!(errors.len(), 3);
        assert!(errors[0].contains("more than a message may have"), "{}", errors[0]);
        assert!(errors[1..].iter().all(|error| error.contains("cannot connect")), "{errors:?}");
    }

    #[tokio::test]
    async fn an_engine_that_says_nothing_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(publish(silent.local_addr().unwrap().to_string()).await.len(), 3);
    }
}
