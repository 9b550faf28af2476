use chrono::{DateTime, Utc};

use crate::{CustomerId, MoneyError, OrderId, PaymentId, ProductId, Quantity, Won};

/// The most lines an order may have.
pub const MAX_LINES: usize = 100;

/// Longest order name that Toss accepts, in characters.
const MAX_NAME: usize = 100;

/// One line of an order: a product, how many, and the price that was frozen when the order was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub product: ProductId,
    /// Its name when the order was made.
    pub name: String,
    /// Won per piece when the order was made.
    pub unit_price: Won,
    /// How many.
    pub quantity: Quantity,
}

/// An order about to be written down: priced, summed and named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Its id.
    pub id: OrderId,
    /// Who will pay.
    pub customer: CustomerId,
    /// What the payment window shows, such as `머그컵 외 1건`; at most 100 characters.
    pub name: String,
    /// The frozen total.
    pub amount: Won,
    /// Sorted by product, each product once, at least one line.
    pub lines: Vec<Line>,
}

/// Why a basket cannot become an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nothing to order.
    #[error("an order needs at least one line")]
    Empty,
    /// Too many lines.
    #[error("an order has at most {MAX_LINES} lines")]
    TooManyLines,
    /// The same product twice: the buyer's intention is unclear.
    #[error("product {0} is listed twice; ask for the sum in one line")]
    Duplicate(ProductId),
    /// The total is not an amount.
    #[error("the total is too large")]
    Total(#[from] MoneyError),
    /// Nothing to pay.
    #[error("the total is zero")]
    Free,
}

impl NewOrder {
    /// Freezes the prices of a basket into an order.
    pub fn place(id: OrderId, customer: CustomerId, mut lines: Vec<Line>) -> Result<Self, PlaceError> {
        if lines.len() > MAX_LINES {
            return Err(PlaceError::TooManyLines);
        }
        let first = lines.first().ok_or(PlaceError::Empty)?.name.clone();
        lines.sort_by_key(|line| line.product);
        if let Some(pair) = lines.windows(2).find(|pair| pair[0].product == pair[1].product) {
            return Err(PlaceError::Duplicate(pair[0].product));
        }
        let amount = total(&lines)?;
        if amount == Won::ZERO {
            return Err(PlaceError::Free);
        }
        Ok(Self { id, customer, name: order_name(&first, lines.len()), amount, lines })
    }
}

fn total(lines: &[Line]) -> Result<Won, MoneyError> {
    lines.iter().try_fold(Won::ZERO, |sum, line| sum.plus(line.unit_price.times(line.quantity)?))
}

fn order_name(first: &str, lines: usize) -> String {
    let suffix = if lines > 1 { format!(" 외 {}건", lines - 1) } else { String::new() };
    let room = MAX_NAME - suffix.chars().count();
    first.chars().take(room).collect::<String>() + &suffix
}

/// An order and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who owns it.
    pub customer: CustomerId,
    /// What the payment window shows.
    pub name: String,
    /// The frozen total.
    pub amount: Won,
    /// How many payments were begun so far. The next one is attempt `attempts + 1`.
    pub attempts: i16,
    /// Where it stands.
    pub state: OrderState,
}

/// Where an order stands. Each variant owns exactly the data of that state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderState {
    /// Not paid; the buyer may pay. Holds no stock.
    Pending,
    /// Stock is reserved and the provider has been asked. Nobody may say "failed" before the provider does.
    Confirming {
        /// The live attempt.
        payment: PaymentId,
    },
    /// A virtual account waits for the buyer's transfer; stock stays reserved.
    AwaitingDeposit {
        /// The live attempt.
        payment: PaymentId,
        /// Until when.
        due_at: DateTime<Utc>,
    },
    /// The provider said `DONE`.
    Paid {
        /// The attempt that paid.
        payment: PaymentId,
        /// When the provider took the money.
        paid_at: DateTime<Utc>,
        /// How much of it went back so far.
        refunded: Won,
    },
    /// A full refund is on its way.
    Refunding {
        /// The attempt that paid.
        payment: PaymentId,
        /// When the provider took the money.
        paid_at: DateTime<Utc>,
        /// How much of it went back before.
        refunded: Won,
    },
    /// All money went back.
    Refunded {
        /// The attempt that paid.
        payment: PaymentId,
        /// When the provider took the money.
        paid_at: DateTime<Utc>,
    },
    /// Nobody paid in time.
    Expired,
    /// The buyer canceled before paying.
    Canceled,
}

impl OrderState {
    /// The name in the database and in answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirming { .. } => "confirming",
            Self::AwaitingDeposit { .. } => "awaiting_deposit",
            Self::Paid { .. } => "paid",
            Self::Refunding { .. } => "refunding",
            Self::Refunded { .. } => "refunded",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
        }
    }
}

/// Why an order did not take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The step does not exist from that state.
    #[error("an order that is {from} cannot be {action}")]
    InvalidTransition {
        /// The state it is in.
        from: &'static str,
        /// What was attempted.
        action: &'static str,
    },
    /// What the browser claims to have paid is not what the order costs.
    #[error("the order is for {expected}, not {claimed}")]
    AmountMismatch {
        /// The frozen total.
        expected: Won,
        /// The browser's number.
        claimed: Won,
    },
    /// The payment window was opened for an attempt that has ended since. Nothing was charged.
    #[error("this payment window belongs to attempt {claimed}, the order is at attempt {current}")]
    StaleAttempt {
        /// The attempt that may be confirmed now.
        current: i16,
        /// The attempt the window was opened for.
        claimed: i16,
    },
}

impl Order {
    /// The attempt that a payment window opened now would be for.
    pub const fn next_attempt(&self) -> i16 {
        self.attempts + 1
    }

    /// Begins a payment: `pending -> confirming`. The caller reserves the stock in the same transaction.
    pub fn confirm(self, payment: PaymentId, attempt: i16, claimed: Won) -> Result<Self, OrderError> {
        if claimed != self.amount {
            return Err(OrderError::AmountMismatch { expected: self.amount, claimed });
        }
        match self.state {
            OrderState::Pending if attempt == self.next_attempt() => {
                Ok(Self { attempts: attempt, state: OrderState::Confirming { payment }, ..self })
            }
            OrderState::Pending => Err(OrderError::StaleAttempt { current: self.next_attempt(), claimed: attempt }),
            from => Err(OrderError::InvalidTransition { from: from.name(), action: "confirmed" }),
        }
    }

    /// The buyer changes their mind before paying: `pending -> canceled`.
    pub fn cancel(self) -> Result<Self, OrderError> {
        match self.state {
            OrderState::Pending => Ok(Self { state: OrderState::Canceled, ..self }),
            from => Err(OrderError::InvalidTransition { from: from.name(), action: "canceled" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(product: u128, price: i64, quantity: i64) -> Line {
        Line {
            product: uuid::Uuid::from_u128(product).into(),
            name: format!("product {product}"),
            unit_price: Won::new(price).unwrap(),
            quantity: Quantity::new(quantity).unwrap(),
        }
    }

    fn place(lines: Vec<Line>) -> Result<NewOrder, PlaceError> {
        NewOrder::place(OrderId::new(), CustomerId::new(), lines)
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_lines(basket in prop::collection::btree_map(any::<u128>(), (0..=10_000_000i64, 1..=9_999i64), 1..20)) {
            let lines: Vec<_> = basket.iter().map(|(id, (price, n))| line(*id, *price, *n)).collect();
            let sum: i64 = basket.values().map(|(price, n)| price * n).sum();
            match place(lines) {
                Ok(order) => prop_assert_eq!(order.amount.get(), sum),
                Err(PlaceError::Free) => prop_assert_eq!(sum, 0),
                Err(PlaceError::Total(_)) => prop_assert!(sum > Won::MAX.get()),
                Err(other) => prop_assert!(false, "{other}"),
            }
        }

        #[test]
        fn the_name_fits_the_payment_window(name in "\\PC{0,150}", lines in 1usize..=100) {
            prop_assert!(order_name(&name, lines).chars().count() <= MAX_NAME);
        }
    }

    #[test]
    fn a_basket_that_makes_no_sense_is_refused() {
        assert_eq!(place(vec![]), Err(PlaceError::Empty));
        assert!(matches!(place(vec![line(1, 10, 1), line(1, 10, 2)]), Err(PlaceError::Duplicate(_))));
        assert_eq!(place((0..101).map(|n| line(n, 10, 1)).collect()), Err(PlaceError::TooManyLines));
        assert_eq!(place(vec![line(1, 0, 3)]), Err(PlaceError::Free));
    }

    #[test]
    fn the_name_counts_the_other_lines() {
        assert_eq!(place(vec![line(2, 10, 1), line(1, 10, 1)]).unwrap().name, "product 2 외 1건");
        assert_eq!(place(vec![line(2, 10, 5)]).unwrap().name, "product 2");
    }
}
