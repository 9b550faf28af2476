//! What people were told, written down before they act upon it. A shop must stand by its word.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sandbox::Sandbox;
use sqlx::PgPool;
use uuid::Uuid;

/// Everything the shop has said, and what the bank did to its word.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Words>);

#[derive(Debug, Default)]
struct Words {
    /// What was said of each order, for people who read about a violation.
    said: HashMap<String, Vec<(DateTime<Utc>, String)>>,
    created: HashSet<String>,
    paid: HashSet<String>,
    canceled: HashSet<String>,
    /// Payment keys of which it was said that nothing was charged, and their orders.
    refused: BTreeMap<String, String>,
    /// Refunds that were called done, and their orders.
    refunded: BTreeMap<Uuid, String>,
    /// Orders whose deposit the bank took back: what was said of them before counts no more.
    reversed: HashSet<String>,
    /// Orders whose buyer was told at least once that nobody knows yet, or was told nothing at all.
    unsure: HashSet<String>,
    /// What no shop may say.
    lies: BTreeSet<(String, String)>,
}

/// How many orders were told what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) created: usize,
    pub(crate) paid: usize,
    pub(crate) refused: usize,
    pub(crate) refunded: usize,
    pub(crate) reversed: usize,
    pub(crate) unsure: usize,
}

/// Something that does not add up, and the order that it is about, if it is about one.
pub(crate) type Fault = (Option<String>, String);

impl Told {
    fn words(&self) -> MutexGuard<'_, Words> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, order: &str, what: String) -> MutexGuard<'_, Words> {
        let mut words = self.words();
        words.said.entry(order.to_owned()).or_default().push((Utc::now(), what));
        words
    }

    pub(crate) fn created(&self, order: &str) {
        self.note(order, "created".into()).created.insert(order.to_owned());
    }

    pub(crate) fn paid(&self, order: &str) {
        self.note(order, "paid".into()).paid.insert(order.to_owned());
    }

    pub(crate) fn canceled(&self, order: &str) {
        self.note(order, "canceled".into()).canceled.insert(order.to_owned());
    }

    /// Nothing was charged.
    pub(crate) fn refused(&self, order: &str, payment_key: &str, how: &str) {
        self.note(order, format!("refused: {how}")).refused.insert(payment_key.to_owned(), order.to_owned());
    }

    pub(crate) fn refunded(&self, order: &str, refund: Uuid) {
        self.note(order, format!("refund {refund} done")).refunded.insert(refund, order.to_owned());
    }

    pub(crate) fn reversed(&self, order: &str) {
        self.note(order, "(the bank takes the deposit back)".into()).reversed.insert(order.to_owned());
    }

    pub(crate) fn unsure(&self, order: &str) {
        self.note(order, "nothing, or that nobody knows yet".into()).unsure.insert(order.to_owned());
    }

    /// Something that happened and is nobody's word.
    pub(crate) fn happened(&self, order: &str, what: &str) {
        drop(self.note(order, format!("({what})")));
    }

    pub(crate) fn lie(&self, order: &str, what: String) {
        self.words().lies.insert((order.to_owned(), what));
    }

    pub(crate) fn summary(&self) -> Summary {
        let words = self.words();
        Summary {
            created: words.created.len(),
            paid: words.paid.len(),
            refused: words.refused.len(),
            refunded: words.refunded.len(),
            reversed: words.reversed.len(),
            unsure: words.unsure.len(),
        }
    }

    /// What was said of an order.
    pub(crate) fn said(&self, order: &str) -> Vec<(DateTime<Utc>, String)> {
        self.words().said.get(order).cloned().unwrap_or_default()
    }

    /// Words that the shop does not stand by, now that everything is settled.
    pub(crate) async fn broken(&self, db: &PgPool, sandbox: &Sandbox) -> sqlx::Result<Vec<Fault>> {
        let orders: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, status FROM orders").fetch_all(db).await?;
        let orders: HashMap<_, _> = orders.into_iter().map(|(id, status)| (id.to_string(), status)).collect();
        let done: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM refunds WHERE status = 'done'").fetch_all(db).await?;
        let done: HashSet<_> = done.into_iter().collect();
        let taken = sandbox.payments(None).into_iter().filter(|it| it.approved).map(|it| it.payment_key);
        let taken: HashSet<_> = taken.collect();
        let status = |order: &str| orders.get(order).map_or("missing", String::as_str);

        let words = self.words();
        let fault = |order: &String, what: String| (Some(order.clone()), what);
        let mut broken: Vec<Fault> = words.lies.iter().map(|(order, what)| fault(order, what.clone())).collect();
        let lost = words.created.iter().filter(|it| !orders.contains_key(*it));
        broken.extend(lost.map(|it| fault(it, "its buyer was told that it exists".into())));
        let stands =
            |order: &str| matches!(status(order), "paid" | "refunding" | "refunded") || words.reversed.contains(order);
        let unpaid = words.paid.iter().filter(|order| !stands(order));
        broken.extend(unpaid.map(|it| fault(it, format!("its buyer was told that it is paid; it is {}", status(it)))));
        let alive = words.canceled.iter().filter(|order| status(order) != "canceled");
        broken
            .extend(alive.map(|it| fault(it, format!("its buyer was told that it is canceled; it is {}", status(it)))));
        let charged = words.refused.iter().filter(|(key, _)| taken.contains(*key));
        broken.extend(charged.map(|(key, it)| fault(it, format!("told that nothing was charged; {key} was"))));
        let kept = words.refunded.iter().filter(|(refund, _)| !done.contains(*refund));
        broken.extend(kept.map(|(refund, it)| fault(it, format!("refund {refund} was called done and is not"))));
        Ok(broken)
    }
}
