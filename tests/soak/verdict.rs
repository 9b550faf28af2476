//! Whether the shop came through, and the history of what did not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use database::timeline::{self, Entry};
use database::verify::Violation;
use harness::books;
use messaging::topology::SUBSCRIPTIONS;
use sqlx::{PgPool, query_as};
use tokio::time::sleep;
use uuid::Uuid;

use crate::shop::Shop;
use crate::told::{Fault, Told};

/// Of so many orders the history is printed.
const HISTORIES: usize = 5;

impl Shop {
    /// Everything that does not add up, now that the shop is at rest.
    pub(crate) async fn faults(&self, told: &Told) -> anyhow::Result<Vec<Fault>> {
        let found = books::violations(&self.db, &self.sandbox, &self.gateway).await?;
        let mut faults: Vec<Fault> = found.iter().flat_map(faults_of).collect();
        faults.extend(told.broken(&self.db, &self.sandbox).await?);
        faults.extend(self.notified_too_often().await?);
        faults.extend(self.spoken_out_of_turn());
        Ok(faults)
    }

    /// What does not add up in the midst of it all, looked for until somebody drops this.
    pub(crate) async fn watch(&self, report: impl Fn(Fault)) {
        let mut known = BTreeSet::new();
        loop {
            // The database may just have been killed.
            for violation in books::violations_now(&self.db).await.unwrap_or_default() {
                for (order, what) in faults_of(&violation) {
                    if known.insert(violation.name) {
                        report((order, format!("while the shop was open: {what}")));
                    }
                }
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// FCM took each notification once, and once more for each time that nobody survived to write it down.
    async fn notified_too_often(&self) -> anyhow::Result<Vec<Fault>> {
        let mut shown: HashMap<(String, String), Vec<Option<String>>> = HashMap::new();
        for notification in self.sandbox.all_notifications() {
            let event = notification.data.get("eventId").cloned().unwrap_or_default();
            shown.entry((event, notification.token.to_string())).or_default().push(notification.tag);
        }
        let attempts: Vec<(Uuid, Uuid, String, i32, String)> = query_as(
            "SELECT a.order_id, a.event_id, t.token, a.unknowns, a.status
            FROM push_attempts a JOIN messaging_tokens t ON t.id = a.device_id",
        )
        .fetch_all(&self.db)
        .await?;
        let mut faults = Vec::new();
        for (order, event, token, unknowns, status) in attempts {
            let tags = shown.remove(&(event.to_string(), token)).unwrap_or_default();
            let most = 1 + usize::try_from(unknowns)?;
            if tags.len() > most || (status == "sent" && tags.is_empty()) || tags.iter().any(|tag| *tag != tags[0]) {
                let what = format!("notified of {event} {} times, {status}, {unknowns} in doubt, {tags:?}", tags.len());
                faults.push((Some(order.to_string()), what));
            }
        }
        faults.extend(shown.keys().map(|(event, _)| (None, format!("notified of {event}, which nobody had planned"))));
        Ok(faults)
    }

    /// The services' log holds no secrets, and no bugs.
    fn spoken_out_of_turn(&self) -> Vec<Fault> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let keys = self.sandbox.payments(None).into_iter().map(|it| it.payment_key);
        let keys: BTreeSet<_> = keys.collect();
        let words = || log.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        let secret = words().filter(|word| keys.contains(*word) || word.starts_with("phone-")).take(3);
        let mut faults: Vec<Fault> = secret.map(|word| (None, format!("{word} is in the services' log"))).collect();
        let bugs = log.lines().filter(|line| line.contains("anicked") || line.contains("Failed: 500")).take(5);
        faults.extend(bugs.map(|line| (None, format!("a bug, in the services' log: {line}"))));
        faults
    }

    /// What happened to the orders that something is wrong with, as `jumun order` tells it, and what people were told.
    pub(crate) async fn histories(&self, faults: &[Fault], told: &Told) -> anyhow::Result<String> {
        let orders: BTreeSet<&str> = faults.iter().filter_map(|(order, _)| order.as_deref()).collect();
        let mut text = String::new();
        for order in orders.into_iter().take(HISTORIES) {
            let Some(id) = order.get(..36).and_then(|id| id.parse().ok()) else { continue };
            let Some(found) = timeline::read(&self.db, id, &SUBSCRIPTIONS.map(|it| it.name)).await? else { continue };
            let mut lines: Vec<_> = found
                .entries
                .into_iter()
                .map(|Entry { at, what, text, .. }| (at, what, text))
                .chain(told.said(&order[..36]).into_iter().map(|(at, what)| (at, "told".into(), what)))
                .collect();
            lines.sort_by_key(|(at, ..)| *at);
            writeln!(text, "\n{order}  {}  {} won, {} given back", found.status, found.amount, found.refunded)?;
            for (at, what, said) in lines {
                writeln!(text, "{}  {what:<12}{said}", at.format("%H:%M:%S%.3f"))?;
            }
            for payment in self.sandbox.payments(None).iter().filter(|it| it.order_id.starts_with(&order[..36])) {
                writeln!(text, "              at Toss     {payment:?}")?;
            }
        }
        Ok(text)
    }
}

/// One for each offender that an invariant names. Most of them are orders.
pub(crate) fn faults_of(violation: &Violation) -> impl Iterator<Item = Fault> {
    let Violation { name, total, examples, .. } = violation;
    examples.iter().map(move |it| {
        let order = it.subject.get(..36).filter(|id| Uuid::parse_str(id).is_ok());
        (order.map(str::to_owned), format!("{name} (of {total}): {}: {}", it.subject, it.detail))
    })
}

/// How long it took from the click to the end of each card payment: p50, p99 and the longest, in seconds.
pub(crate) async fn times_to_final(db: &PgPool) -> sqlx::Result<[f64; 3]> {
    let sql = "SELECT coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY s), 0),
            coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY s), 0), coalesce(max(s), 0)
        FROM (SELECT extract(epoch FROM settled_at - asked_at)::float8 AS s FROM payments
              WHERE settled_at IS NOT NULL AND deposit_due_at IS NULL) AS t";
    query_as::<_, (f64, f64, f64)>(sql).fetch_one(db).await.map(<[f64; 3]>::from)
}

/// How many orders ended how.
pub(crate) async fn orders_by_state(db: &PgPool) -> sqlx::Result<BTreeMap<String, i64>> {
    let states: Vec<(String, i64)> =
        query_as("SELECT status, count(*) FROM orders GROUP BY status").fetch_all(db).await?;
    Ok(states.into_iter().collect())
}
