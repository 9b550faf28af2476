//! Rows and domain values: every SQL statement of the project, one module per table or per step of the purchase.
//!
//! Statements on the purchase's path take slices: what concurrent requests ask for at the same moment
//! becomes one transaction (see [`Batcher`]), which is what makes a popular product cheap.

use std::borrow::Cow;

pub mod attention;
mod batch;
pub mod catalogue;
pub mod claim;
pub mod customers;
pub mod dead_letters;
pub mod deliveries;
pub mod history;
pub mod inbox;
pub mod members;
pub mod messaging_tokens;
pub mod orders;
pub mod outbox;
pub mod payments;
mod pool;
pub mod products;
pub mod push_attempts;
pub mod record;
pub mod refunds;
pub mod return_tokens;
mod roles;
#[cfg(test)]
mod scans;
mod schema;
pub mod statements;
pub mod stock;
pub mod stock_news;
pub mod timeline;
pub mod verify;
pub mod watchdog;
pub mod webhook_inbox;

pub use batch::{BatchError, Batcher};
pub use pool::{PoolSettings, connect, ping};
pub use roles::Role;
pub use schema::MIGRATOR;

/// A value that the schema should have made impossible.
fn decode<T, E: std::error::Error + Send + Sync + 'static>(value: Result<T, E>) -> sqlx::Result<T> {
    value.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn decode_text(problem: String) -> sqlx::Error {
    sqlx::Error::Decode(problem.into())
}

/// Neither `text` nor `jsonb` can hold a NUL, and what others say may have one.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}
