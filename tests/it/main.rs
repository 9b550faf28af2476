//! The integration tests, one binary: a whole shop over real HTTP and a real PostgreSQL, told as a shop floor would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod abuse;
mod api_document;
mod audit;
mod browsers;
mod canaries;
mod commands;
mod configuration;
#[cfg(debug_assertions)] // a release build has no crash points
mod crash_matrix;
mod crashes;
mod dead_letters;
mod deploy;
mod faults;
mod forgotten;
mod full;
mod live_stock;
mod members;
mod messages;
mod notifications;
mod operations;
mod order_form;
mod orders;
mod outage;
mod pages;
mod programs;
mod pubsub;
mod purchase;
mod refunds;
mod releases;
mod reliability;
mod returns;
mod reversals;
mod roles;
mod slow_toss;
mod strangers;
mod tokens;
mod web_push;
mod webhooks;
