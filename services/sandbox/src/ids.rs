//! Ids as the providers shape them: opaque, unguessable, cheap.

use chrono::{DateTime, Utc};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::clock;

/// `tgen_`, the second, and ten characters: Toss's own five would collide at load-test speed.
pub(crate) fn payment_key(at: DateTime<Utc>) -> String {
    format!("tgen_{}{}", clock::compact_in_korea(at), alphanumeric(10))
}

/// 32 upper-case hexadecimal digits.
pub(crate) fn transaction_key() -> String {
    format!("{:032X}", rand::rng().random::<u128>())
}

pub(crate) fn secret() -> String {
    format!("ps_{}", alphanumeric(28))
}

/// Test accounts start with an X.
pub(crate) fn account_number() -> String {
    format!("X{:013}", rand::rng().random_range(0..10_000_000_000_000_u64))
}

pub(crate) fn transmission_id() -> String {
    format!("whtrans_{}", alphanumeric(27).to_lowercase())
}

pub(crate) fn trace() -> String {
    format!("{:016x}", rand::rng().random::<u64>())
}

pub(crate) fn access_token() -> String {
    format!("sandbox.{}", alphanumeric(48))
}

pub(crate) fn code() -> String {
    alphanumeric(40)
}

pub(crate) fn message_id() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

fn alphanumeric(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}
