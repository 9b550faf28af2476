//! Takes the stock of a paid order down, once.

fn main() {}
