//! The push sender port over FCM HTTP v1.
//!
//! FCM has no idempotency key: when an answer is lost the notification may be on the phone already. Every message
//! therefore carries the same tag, collapse id and topic however often it is sent, and the device shows it once.

mod answer;
mod client;
mod message;
mod oauth;
#[cfg(test)]
mod tests;

pub use client::{Fcm, FcmSettings, SetupError};
pub use oauth::ServiceAccount;
