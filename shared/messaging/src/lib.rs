//! Events out and push requests in.
//!
//! Out: the [`relay`] takes events from the outbox and hands them to the message [`engine`] behind `domain::EventPublisher`,
//! which is the [`embedded`] one or [`google`]'s. In: the engine sends each subscription of the [`topology`] its push requests
//! ([`envelope`]), and a worker receives them through [`push`] and acts as a [`consumer`].

pub mod consumer;
pub mod embedded;
pub mod engine;
pub mod envelope;
pub mod google;
mod pause;
pub mod push;
pub mod relay;
pub mod topology;
pub mod watchdog;
pub mod worker;
