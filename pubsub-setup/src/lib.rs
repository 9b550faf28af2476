//! Creates or updates topics and push subscriptions on Google Cloud Pub/Sub, from the topology table.
//!
//! What is [`Wanted`] comes from `messaging::topology`. A [`Setup`] surveys what is there, says as [`Change`]s where it
//! differs, and applies them; a second survey finds none. Nothing is ever deleted: a subscription holds events.

mod change;
mod grants;
mod options;
mod setup;
mod wanted;

pub use change::{Change, Difference};
pub use grants::grants;
pub use options::Options;
pub use setup::{Setup, SetupError};
pub use wanted::Wanted;
