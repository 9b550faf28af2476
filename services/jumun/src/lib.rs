//! The command: up, verify, seed.
