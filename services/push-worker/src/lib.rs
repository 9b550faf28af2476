//! Tells the buyer's phone, once per device.
