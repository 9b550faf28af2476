//! The book of money: every payment, found by key and by order, and the totals.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::payment::{Cancel, Means, Payment, State, Status, VirtualAccount};
use super::refusal::Refusal;
use super::transactions::Transaction;

/// Payments are never removed, so their index in `payments` is a stable handle.
#[derive(Debug)]
pub(crate) struct Book {
    since: DateTime<Utc>,
    payments: Vec<Payment>,
    /// Those that time may end.
    open: Vec<usize>,
    by_key: HashMap<Arc<str>, usize>,
    orders: HashMap<Arc<str>, OrderEntry>,
    /// Oldest first; never removed.
    transactions: Vec<Transaction>,
    approved: i64,
    canceled: i64,
}

#[derive(Debug, Default)]
struct OrderEntry {
    payments: Vec<usize>,
    confirm_calls: u64,
}

/// Sums over the whole book, in won.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// How many payments were opened.
    pub payments: usize,
    /// Money taken.
    pub approved: i64,
    /// Money given back.
    pub canceled: i64,
    /// Money taken and kept.
    pub kept: i64,
}

/// One payment as the oracle shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Toss's name of the payment.
    pub payment_key: String,
    /// The shop's name of it.
    pub order_id: String,
    /// What was bought.
    pub order_name: String,
    /// The total asked for.
    pub amount: i64,
    /// Toss's status word.
    pub status: Status,
    /// Whether it is paid by a transfer to an account of its own.
    pub virtual_account: bool,
    /// Whether the buyer's money was taken at any time.
    pub approved: bool,
    /// What was given back.
    pub canceled: i64,
    /// What was taken and kept.
    pub kept: i64,
    /// How often confirm was called for the order.
    pub confirm_calls: u64,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            since: Utc::now(),
            payments: Vec::new(),
            open: Vec::new(),
            by_key: HashMap::new(),
            orders: HashMap::new(),
            transactions: Vec::new(),
            approved: 0,
            canceled: 0,
        }
    }
}

impl Book {
    /// When its first page was opened, by the real clock.
    pub(crate) fn since(&self) -> DateTime<Utc> {
        self.since
    }

    pub(crate) fn open(&mut self, payment: Payment) {
        let index = self.payments.len();
        self.by_key.insert(Arc::clone(&payment.key), index);
        self.orders.entry(Arc::clone(&payment.order_id)).or_default().payments.push(index);
        self.payments.push(payment);
        self.open.push(index);
    }

    /// What has run out of time since somebody last asked, each once.
    pub(crate) fn run_out(&mut self, now: DateTime<Utc>) -> Vec<&Payment> {
        let mut ended = Vec::new();
        self.open.retain(|index| {
            let payment = &mut self.payments[*index];
            payment.age(now);
            if payment.status() == Status::Expired {
                ended.push(*index);
            }
            matches!(payment.status(), Status::Ready | Status::InProgress)
        });
        ended.into_iter().map(|index| &self.payments[index]).collect()
    }

    pub(crate) fn find(&mut self, key: &str, now: DateTime<Utc>) -> Option<&mut Payment> {
        let payment = &mut self.payments[*self.by_key.get(key)?];
        payment.age(now);
        Some(payment)
    }

    /// Toss does not say which of several payments it returns; the sandbox prefers the one that moved money, then the latest.
    pub(crate) fn find_by_order(&mut self, order_id: &str, now: DateTime<Utc>) -> Option<&mut Payment> {
        let indexes = &self.orders.get(order_id)?.payments;
        let index = indexes.iter().find(|index| self.payments[**index].occupies_order()).or_else(|| indexes.last())?;
        let payment = &mut self.payments[*index];
        payment.age(now);
        Some(payment)
    }

    pub(crate) fn order_id_of(&self, key: &str) -> Option<&str> {
        self.by_key.get(key).map(|index| &*self.payments[*index].order_id)
    }

    pub(crate) fn is_order_occupied(&self, order_id: &str) -> bool {
        self.of_order(order_id).any(Payment::occupies_order)
    }

    /// Money changes hands: the one place where a payment becomes approved.
    pub(crate) fn approve(&mut self, key: &str, means: Means, approved_at: DateTime<Utc>) {
        if let Some(index) = self.by_key.get(key) {
            let payment = &mut self.payments[*index];
            payment.state = State::Approved { approved_at, means };
            self.approved += payment.amount;
            self.transactions.push(Transaction::note(payment, payment.amount, approved_at));
        }
    }

    /// Money goes back: the one place where a cancel of an approved payment is written down.
    pub(crate) fn give_back(&mut self, key: &str, cancel: Cancel) {
        if let Some(index) = self.by_key.get(key) {
            let payment = &mut self.payments[*index];
            self.canceled += cancel.cancel_amount;
            payment.cancel(cancel);
            self.transactions.extend(Transaction::of_last_cancel(payment));
        }
    }

    /// A waiting virtual account is closed. No money moves, so the totals stay.
    pub(crate) fn withdraw(&mut self, key: &str, account: VirtualAccount, cancel: Cancel) {
        if let Some(index) = self.by_key.get(key) {
            let payment = &mut self.payments[*index];
            payment.state = State::Withdrawn { account };
            payment.cancel(cancel);
            self.transactions.extend(Transaction::of_last_cancel(payment));
        }
    }

    /// A virtual account is there to be paid into.
    pub(crate) fn issue(&mut self, key: &str, account: VirtualAccount, at: DateTime<Utc>) {
        if let Some(index) = self.by_key.get(key) {
            let payment = &mut self.payments[*index];
            payment.state = State::WaitingForDeposit { account };
            self.transactions.push(Transaction::note(payment, 0, at));
        }
    }

    pub(crate) fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The buyer pays into the order's virtual account. `None` when none is waiting.
    pub(crate) fn deposit(&mut self, order_id: &str, now: DateTime<Utc>) -> Option<&mut Payment> {
        let (key, account) = self.of_order(order_id).find_map(|payment| match &payment.state {
            State::WaitingForDeposit { account } => Some((Arc::clone(&payment.key), account.clone())),
            _ => None,
        })?;
        self.approve(&key, Means::VirtualAccount(account), now);
        self.find(&key, now)
    }

    /// What was paid into the order's virtual account never was: the account waits again. `None` when nothing was.
    pub(crate) fn reverse_deposit(&mut self, order_id: &str, now: DateTime<Utc>) -> Option<&mut Payment> {
        let (key, account) = self.of_order(order_id).find_map(|payment| match &payment.state {
            State::Approved { means: Means::VirtualAccount(account), .. } if payment.cancels.is_empty() => {
                Some((Arc::clone(&payment.key), account.clone()))
            }
            _ => None,
        })?;
        let payment = self.find(&key, now)?;
        payment.state = State::WaitingForDeposit { account };
        let amount = payment.amount;
        let note = Transaction::note(payment, 0, now);
        self.transactions.push(note);
        self.approved -= amount;
        self.find(&key, now)
    }

    /// Whatever of the order awaits its confirm will be declined.
    pub(crate) fn decline(&mut self, order_id: &str, refusal: &'static Refusal) {
        let Some(order) = self.orders.get(order_id) else { return };
        for index in &order.payments {
            if let State::InProgress { decline, .. } = &mut self.payments[*index].state {
                *decline = Some(refusal);
            }
        }
    }

    pub(crate) fn count_confirm(&mut self, order_id: &str) {
        match self.orders.get_mut(order_id) {
            Some(order) => order.confirm_calls += 1,
            None => {
                self.orders.insert(order_id.into(), OrderEntry { payments: Vec::new(), confirm_calls: 1 });
            }
        }
    }

    pub(crate) fn confirm_calls(&self, order_id: &str) -> u64 {
        self.orders.get(order_id).map_or(0, |order| order.confirm_calls)
    }

    pub(crate) fn approvals(&self, order_id: &str) -> usize {
        self.of_order(order_id).filter(|payment| payment.approved_at().is_some()).count()
    }

    pub(crate) fn money_taken(&self, order_id: &str) -> i64 {
        self.of_order(order_id).map(Payment::money_kept).sum()
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            payments: self.payments.len(),
            approved: self.approved,
            canceled: self.canceled,
            kept: self.approved - self.canceled,
        }
    }

    /// Oldest first.
    pub(crate) fn entries(&mut self, order_id: Option<&str>, now: DateTime<Utc>) -> Vec<Entry> {
        for payment in &mut self.payments {
            payment.age(now);
        }
        match order_id {
            Some(order_id) => self.of_order(order_id).map(|payment| self.entry(payment)).collect(),
            None => self.payments.iter().map(|payment| self.entry(payment)).collect(),
        }
    }

    /// Newest first, at most `limit`.
    pub(crate) fn latest(&mut self, limit: usize, now: DateTime<Utc>) -> Vec<Entry> {
        let from = self.payments.len().saturating_sub(limit);
        for payment in &mut self.payments[from..] {
            payment.age(now);
        }
        self.payments[from..].iter().rev().map(|payment| self.entry(payment)).collect()
    }

    fn of_order(&self, order_id: &str) -> impl Iterator<Item = &Payment> {
        let order = self.orders.get(order_id);
        order.into_iter().flat_map(|order| &order.payments).map(|index| &self.payments[*index])
    }

    fn entry(&self, payment: &Payment) -> Entry {
        let approved = payment.approved_at().is_some();
        Entry {
            payment_key: payment.key.to_string(),
            order_id: payment.order_id.to_string(),
            order_name: payment.order_name.clone(),
            amount: payment.amount,
            status: payment.status(),
            virtual_account: payment.account().is_some(),
            approved,
            canceled: if approved { payment.canceled() } else { 0 },
            kept: payment.money_kept(),
            confirm_calls: self.confirm_calls(&payment.order_id),
        }
    }
}
