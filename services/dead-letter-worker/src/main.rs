//! Stores what no consumer could take, with its reason.

fn main() {}
