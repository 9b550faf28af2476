//! The command: up, verify, seed.

fn main() {}
