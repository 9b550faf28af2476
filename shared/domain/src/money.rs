use serde::{Deserialize, Serialize};

/// An amount of Korean won, never negative and at most [`Won::MAX`].
///
/// The won has no minor unit, so this is also the number Toss sends and receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Won(i64);

/// Why a number is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Money is owed or taken, never negative.
    #[error("an amount cannot be negative")]
    Negative,
    /// The sum left the range that the schema and the provider accept.
    #[error("an amount cannot exceed {max} won", max = Won::MAX.0)]
    TooLarge,
}

impl Won {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// 100 billion won. Far above any basket, far below where arithmetic on `i64` could overflow.
    pub const MAX: Self = Self(100_000_000_000);

    /// Accepts a number of won.
    pub const fn new(won: i64) -> Result<Self, MoneyError> {
        if won < 0 {
            Err(MoneyError::Negative)
        } else if won > Self::MAX.0 {
            Err(MoneyError::TooLarge)
        } else {
            Ok(Self(won))
        }
    }

    /// The number of won.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum of two amounts.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        Self::new(self.0 + other.0) // both are at most 10^11: the sum fits
    }

    /// What is left after taking some away.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        Self::new(self.0 - other.0) // neither is negative: the difference fits
    }

    /// The price of several pieces.
    pub fn times(self, quantity: Quantity) -> Result<Self, MoneyError> {
        Self::new(self.0 * i64::from(quantity.get())) // 10^11 * 10^4 fits
    }
}

impl TryFrom<i64> for Won {
    type Error = MoneyError;
    fn try_from(won: i64) -> Result<Self, MoneyError> {
        Self::new(won)
    }
}

impl From<Won> for i64 {
    fn from(won: Won) -> Self {
        won.0
    }
}

impl std::fmt::Display for Won {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} won", self.0)
    }
}

/// How many pieces of one product: 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(i32);

impl Quantity {
    /// More pieces of one product than a person orders, and small enough for checked arithmetic.
    pub const MAX: i32 = 9_999;

    /// Accepts a number of pieces.
    pub fn new(pieces: i64) -> Result<Self, QuantityError> {
        match i32::try_from(pieces) {
            Ok(n @ 1..=Self::MAX) => Ok(Self(n)),
            _ => Err(QuantityError),
        }
    }

    /// The number of pieces.
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// The number of pieces is not between 1 and [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quantity is a whole number from 1 to {max}", max = Quantity::MAX)]
pub struct QuantityError;

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;
    fn try_from(pieces: i64) -> Result<Self, QuantityError> {
        Self::new(pieces)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0.into()
    }
}

/// The currency of an amount, ISO 4217. The first version sells in won only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Currency {
    /// Korean won.
    #[default]
    #[serde(rename = "KRW")]
    Krw,
}

impl Currency {
    /// The ISO 4217 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Krw => "KRW",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_amount_is_never_negative_nor_beyond_the_limit(won in any::<i64>()) {
            match Won::new(won) {
                Ok(accepted) => prop_assert!((0..=Won::MAX.get()).contains(&accepted.get())),
                Err(MoneyError::Negative) => prop_assert!(won < 0),
                Err(MoneyError::TooLarge) => prop_assert!(won > Won::MAX.get()),
            }
        }

        #[test]
        fn arithmetic_never_overflows(a in 0..=Won::MAX.get(), b in 0..=Won::MAX.get(), n in 1..=i64::from(Quantity::MAX)) {
            let (a, b, n) = (Won::new(a).unwrap(), Won::new(b).unwrap(), Quantity::new(n).unwrap());
            if let Ok(sum) = a.plus(b) { prop_assert_eq!(sum.get(), a.get() + b.get()); }
            if let Ok(product) = a.times(n) { prop_assert_eq!(product.get(), a.get() * i64::from(n.get())); }
        }

        #[test]
        fn a_quantity_is_from_one_to_the_limit(pieces in any::<i64>()) {
            prop_assert_eq!(Quantity::new(pieces).is_ok(), (1..=i64::from(Quantity::MAX)).contains(&pieces));
        }
    }

    #[test]
    fn json_refuses_what_is_not_an_amount() {
        assert_eq!(serde_json::from_str::<Won>("39000").unwrap().get(), 39_000);
        for bad in ["-1", "1.5", "\"39000\"", "100000000001", "9223372036854775808", "null"] {
            assert!(serde_json::from_str::<Won>(bad).is_err(), "{bad}");
        }
    }
}
