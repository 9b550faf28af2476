//! The embedded message engine: a table of deliveries instead of a cloud service. Durable, and good for one machine.
//!
//! [`EmbeddedPublisher`] stores one delivery for each event and subscription; a [`Broker`] pushes them to the workers, who
//! cannot tell it from Pub/Sub. Both may run in one process or in several.

mod broker;
mod publisher;
#[cfg(test)]
mod tests;

pub use broker::{Broker, BrokerError, BrokerSettings};
pub use publisher::EmbeddedPublisher;

/// The project in the full names of subscriptions.
pub const PROJECT: &str = "jumun-local";
