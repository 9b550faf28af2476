//! The `Idempotency-Key` store: one answer per key and path, byte for byte, for fifteen days.
//!
//! The scope at Toss is key, API key, URL and method. Only one secret key is ever let in and only POSTs come here, so
//! key and path are the whole scope. The body is not compared, as at Toss.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::answer::Answer;
use crate::lock::Lock;

const LIFETIME: TimeDelta = TimeDelta::days(15);

#[derive(Debug, Default)]
pub(crate) struct Store {
    entries: Lock<HashMap<String, Entry>>,
}

#[derive(Debug)]
enum Entry {
    Processing,
    Answered { answer: Answer, at: DateTime<Utc> },
}

pub(super) enum Claim<'a> {
    /// Nobody has asked with this key. Whatever the slot holds when it goes is kept.
    Fresh(Slot<'a>),
    /// The first request with this key is still being worked on.
    Busy,
    Answered(Answer),
}

impl Store {
    pub(super) fn claim(&self, path: &str, key: &str, now: DateTime<Utc>) -> Claim<'_> {
        let id = format!("{path} {key}");
        let mut entries = self.entries.lock();
        match entries.get(&id) {
            Some(Entry::Processing) => return Claim::Busy,
            Some(Entry::Answered { answer, at }) if now - *at < LIFETIME => return Claim::Answered(answer.clone()),
            _ => {}
        }
        entries.insert(id.clone(), Entry::Processing);
        Claim::Fresh(Slot { store: self, id, answer: None, at: now })
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

/// A claimed key. Dropping it settles the claim, so a client that hangs up does not leave the key busy for ever.
pub(super) struct Slot<'a> {
    store: &'a Store,
    id: String,
    answer: Option<Answer>,
    at: DateTime<Utc>,
}

impl Slot<'_> {
    /// The answer to keep. Toss's own failures are not kept; whether the real one does is unknown.
    pub(super) fn keep(&mut self, answer: &Answer) {
        self.answer = (answer.status < 500).then(|| answer.clone());
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let id = std::mem::take(&mut self.id);
        let mut entries = self.store.entries.lock();
        match self.answer.take() {
            Some(answer) => entries.insert(id, Entry::Answered { answer, at: self.at }),
            None => entries.remove(&id),
        };
    }
}
