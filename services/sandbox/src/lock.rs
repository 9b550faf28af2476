//! A mutex for short, synchronous work.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Never held across an await. What it guards is valid after every statement, so a panic elsewhere does not poison it.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
