//! Events out and push requests in.
//!
//! Out: the [`relay`] takes events from the outbox and hands them to the message engine, which is the [`embedded`] one or
//! another behind `domain::EventPublisher`. In: the engine sends each subscription of the [`topology`] its push requests
//! ([`envelope`]), and a worker receives them through [`push`], reads the [`body`] and acts as a [`consumer`].

pub mod body;
pub mod consumer;
pub mod embedded;
pub mod envelope;
mod pause;
pub mod push;
pub mod relay;
pub mod topology;
pub mod worker;
