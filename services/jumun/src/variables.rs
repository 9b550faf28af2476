//! The environment that a command hands to the parts it runs.

use std::collections::HashMap;

use service::Env;

/// The process's variables, and what a command found out by itself.
#[derive(Clone, Default)]
pub(crate) struct Variables(HashMap<String, String>);

impl Variables {
    pub(crate) fn of_process() -> Self {
        let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
        let mut variables = Self(std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect());
        // The command's own output is the news; the services' is for when something is wrong.
        variables.set_default("LOG_LEVEL", "warn");
        variables
    }

    pub(crate) fn env(&self) -> Env {
        Env::from_pairs(self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// What is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The user's own word counts.
    pub(crate) fn set_default(&mut self, name: &str, value: impl Into<String>) {
        let given = self.get(name).is_some() || self.get(&format!("{name}_FILE")).is_some();
        if !given {
            self.0.insert(name.to_owned(), value.into());
        }
    }

    /// Stands in for the workers' addresses where nothing is pushed yet, or at all: production has no default for them.
    pub(crate) fn reach_no_worker(&mut self) {
        for worker in ["STOCK_WORKER_URL", "PUSH_WORKER_URL", "DEAD_LETTER_WORKER_URL"] {
            self.set_default(worker, "http://127.0.0.1:0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_word_counts() {
        let mut variables = Variables::default();
        variables.set_default("A", "first");
        variables.set_default("A", "second");
        assert_eq!(variables.get("A"), Some("first"));
        variables.set_default("B_FILE", "/run/secrets/b");
        variables.set_default("B", "ours");
        assert_eq!(variables.get("B"), None);
        variables.0.insert("C".into(), String::new());
        variables.set_default("C", "not set is what an empty text means");
        assert!(variables.get("C").is_some());
    }
}
