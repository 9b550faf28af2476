//! A safety valve: no device token is deleted while FCM calls most devices unregistered.

use std::collections::VecDeque;

/// How many answers are looked back on.
const WINDOW: usize = 100;

/// With fewer answers than this, nothing can be said about their share.
const ENOUGH: usize = 20;

/// Watches how many of the last answers called a device gone.
#[derive(Debug, Default)]
pub(crate) struct Valve {
    gone: VecDeque<bool>,
}

impl Valve {
    /// Takes note of an answer and says whether devices that are called gone may be forgotten.
    pub(crate) fn note(&mut self, gone: bool) -> bool {
        if self.gone.len() == WINDOW {
            self.gone.pop_front();
        }
        self.gone.push_back(gone);
        let count = self.gone.iter().filter(|gone| **gone).count();
        self.gone.len() < ENOUGH || count * 2 <= self.gone.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_closes_when_most_are_gone_and_opens_again() {
        let mut valve = Valve::default();
        assert!((1..ENOUGH).all(|_| valve.note(true)), "a few may well be gone");
        assert!(!valve.note(true));
        assert!((0..19).all(|_| !valve.note(false)));
        assert!(valve.note(false), "half of them is not more than half");
        assert!(!valve.note(true));
        let opened = (0..WINDOW).position(|_| valve.note(false));
        assert_eq!(opened, Some(0));
    }

    #[test]
    fn it_forgets_what_is_long_past() {
        let mut valve = Valve::default();
        for _ in 0..WINDOW {
            valve.note(true);
        }
        for _ in 0..WINDOW {
            valve.note(false);
        }
        assert!((0..WINDOW / 2).all(|_| valve.note(true)));
        assert!(!valve.note(true));
    }
}
