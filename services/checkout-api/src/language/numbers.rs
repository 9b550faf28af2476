//! Money and time, as people in Korea read them.

use chrono::{DateTime, Datelike as _, FixedOffset, Utc};
use domain::Won;

use super::{Language, Text};

/// Korea keeps one time all year.
const KOREA: FixedOffset = FixedOffset::east_opt(9 * 60 * 60).expect("nine hours are less than a day");

/// `39000` as `₩39,000`.
pub(crate) fn won(amount: Won) -> String {
    let digits = amount.get().to_string();
    let mut text = String::from("₩");
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Language {
    /// A moment, in Korea's time: `2026년 11월 21일 14:05`.
    pub(crate) fn moment(self, at: DateTime<Utc>) -> Text {
        let at = at.with_timezone(&KOREA);
        self.say("moment")
            .with("year", at.year())
            .with("month", at.month())
            .with("day", at.day())
            .with("time", at.format("%H:%M").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn won_are_grouped() {
        let text = |amount| won(Won::new(amount).unwrap());
        assert_eq!([0, 999, 1_000, 39_000, 1_234_567].map(text), ["₩0", "₩999", "₩1,000", "₩39,000", "₩1,234,567"]);
    }

    #[test]
    fn a_moment_is_told_in_koreas_time() {
        let at = "2026-12-31T15:05:59Z".parse().unwrap();
        assert_eq!(Language::Korean.moment(at).to_string(), "2027년 1월 1일 00:05");
        assert_eq!(Language::English.moment(at).to_string(), "1 January 2027, 00:05 KST");
    }
}
