//! What every consumer does with a push request: has its effect once, or parks the message with the reason.

use std::collections::BTreeMap;

use database::BatchError;
use database::dead_letters::{self, Letter};
use database::inbox::Outcome;
use domain::EventId;
use sqlx::PgPool;
use sqlx::error::ErrorKind;
use tracing::{debug, error, warn};

use crate::push::{Answer, Delivery, Malformed, Push};
use crate::topology::{Subscription, Worker};

/// Lets `effect` act on the event of a push request. What can never have an effect is parked.
pub async fn consume<F>(
    db: &PgPool,
    worker: Worker,
    push: Push,
    effect: impl FnOnce(&'static Subscription, EventId) -> F,
) -> Answer
where
    F: Future<Output = Result<Outcome, BatchError>>,
{
    let delivery = match push {
        Push::Delivery(delivery) => delivery,
        Push::Malformed(malformed) => return park_malformed(db, worker, &malformed).await,
    };
    let Some(subscription) = delivery.subscription else {
        return park_delivery(db, worker.name(), &delivery, "it does not say which subscription it is for").await;
    };
    let Some(event) = delivery.event_id else {
        return park_delivery(db, subscription.name, &delivery, "it carries no event id").await;
    };
    let reason = match effect(subscription, event).await {
        Ok(Outcome::Done) => {
            debug!(event.id = %event, consumer = subscription.name, "Event {event} had its effect");
            return Answer::Done;
        }
        Ok(Outcome::Duplicate) => {
            debug!(event.id = %event, consumer = subscription.name, "Event {event} had its effect before");
            return Answer::Duplicate;
        }
        Ok(Outcome::Unknown) => "the outbox holds no such event for this subscription".to_owned(),
        Ok(Outcome::NotPaid) => "its order is not paid".to_owned(),
        Err(BatchError::Database(cause)) if breaks_a_rule(&cause) => {
            error!(event.id = %event, consumer = subscription.name, %cause, "The database refuses event {event}");
            format!("the database refuses it: {cause}")
        }
        Err(cause) => {
            let source = std::error::Error::source(&cause).map(ToString::to_string);
            warn!(event.id = %event, consumer = subscription.name, %cause, source, "Event {event} has to be delivered again");
            return Answer::Later;
        }
    };
    park_delivery(db, subscription.name, &delivery, &reason).await
}

/// A constraint speaks about the data, and will say the same next time.
fn breaks_a_rule(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| match error.kind() {
        ErrorKind::UniqueViolation
        | ErrorKind::ForeignKeyViolation
        | ErrorKind::NotNullViolation
        | ErrorKind::CheckViolation
        | ErrorKind::ExclusionViolation => true,
        // Out of memory, a deadlock, shutting down.
        _ => false,
    })
}

async fn park_delivery(db: &PgPool, source: &str, delivery: &Delivery, reason: &str) -> Answer {
    let letter = Letter {
        event: delivery.event_id,
        source,
        message_id: Some(&delivery.message_id),
        data: &delivery.data,
        attributes: &delivery.attributes,
        reason,
        delivery_attempts: delivery.attempt.and_then(|it| it.try_into().ok()),
    };
    park(db, letter).await
}

/// Parks what is not even a message: the whole request, since nothing of it can be told apart.
pub async fn park_malformed(db: &PgPool, worker: Worker, malformed: &Malformed) -> Answer {
    let letter = Letter {
        event: None,
        source: malformed.subscription.map_or(worker.name(), |it| it.name),
        message_id: malformed.message_id.as_deref(),
        data: &malformed.raw,
        attributes: &BTreeMap::new(),
        reason: &malformed.reason,
        delivery_attempts: None,
    };
    park(db, letter).await
}

/// Keeps a message for a person to look at. Until it is kept, it must come again.
pub async fn park(db: &PgPool, letter: Letter<'_>) -> Answer {
    let Letter { source, reason, message_id, .. } = letter;
    match dead_letters::park(db, letter).await {
        Ok(new) => {
            if new {
                warn!(consumer = source, message.id = message_id, reason, "Parked a message of {source}: {reason}");
            }
            Answer::Parked
        }
        Err(cause) => {
            error!(consumer = source, message.id = message_id, %cause, "Could not park a message of {source}");
            Answer::Later
        }
    }
}
