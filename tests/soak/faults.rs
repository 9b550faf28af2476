//! What goes wrong, and when: a schedule made from the seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harness::Push;
use messaging::topology::{SUBSCRIPTIONS, Worker};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sandbox::{Endpoint, FaultOrder};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::report::say;
use crate::roles::ROLES;
use crate::shop::Shop;

/// Spoilt answers of Toss: lost before or after it did what it was asked for, late, or nonsense. None of them is a refusal: a
/// buyer who was refused would be told so.
const TOSS: [&str; 10] = [
    "reset",
    "hang",
    "before-500",
    "html-502",
    "answer-lost",
    "hang-after",
    "approve-then-500",
    "html-502-after",
    "slow=800",
    "slow=3000",
];

/// Each of Toss's calls, and how it may lie.
const ENDPOINTS: [Endpoint; 3] = [Endpoint::Confirm, Endpoint::Query, Endpoint::Cancel];

/// What was done besides killing, freezing and replacing roles, and how often.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<&'static str, u64>>);

impl Counts {
    pub(crate) fn add(&self, what: &'static str) {
        *self.counts().entry(what).or_default() += 1;
    }

    pub(crate) fn of(&self, what: &'static str) -> u64 {
        self.counts().get(what).copied().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        self.counts().clone()
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Counts`] calls a kill of PostgreSQL.
pub(crate) const DATABASE_KILLED: &str = "PostgreSQL killed";

pub(crate) struct Schedule {
    shop: Arc<Shop>,
    /// Milliseconds between two faults, on average.
    pause: u64,
    rng: StdRng,
    counts: Arc<Counts>,
    under_way: TaskTracker,
    /// The events whose dead letters were acknowledged.
    letters: Arc<Mutex<Vec<Uuid>>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Schedule {
    pub(crate) fn new(shop: Arc<Shop>, pause: u64, seed: u64, counts: Arc<Counts>) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self {
            shop,
            pause,
            rng,
            counts,
            under_way: TaskTracker::new(),
            letters: Arc::default(),
            errors: Arc::default(),
        }
    }

    /// Breaks something every now and then, until it is told to stop; then waits until everything that it broke is whole.
    /// Returns what could not be broken, or not be made whole.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Vec<String> {
        while stop.run_until_cancelled(sleep(self.millis(self.pause / 3..self.pause * 5 / 3))).await.is_some() {
            self.strike();
        }
        self.under_way.close();
        self.under_way.wait().await;
        self.shop.proxy.lose_answers(0);
        self.shop.sandbox.clear_faults();
        self.shop.sandbox.release_hanging_calls();
        self.shop.sandbox.release_webhooks(false);
        let letters = std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner));
        for healed in [self.shop.roles.make_peace().await, self.shop.decide(&letters).await] {
            if let Err(error) = healed {
                self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{error:#}"));
            }
        }
        // The next try of some is minutes away.
        for webhook in self.shop.sandbox.webhooks(None).iter().filter(|it| !it.answers.contains(&200)) {
            self.shop.sandbox.repeat_webhook(&webhook.id, 1);
        }
        std::mem::take(&mut self.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn strike(&mut self) {
        let shop = Arc::clone(&self.shop);
        let role = self.rng.random_range(0..ROLES.len());
        match self.rng.random_range(0..100) {
            0..37 => {
                let pause = self.millis(0..300);
                self.begin(async move { shop.roles.kill(role, pause).await });
            }
            37..40 => {
                self.counts.add("rounds of dead letters");
                let letters = Arc::clone(&self.letters);
                self.begin(async move {
                    let events = shop.forward_dead_letters().await?;
                    letters.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
                    Ok(())
                });
            }
            40..48 => {
                let time = self.millis(1_000..20_000);
                self.begin(async move { shop.roles.freeze(role, time).await });
            }
            48..53 => self.begin(async move { shop.roles.replace(role).await }),
            53..57 => {
                let counts = Arc::clone(&self.counts);
                self.begin(async move {
                    if shop.server.kill_and_restart().await? {
                        counts.add(DATABASE_KILLED);
                    }
                    Ok(())
                });
            }
            57..61 => {
                self.counts.add("all connections cut");
                shop.proxy.cut_all();
            }
            61..69 => shop.proxy.lose_answers(self.rng.random_range(1..5)),
            69..72 => {
                self.counts.add("silences of the database");
                shop.proxy.fall_silent(self.millis(200..2_500));
            }
            72..81 => self.spoil_toss(),
            81..84 => self.toss_is_down(),
            84..86 => {
                self.counts.add("FCM sign-ins revoked");
                shop.sandbox.revoke_access_tokens();
            }
            86..91 => self.meddle_with_webhooks(),
            91..94 => {
                self.counts.add("rounds of events published again");
                self.begin(async move {
                    shop.repeat_events(20).await;
                    Ok(())
                });
            }
            94..97 => {
                self.counts.add("rounds of messages delivered twice at once");
                self.begin(async move { shop.deliver_twins().await });
            }
            _ => {
                self.counts.add("rounds of messages forgotten by the engine");
                self.begin(async move {
                    let forget =
                        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries ORDER BY random() LIMIT 5)";
                    shop.try_execute(forget).await;
                    Ok(())
                });
            }
        }
    }

    /// A few calls go wrong.
    fn spoil_toss(&mut self) {
        let times = self.rng.random_range(1..6);
        let lying = self.rng.random_ratio(1, 10);
        let (fault, endpoint) = if lying {
            (Some(&"lying-amount"), Some(&Endpoint::Confirm))
        } else {
            (TOSS.choose(&mut self.rng), ENDPOINTS.choose(&mut self.rng))
        };
        let (Some(Ok(fault)), Some(endpoint)) = (fault.map(|fault| fault.parse()), endpoint) else { return };
        self.counts.add("rounds of spoilt answers at Toss");
        self.shop.sandbox.fault(FaultOrder { endpoint: *endpoint, fault, order_id: None, times });
        self.toss_recovers();
    }

    /// No call gets through for a while.
    fn toss_is_down(&mut self) {
        let Some(Ok(fault)) = ["hang", "reset", "html-502"].choose(&mut self.rng).map(|fault| fault.parse()) else {
            return;
        };
        self.counts.add("outages of Toss");
        for endpoint in ENDPOINTS {
            self.shop.sandbox.fault(FaultOrder { endpoint, fault, order_id: None, times: u32::MAX });
        }
        let (shop, time) = (Arc::clone(&self.shop), self.millis(1_000..8_000));
        self.begin(async move {
            sleep(time).await;
            shop.sandbox.clear_faults();
            shop.sandbox.release_hanging_calls();
            Ok(())
        });
    }

    fn toss_recovers(&mut self) {
        let (shop, time) = (Arc::clone(&self.shop), self.millis(1_000..5_000));
        self.begin(async move {
            sleep(time).await;
            shop.sandbox.release_hanging_calls();
            Ok(())
        });
    }

    fn meddle_with_webhooks(&mut self) {
        let (shop, time) = (Arc::clone(&self.shop), self.millis(500..4_000));
        let webhooks = shop.sandbox.webhooks(None);
        match self.rng.random_range(0..3) {
            0 => {
                self.counts.add("rounds of webhooks held and sent in reverse");
                self.begin(async move {
                    shop.sandbox.hold_webhooks();
                    sleep(time).await;
                    shop.sandbox.release_webhooks(true);
                    Ok(())
                });
            }
            1 => {
                self.counts.add("rounds of webhooks sent again");
                for webhook in webhooks.choose_multiple(&mut self.rng, 10) {
                    shop.sandbox.repeat_webhook(&webhook.id, self.rng.random_range(1..4));
                }
            }
            _ => {
                self.counts.add("rounds of forged webhooks");
                let orders: Vec<_> =
                    webhooks.choose_multiple(&mut self.rng, 5).filter_map(|it| it.order_id.clone()).collect();
                for order in orders {
                    let status = ["DONE", "CANCELED", "WAITING_FOR_DEPOSIT", "EXPIRED"][self.rng.random_range(0..4)];
                    let (callback, changed) = (
                        json!({"createdAt": "2026-01-01T00:00:00.000000", "secret": "ps_forged", "status": status,
                            "transactionKey": null, "orderId": order}),
                        json!({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "2026-01-01T00:00:00.000000",
                            "data": {"orderId": order, "status": status, "totalAmount": 1}}),
                    );
                    shop.sandbox.forge_webhook(callback.to_string());
                    shop.sandbox.forge_webhook(changed.to_string());
                }
            }
        }
    }

    fn begin(&self, fault: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let errors = Arc::clone(&self.errors);
        self.under_way.spawn(async move {
            if let Err(error) = fault.await {
                say(&format!("a fault failed: {error:#}"));
                errors.lock().unwrap_or_else(PoisonError::into_inner).push(format!("a fault failed: {error:#}"));
            }
        });
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.random_range(range))
    }
}

impl Shop {
    /// Has up to `limit` events that were published long since published again, any of them.
    pub(crate) async fn repeat_events(&self, limit: u32) {
        self.try_execute(&format!(
            "UPDATE outbox SET published_at = NULL, claimed_until = now() WHERE id IN
                (SELECT id FROM outbox WHERE published_at IS NOT NULL ORDER BY random() LIMIT {limit} FOR UPDATE SKIP LOCKED)"
        ))
        .await;
    }

    /// Pushes some messages to their workers past the engine, each twice at once.
    async fn deliver_twins(&self) -> anyhow::Result<()> {
        let events =
            "SELECT id::text, type, data FROM outbox WHERE published_at IS NOT NULL ORDER BY occurred_at DESC LIMIT 20";
        let events: Vec<(String, String, String)> =
            sqlx::query_as(events).fetch_all(&self.db).await.unwrap_or_default(); // the database may just be dead
        for (id, topic, data) in events {
            for subscription in SUBSCRIPTIONS.iter().filter(|it| it.topic == topic) {
                let worker = Worker::ALL.iter().position(|it| *it == subscription.worker);
                let Some(url) = worker.and_then(|worker| self.workers.get(worker)) else { continue };
                let push = Push::message(subscription.name, &id, data.as_bytes());
                // A worker may just be dead, too; what it answers is not our business here.
                drop(tokio::join!(push.try_deliver(url), push.try_deliver(url)));
            }
        }
        Ok(())
    }
}
