//! Bringing a shop to rest: whatever is under way is finished, whatever is overdue ends, and then everything is repeated and
//! nothing may change.

use std::time::Duration;

use harness::books;
use sqlx::{AssertSqlSafe, query_as, query_scalar};
use tokio::time::{Instant, sleep};

use crate::shop::Shop;
use crate::told::Fault;
use crate::verdict::faults_of;

/// So long nothing may be finished while something is under way.
const PATIENCE: Duration = Duration::from_mins(3);

const SAY_EVERY: Duration = Duration::from_secs(5);

/// What is under way, by the name of the queue.
const QUEUES: [(&str, &str); 8] = [
    ("events to publish", "outbox WHERE published_at IS NULL"),
    ("messages to deliver", "deliveries"),
    ("payments to decide", "payments WHERE status = 'confirming'"),
    ("deposits overdue", "payments WHERE status = 'awaiting_deposit' AND deposit_due_at < now()"),
    ("orders overdue", "orders WHERE status = 'pending' AND expires_at <= now()"),
    ("refunds to finish", "refunds WHERE status = 'requested'"),
    ("webhooks to look into", "webhook_inbox WHERE status = 'pending'"),
    ("notifications to send", "push_attempts WHERE due_at IS NOT NULL"),
];

/// Everything that a purchase leaves behind.
const RECORDS: [&str; 9] =
    ["orders", "payments", "refunds", "order_log", "stock", "stock_ledger", "inbox", "push_attempts", "dead_letters"];

impl Shop {
    /// Waits until nothing is under way, and says so now and then. Not getting there is a violation of its own.
    pub(crate) async fn drain(&self, say: impl Fn(&str)) -> anyhow::Result<Vec<Fault>> {
        let (begun, mut said) = (Instant::now(), Instant::now());
        let (mut least, mut moved) = (u64::MAX, Instant::now());
        loop {
            let mut waiting: Vec<(&str, u64)> = Vec::new();
            for (queue, rows) in QUEUES {
                let sql = format!("SELECT count(*) FROM {rows}");
                let count: i64 = query_scalar(AssertSqlSafe(sql)).fetch_one(&self.db).await?;
                waiting.push((queue, count.unsigned_abs()));
            }
            waiting.push(("webhooks to send", self.sandbox.untaken_webhooks() as u64));
            waiting.retain(|(_, count)| *count > 0);
            // An event that the engine forgot is in no queue until the watchdog misses its effect.
            let unsettled = if waiting.is_empty() { books::unsettled(&self.db).await? } else { Vec::new() };
            if waiting.is_empty() && unsettled.is_empty() {
                return Ok(Vec::new());
            }
            waiting.extend(unsettled.iter().map(|it| (it.name, it.total)));
            let total = waiting.iter().map(|(_, count)| count).sum();
            if total < least {
                (least, moved) = (total, Instant::now());
            }
            let waiting: Vec<_> = waiting.iter().map(|(queue, count)| format!("{count} {queue}")).collect();
            if moved.elapsed() > PATIENCE {
                let stuck = (None, format!("nothing was finished in {PATIENCE:?}: {}", waiting.join(", ")));
                return Ok(unsettled.iter().flat_map(faults_of).chain([stuck]).collect());
            }
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                say(&format!("draining for {:.0} s: {}", begun.elapsed().as_secs_f64(), waiting.join(", ")));
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Time passes until no unpaid order may be paid any more.
    pub(crate) async fn let_deadlines_pass(&self) -> sqlx::Result<()> {
        self.sandbox.advance_clock(chrono::TimeDelta::hours(1));
        for sql in [
            // Longer ago than a transfer of the last minute may take to be told of.
            "UPDATE payments SET deposit_due_at = now() - interval '1 hour', next_check_at = now() WHERE status = 'awaiting_deposit'",
            "UPDATE orders SET expires_at = now() WHERE status = 'pending'",
        ] {
            sqlx::query(sql).execute(&self.db).await?;
        }
        Ok(())
    }

    /// Orders that are neither paid nor given up, now that they must be one or the other.
    pub(crate) async fn undecided(&self) -> sqlx::Result<Vec<Fault>> {
        let sql = "SELECT id::text, status FROM orders WHERE status NOT IN ('paid', 'refunded', 'expired', 'canceled')";
        let orders: Vec<(String, String)> = query_as(sql).fetch_all(&self.db).await?;
        Ok(orders.into_iter().map(|(order, status)| (Some(order), format!("ends {status}"))).collect())
    }

    /// Copies everything that is on record.
    pub(crate) async fn remember(&self) -> sqlx::Result<()> {
        sqlx::query("CREATE SCHEMA before").execute(&self.db).await?;
        for table in RECORDS {
            let sql = format!("CREATE TABLE before.{table} AS {}", rows(table));
            sqlx::query(AssertSqlSafe(sql)).execute(&self.db).await?;
        }
        Ok(())
    }

    /// All that ever happened once more: every event is published again, and Toss sends its latest webhooks again.
    pub(crate) async fn repeat_everything(&self) {
        self.repeat_events(u32::MAX >> 1).await;
        for webhook in self.sandbox.webhooks(None) {
            self.sandbox.repeat_webhook(&webhook.id, 1);
        }
    }

    /// What is not as it was remembered.
    pub(crate) async fn changes(&self) -> sqlx::Result<Vec<Fault>> {
        let mut changes = Vec::new();
        for table in RECORDS {
            let (before, now) = (format!("SELECT row FROM before.{table}"), rows(table));
            for (what, rows, others) in [("was", &before, &now), ("is", &now, &before)] {
                let sql = format!(
                    "SELECT coalesce(row ->> 'order_id', row ->> 'id'), row::text FROM ({rows} EXCEPT {others}) t LIMIT 5"
                );
                let rows: Vec<(Option<String>, String)> = query_as(AssertSqlSafe(sql)).fetch_all(&self.db).await?;
                let change = |(order, row)| (order, format!("changed when all was repeated: {table} {what} {row}"));
                changes.extend(rows.into_iter().map(change));
            }
        }
        Ok(changes)
    }
}

/// All rows of a table. A payment's version moves with each question that a webhook makes us ask, and says nothing.
fn rows(table: &str) -> String {
    format!("SELECT to_jsonb(t) - 'version' AS row FROM public.{table} t")
}
