//! The payment gateway port over Toss Payments' Core API v1.
