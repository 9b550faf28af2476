//! The integration tests, one binary.

#[test]
fn nothing_yet() {}
