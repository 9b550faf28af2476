//! The sandbox's clock: real time plus an offset, so that a test can let a payment window pass without waiting.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serializer;

const KST: FixedOffset = match FixedOffset::east_opt(9 * 3600) {
    Some(offset) => offset,
    None => panic!("nine hours are a valid offset"),
};

/// Only payments live by this clock. FCM's tokens keep real time: the assertions are dated by the sender's clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_millis: AtomicI64,
}

impl Clock {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.offset_millis.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: TimeDelta) {
        self.offset_millis.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.offset_millis.store(0, Ordering::Relaxed);
    }
}

/// Toss writes Korean time with its offset, to the second.
pub(crate) fn in_korea(at: DateTime<Utc>) -> String {
    at.with_timezone(&KST).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// In a webhook's `createdAt` it writes the same time without the offset, to the microsecond.
pub(crate) fn local_in_korea(at: DateTime<Utc>) -> String {
    at.with_timezone(&KST).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// What Toss is told is Korean time, without an offset.
pub(crate) fn from_korea(local: NaiveDateTime) -> DateTime<Utc> {
    local.and_utc() - TimeDelta::seconds(i64::from(KST.local_minus_utc()))
}

/// The digits Toss puts into a payment key.
pub(crate) fn compact_in_korea(at: DateTime<Utc>) -> String {
    at.with_timezone(&KST).format("%Y%m%d%H%M%S").to_string()
}

pub(crate) fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&in_korea(*at))
}
