//! A day's money at the provider against our book: payment by payment, both directions, to the won.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveTime, TimeDelta, Utc};

/// Money that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// What the provider knows the order by.
    pub order_id: String,
    /// The payment it belongs to.
    pub payment_key: String,
    /// Won: taken, or (negative) given back.
    pub won: i64,
    /// When, by the provider.
    pub at: DateTime<Utc>,
}

/// A day in Korea, as the provider counts days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

/// One side may note a movement a little later than the other, and past midnight.
const MARGIN: TimeDelta = TimeDelta::hours(1);

impl Day {
    /// The day that ended last.
    pub fn yesterday(now: DateTime<Utc>) -> Self {
        let korea = now + TimeDelta::hours(9);
        Self(korea.date_naive() - TimeDelta::days(1))
    }

    /// The day itself.
    pub fn time(self) -> Range<DateTime<Utc>> {
        const KOREA: Option<FixedOffset> = FixedOffset::east_opt(9 * 60 * 60);
        let midnight = self.0.and_time(NaiveTime::MIN);
        let begin = KOREA.and_then(|it| midnight.and_local_timezone(it).single());
        let begin = begin.map_or_else(|| midnight.and_utc(), |it| it.to_utc());
        begin..begin + TimeDelta::days(1)
    }

    /// The time that both sides must be asked about to compare the day.
    pub fn with_margin(self) -> Range<DateTime<Utc>> {
        let Range { start, end } = self.time();
        start - MARGIN..end + MARGIN
    }
}

/// What a payment that moved money is on our record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRecord {
    /// The provider has been asked and the answer is not on record.
    Confirming,
    /// A virtual account that nobody has paid into. The provider lists its closing like a refund of money it never had.
    Unpaid,
    /// Anything else.
    Other,
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Won that moved by our book, what was given back subtracted.
    pub ours: i64,
    /// Won that moved by the provider's.
    pub theirs: i64,
    /// Of these, won of payments whose outcome is not on record yet.
    pub in_flight: i64,
    /// How many movements the provider lists.
    pub movements: usize,
    /// Payments whose movements differ.
    pub differences: Vec<Difference>,
}

/// A payment whose movements differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What the provider knows the order by.
    pub order_id: String,
    /// Movements on our record alone, in won.
    pub ours: Vec<i64>,
    /// Movements on the provider's list alone, in won.
    pub theirs: Vec<i64>,
}

impl Statement {
    /// Compares a day. Both lists reach past it on both sides (see [`Day::with_margin`]); `on_record` knows the payments
    /// of `theirs` by their keys.
    pub fn compare(day: Day, ours: &[Movement], theirs: &[Movement], on_record: &HashMap<String, OnRecord>) -> Self {
        let of_the_day = day.time();
        let mut payments: BTreeMap<(&str, &str), [Vec<&Movement>; 2]> = BTreeMap::new();
        for (side, movements) in [ours, theirs].into_iter().enumerate() {
            for movement in movements {
                payments.entry((&movement.order_id, &movement.payment_key)).or_default()[side].push(movement);
            }
        }
        let mut statement = Self { ours: 0, theirs: 0, in_flight: 0, movements: 0, differences: Vec::new() };
        let total = |movements: &[&Movement]| -> i64 {
            movements.iter().filter(|it| of_the_day.contains(&it.at)).map(|it| it.won).sum()
        };
        for ((order_id, payment_key), [ours, mut theirs]) in payments {
            let record = on_record.get(payment_key).copied();
            if record == Some(OnRecord::Unpaid) && theirs.iter().all(|it| it.won < 0) {
                theirs.clear();
            }
            statement.ours += total(&ours);
            statement.theirs += total(&theirs);
            statement.movements += theirs.iter().filter(|it| of_the_day.contains(&it.at)).count();
            if record == Some(OnRecord::Confirming) {
                statement.in_flight += total(&theirs);
                continue;
            }
            let (ours, theirs) = unmatched(ours, theirs);
            if ours.iter().chain(&theirs).any(|it| of_the_day.contains(&it.at)) {
                let won = |movements: Vec<&Movement>| movements.into_iter().map(|it| it.won).collect();
                let difference = Difference { order_id: order_id.to_owned(), ours: won(ours), theirs: won(theirs) };
                statement.differences.push(difference);
            }
        }
        statement
    }
}

/// What of each side has no partner of the same sum on the other.
fn unmatched<'a>(ours: Vec<&'a Movement>, mut theirs: Vec<&'a Movement>) -> (Vec<&'a Movement>, Vec<&'a Movement>) {
    let mut alone = Vec::new();
    for movement in ours {
        match theirs.iter().position(|it| it.won == movement.won) {
            Some(partner) => drop(theirs.remove(partner)),
            None => alone.push(movement),
        }
    }
    (alone, theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Day = Day(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap());

    fn moved(order: &str, won: i64, at: &str) -> Movement {
        let at = format!("2026-01-{at}+09:00").parse::<DateTime<FixedOffset>>().unwrap().to_utc();
        Movement { order_id: order.into(), payment_key: format!("key of {order}"), won, at }
    }

    fn on_record(order: &str, record: OnRecord) -> HashMap<String, OnRecord> {
        HashMap::from([(format!("key of {order}"), record)])
    }

    fn differences(ours: &[Movement], theirs: &[Movement]) -> Vec<(String, Vec<i64>, Vec<i64>)> {
        let statement = Statement::compare(DAY, ours, theirs, &HashMap::new());
        statement.differences.into_iter().map(|it| (it.order_id, it.ours, it.theirs)).collect()
    }

    #[test]
    fn a_day_is_koreas() {
        let time = DAY.time();
        assert_eq!(time.start.to_string(), "2026-01-30 15:00:00 UTC");
        assert_eq!(time.end - time.start, TimeDelta::days(1));
        assert_eq!(Day::yesterday("2026-01-31T15:30:00Z".parse().unwrap()), DAY);
        assert_eq!(Day::yesterday("2026-02-01T14:59:59Z".parse().unwrap()), DAY);
    }

    #[test]
    fn two_lists_that_agree() {
        let both =
            [moved("a", 9_000, "31T12:00:00"), moved("a", -4_000, "31T13:00:00"), moved("b", 500, "31T23:59:59")];
        let statement = Statement::compare(DAY, &both, &both, &HashMap::new());
        assert_eq!((statement.ours, statement.theirs, statement.movements), (5_500, 5_500, 3));
        assert_eq!(statement.differences, []);
    }

    #[test]
    fn what_only_one_side_knows_is_found_on_either() {
        let (known, other) = (moved("a", 9_000, "31T12:00:00"), moved("b", 500, "31T13:00:00"));
        let both = [known.clone(), other];
        assert_eq!(differences(&both, std::slice::from_ref(&known)), [("b".into(), vec![500], vec![])]);
        assert_eq!(differences(&[known], &both), [("b".into(), vec![], vec![500])]);
    }

    #[test]
    fn another_sum_a_double_charge_and_a_refund_are_differences_of_their_payment() {
        let at = "31T12:00:00";
        assert_eq!(differences(&[moved("a", 900, at)], &[moved("a", 901, at)]), [("a".into(), vec![900], vec![901])]);
        let twice = [moved("a", 900, at), moved("a", 900, at)];
        assert_eq!(differences(&twice[..1], &twice), [("a".into(), vec![], vec![900])]);
        let refunded = [moved("a", 900, at), moved("a", -900, at)];
        assert_eq!(differences(&refunded[..1], &refunded), [("a".into(), vec![], vec![-900])]);
    }

    #[test]
    fn midnight_lies_between_two_clocks_and_a_movement_belongs_to_one_day() {
        let (before, after) = (moved("a", 900, "30T23:59:59"), moved("a", 900, "31T00:00:02"));
        assert_eq!(differences(std::slice::from_ref(&before), &[after]), []);
        assert_eq!(differences(&[before], &[]), [], "yesterday's statement has it");
    }

    #[test]
    fn what_is_not_on_record_yet_is_in_flight() {
        let theirs = [moved("a", 900, "31T12:00:00")];
        let statement = Statement::compare(DAY, &[], &theirs, &on_record("a", OnRecord::Confirming));
        assert_eq!((statement.in_flight, statement.theirs, statement.differences.len()), (900, 900, 0));
    }

    #[test]
    fn an_account_that_nobody_paid_into_gives_nothing_back() {
        let closed = moved("a", -900, "31T12:00:00");
        let unpaid = on_record("a", OnRecord::Unpaid);
        let statement = Statement::compare(DAY, &[], std::slice::from_ref(&closed), &unpaid);
        assert_eq!((statement.theirs, statement.differences.len()), (0, 0));
        // Somebody did, says the provider.
        let paid = [moved("a", 900, "31T11:00:00"), closed];
        assert_eq!(Statement::compare(DAY, &[], &paid, &unpaid).differences.len(), 1);
    }
}
