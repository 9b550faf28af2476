//! What each program may do in the database. The migrations grant it; `docs/database-roles.md` shows it.

/// Under which role of the database a program acts, whoever it logs in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// checkout-api, its loops, and whoever gives money back by hand.
    Checkout,
    /// The stock worker.
    Stock,
    /// The push worker.
    Push,
    /// The dead-letter worker.
    DeadLetter,
    /// A person who decides about dead letters.
    Desk,
    /// Whoever reads the books and changes nothing.
    Checker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [Self::Checkout, Self::Stock, Self::Push, Self::DeadLetter, Self::Desk, Self::Checker];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkout => "jumun_checkout",
            Self::Stock => "jumun_stock",
            Self::Push => "jumun_push",
            Self::DeadLetter => "jumun_dead_letter",
            Self::Desk => "jumun_desk",
            Self::Checker => "jumun_checker",
        }
    }
}

#[cfg(test)]
mod tests;
