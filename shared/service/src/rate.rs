//! Rate limits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::settings::Setting;

/// So many times in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    times: u32,
    per: Duration,
}

impl Rate {
    /// `times`, at least one, in every `per`.
    pub const fn new(times: u32, per: Duration) -> Self {
        Self { times: if times == 0 { 1 } else { times }, per }
    }

    /// That many times as often.
    #[must_use]
    pub const fn times(self, factor: u32) -> Self {
        Self::new(self.times.saturating_mul(factor), self.per)
    }
}

impl Setting for Rate {
    const EXPECTED: &'static str = "so many in so much time, such as 10/1m";

    fn parse(text: &str) -> Option<Self> {
        let (times, per) = text.split_once('/')?;
        let (times, per): (u32, _) = (times.parse().ok()?, Duration::parse(per)?);
        (times > 0 && !per.is_zero()).then(|| Self::new(times, per))
    }

    fn show(&self) -> String {
        format!("{}/{}", self.times, self.per.show())
    }
}

/// How many callers are remembered. Past this the idle ones are forgotten, and if nobody is idle everybody is: memory
/// stays bounded, and a flood from that many callers is not what this could stop.
const REMEMBERED: usize = 100_000;

/// Holds each caller to a [`Rate`]: a token bucket per key, as the one instant at which it will be full again.
#[derive(Debug)]
pub struct RateLimiter<K> {
    /// One token's worth of time.
    interval: Duration,
    /// A whole bucket's.
    bucket: Duration,
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Everybody begins with a full bucket.
    pub fn new(rate: Rate) -> Self {
        Self { interval: rate.per / rate.times, bucket: rate.per, full_at: Mutex::default() }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to wait, if there is none left; asking too early costs nothing.
    pub fn take(&self, key: K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = full_at.get(&key).map_or(now, |at| now.max(*at));
        let after = before + self.interval;
        let early = after.saturating_duration_since(now + self.bucket);
        if !early.is_zero() {
            return Err(early);
        }
        if full_at.len() >= REMEMBERED && !full_at.contains_key(&key) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() > REMEMBERED / 2 {
                full_at.clear(); // or every newcomer would have to look through them all again
            }
        }
        full_at.insert(key, after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shown_as_it_is_read() {
        for text in ["10/1m", "1/1s", "1000/500ms"] {
            assert_eq!(Rate::parse(text).unwrap().show(), text);
        }
        for text in ["", "10", "0/1m", "10/0s", "10/m", "-1/1m", "/1m"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_at_once_and_fills_slowly() {
        let limiter = RateLimiter::new(Rate::new(3, Duration::from_secs(30)));
        for _ in 0..3 {
            limiter.take("a").unwrap();
        }
        assert_eq!(limiter.take("a"), Err(Duration::from_secs(10)));
        assert_eq!(limiter.take("a"), Err(Duration::from_secs(10)), "asking too early costs nothing");
        limiter.take("b").unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
        limiter.take("a").unwrap();
        assert_eq!(limiter.take("a"), Err(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!((0..10).filter(|_| limiter.take("a").is_ok()).count(), 3, "no more than a bucket is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let limiter = RateLimiter::new(Rate::new(1, Duration::from_mins(1)));
        for n in 0..REMEMBERED {
            limiter.take(n).unwrap();
        }
        tokio::time::advance(Duration::from_mins(2)).await;
        limiter.take(REMEMBERED).unwrap();
        assert_eq!(limiter.full_at.lock().unwrap().len(), 1, "the idle are forgotten");
        for n in 0..3 * REMEMBERED {
            let _ = limiter.take(n);
            assert!(limiter.full_at.lock().unwrap().len() <= REMEMBERED);
        }
    }
}
