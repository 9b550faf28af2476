//! The payment gateway port over Toss Payments' Core API v1.
//!
//! An error *code* decides what an answer means, never the HTTP status alone (`codes.rs`); whatever is not
//! certainly a refusal is [`Unanswered`](domain::Unanswered), and the caller asks what became of the payment.

mod client;
mod codes;
mod payment;
#[cfg(test)]
mod tests;
mod transactions;
pub mod webhook;

pub use client::{SetupError, Toss, TossSettings};
