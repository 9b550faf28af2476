//! What was done to the shop, and what came of it, in figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::faults::{Counts, DATABASE_KILLED};
use crate::shop::Shop;
use crate::told::Told;
use crate::verdict::{orders_by_state, times_to_final};

/// When what was over.
pub(crate) struct Report {
    begun: Instant,
    /// Since it was begun.
    sold: Duration,
    /// Since then.
    drained: Duration,
}

impl Report {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now(), sold: Duration::ZERO, drained: Duration::ZERO }
    }

    /// All buyers have left, and nothing is broken any more.
    pub(crate) fn sold(&mut self) {
        self.sold = self.begun.elapsed();
    }

    /// Nothing is under way any more.
    pub(crate) fn drained(&mut self) {
        self.drained = self.begun.elapsed().saturating_sub(self.sold);
    }

    pub(crate) async fn print(&self, shop: &Shop, told: &Told, counts: &Counts) -> anyhow::Result<()> {
        let (roles, told, money) = (shop.roles.counts(), told.summary(), shop.sandbox.totals());
        say(&kills(shop, counts));
        let mut faults = vec![
            format!("{} freezes", read(&roles.freezes)),
            format!("{} replacements", read(&roles.replacements)),
            format!("{} starts of what had ended by itself", read(&roles.ended)),
            format!("{} commits whose answer was lost", shop.proxy.answers_lost()),
        ];
        faults.extend(
            counts
                .all()
                .into_iter()
                .filter(|(what, _)| *what != DATABASE_KILLED)
                .map(|(what, n)| format!("{n} {what}")),
        );
        say(&format!("other faults: {}", faults.join(", ")));
        let states: Vec<_> =
            orders_by_state(&shop.db).await?.into_iter().map(|(state, n)| format!("{n} {state}")).collect();
        say(&format!("{} orders: {}", told.created, states.join(", ")));
        say(&format!(
            "told: {} paid, {} payments refused, {} refunds done; {} deposits taken back by the bank; {} won taken, {} given back",
            told.paid, told.refused, told.refunded, told.reversed, money.approved, money.canceled
        ));
        say(&format!("points that nobody died at: {}", shop.roles.points_left().join(", ")));
        let [p50, p99, longest] = times_to_final(&shop.db).await?;
        say(&format!(
            "orders with an answer that never came or left it open, all decided: {}; from click to decision by card: p50 {p50:.2} s, p99 {p99:.2} s, longest {longest:.2} s",
            told.unsure,
        ));
        say(&format!(
            "sold in {:.0} s ({:.1} orders a second), drained in {:.0} s, all checked after {:.0} s",
            self.sold.as_secs_f64(),
            f64::from(u32::try_from(told.created)?) / self.sold.as_secs_f64(),
            self.drained.as_secs_f64(),
            self.begun.elapsed().as_secs_f64()
        ));
        Ok(())
    }
}

/// Who was killed so far.
pub(crate) fn kills(shop: &Shop, counts: &Counts) -> String {
    let (roles, databases) = (shop.roles.counts(), counts.of(DATABASE_KILLED));
    let services = read(&roles.kills);
    format!(
        "{} kills: {services} of services, of these {} at {} of the {} named points; {databases} of PostgreSQL",
        services + databases,
        read(&roles.kills_at_points),
        crash::POINTS.len() - shop.roles.points_left().len(),
        crash::POINTS.len(),
    )
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[expect(clippy::print_stdout, reason = "the report is the program's purpose")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
