//! What the push service's answer means for an attempt.

use std::time::Duration;

use database::push_attempts::Next;
use domain::PushError;

/// How long to wait before trying again.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// Before the first retry; doubles from there. Google asks for no less than 10 s.
    pub first: Duration,
    /// The longest wait, unless the push service asks for more.
    pub longest: Duration,
    /// When our credentials are refused: until somebody has repaired that.
    pub repair: Duration,
    /// After this a notification is news no more.
    pub give_up_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            longest: Duration::from_mins(10),
            repair: Duration::from_mins(5),
            give_up_after: Duration::from_hours(1),
        }
    }
}

impl Backoff {
    /// The wait after this many attempts: at least what was asked for, and up to half as much again, so that a crowd
    /// that was sent away does not come back as one. `jitter` is from 0 to 1.
    fn wait(&self, attempts: i32, asked: Option<Duration>, jitter: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).clamp(0, 20).unsigned_abs();
        let usual = self.first.saturating_mul(1 << doublings).min(self.longest);
        usual.max(asked.unwrap_or_default()).mul_f64(1.0 + jitter / 2.0)
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) next: Next,
    /// The notification is certainly on the phone, or certainly not.
    pub(crate) certain: bool,
    /// Something is set up wrongly, and only a person can put it right.
    pub(crate) alarm: bool,
}

/// Judges the answer to an attempt that was planned `age` ago and is its `attempts`th.
pub(crate) fn judge(
    answer: &Result<(), PushError>,
    attempts: i32,
    age: Duration,
    backoff: &Backoff,
    jitter: f64,
) -> Verdict {
    let again = |asked| {
        let after = backoff.wait(attempts, asked, jitter);
        if age + after > backoff.give_up_after { Next::GaveUp } else { Next::Retry { after } }
    };
    let verdict = |next, certain, alarm| Verdict { next, certain, alarm };
    match answer {
        Ok(()) => verdict(Next::Sent, true, false),
        Err(PushError::Gone { .. }) => verdict(Next::Gone, true, false),
        Err(PushError::Payload(_) | PushError::SenderMismatch | PushError::ThirdPartyAuth(_)) => {
            verdict(Next::GaveUp, true, true)
        }
        Err(PushError::Auth(_)) => {
            verdict(Next::Retry { after: backoff.repair.mul_f64(1.0 + jitter / 2.0) }, true, true)
        }
        // A 503 can follow a notification that was delivered.
        Err(PushError::Retry { after }) => verdict(again(*after), false, false),
        Err(PushError::Unknown(_) | PushError::Unexpected { .. }) => verdict(again(None), false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(10),
        longest: Duration::from_mins(10),
        repair: Duration::from_mins(5),
        give_up_after: Duration::from_hours(1),
    };

    fn retry(seconds: u64) -> Next {
        Next::Retry { after: Duration::from_secs(seconds) }
    }

    #[test]
    fn every_answer_has_its_consequence() {
        let text = || "x".to_owned();
        let unexpected = PushError::Unexpected { status: 500, excerpt: text() };
        let asked = PushError::Retry { after: Some(Duration::from_secs(90)) };
        for (answer, next, certain, alarm) in [
            (Ok(()), Next::Sent, true, false),
            (Err(PushError::Gone { code: text() }), Next::Gone, true, false),
            (Err(PushError::Payload(text())), Next::GaveUp, true, true),
            (Err(PushError::SenderMismatch), Next::GaveUp, true, true),
            (Err(PushError::ThirdPartyAuth(text())), Next::GaveUp, true, true),
            (Err(PushError::Auth(text())), retry(300), true, true),
            (Err(PushError::Retry { after: None }), retry(10), false, false),
            (Err(asked), retry(90), false, false),
            (Err(PushError::Unknown("reset".into())), retry(10), false, false),
            (Err(unexpected), retry(10), false, false),
        ] {
            let verdict = judge(&answer, 1, Duration::ZERO, &BACKOFF, 0.0);
            assert_eq!(verdict, Verdict { next, certain, alarm }, "{answer:?}");
        }
    }

    #[test]
    fn waits_double_up_to_a_limit_and_spread() {
        let wait = |attempts, jitter| BACKOFF.wait(attempts, None, jitter).as_secs();
        assert_eq!([1, 2, 3, 7, i32::MAX].map(|attempts| wait(attempts, 0.0)), [10, 20, 40, 600, 600]);
        assert_eq!(wait(1, 1.0), 15);
        let asked = Some(Duration::from_secs(5));
        assert_eq!(BACKOFF.wait(1, asked, 0.0).as_secs(), 10, "never sooner than ten seconds");
    }

    #[test]
    fn old_news_is_given_up() {
        let at = |age, error| judge(&Err(error), 1, Duration::from_secs(age), &BACKOFF, 0.0).next;
        assert_eq!(at(3590, PushError::Retry { after: None }), retry(10));
        assert_eq!(at(3591, PushError::Retry { after: None }), Next::GaveUp);
        assert_eq!(at(3591, PushError::Auth(String::new())), retry(300), "our own fault is not the buyer's");
    }
}
