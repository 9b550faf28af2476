//! Events delivered, on whichever engine the shop has.

use std::sync::Arc;
use std::time::Duration;

use domain::EventPublisher;
use messaging::engine::Engine;
use messaging::relay::Progress;
use messaging::topology::SUBSCRIPTIONS;

use crate::{Google, PATIENCE, Shop};

/// Makes two tests of each function, which takes an `OpenShop`: one on the embedded engine, one on Google's emulator.
#[macro_export]
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::OpenShop::open().await).await;
                }
            )+
        }

        mod google {
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(emulator) = $crate::Emulator::shared().await {
                        super::$test($crate::OpenShop::open_at_google(emulator).await).await;
                    }
                }
            )+
        }
    };
}

impl Shop {
    /// Publishes and delivers until nothing moves any more, retries included, notifications too.
    pub async fn deliver_events(&self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !self.deliver_round().await {
            assert!(tokio::time::Instant::now() < deadline, "{} deliveries are still waiting", self.waiting().await);
            self.breathe().await;
        }
    }

    /// Publishes and delivers what is due now; `true` when nothing was and nothing waits.
    pub async fn deliver_round(&self) -> bool {
        let published = self.api.relay.step().await.expect("the outbox");
        let pushed = match &self.api.broker {
            Some(broker) => broker.deliver_due().await.expect("the deliveries"),
            None => 0,
        };
        // Before the notifications: what was waiting until now may still have planned some.
        let waiting = self.waiting().await;
        let sent = self.sender.step().await.expect("the notifications");
        matches!(published, Progress::Idle) && pushed == 0 && sent == 0 && waiting == 0
    }

    /// Has the engine try to reach a subscription's worker, which is down, at least twice.
    pub async fn deliver_in_vain(&self, subscription: &str) {
        while !matches!(self.api.relay.step().await.expect("the outbox"), Progress::Idle) {}
        if let Some(google) = &self.google {
            let tries = || google.relay.attempts().iter().filter(|it| it.subscription == subscription).count();
            return self.eventually("two attempts", async || tries() >= 2).await;
        }
        let broker = self.api.broker.as_ref().expect("the embedded engine");
        let sql = format!("SELECT count(*) FROM deliveries WHERE subscription = '{subscription}' AND attempts >= 2");
        let tried = async || {
            broker.deliver_due().await.expect("the deliveries");
            self.count(&sql).await > 0
        };
        self.eventually("two attempts", tried).await;
    }

    /// Waits until so many pushes of a subscription were acknowledged since it was set up. The embedded engine owes nothing
    /// any more once [`deliver_events`](Self::deliver_events) is done; Google's may still repeat itself.
    pub async fn acknowledged(&self, subscription: &str, pushes: usize) {
        let Some(google) = &self.google else { return };
        let done = |it: &&crate::Attempt| it.subscription == subscription && it.status.is_success();
        let enough = async || google.relay.attempts().iter().filter(done).count() >= pushes;
        self.eventually("the pushes to be acknowledged", enough).await;
    }

    /// Publishes everything, and has the engine forget what it owes to these subscriptions.
    pub async fn publish_and_forget(&self, subscriptions: &[&str]) {
        if let Some(google) = &self.google {
            google.unsubscribe(subscriptions).await; // what is published to nobody is forgotten
        }
        while self.api.relay.step().await.expect("the outbox") != Progress::Idle {}
        if let Some(google) = &self.google {
            return google.set_up().await;
        }
        let forget = sqlx::query("DELETE FROM deliveries WHERE subscription = ANY($1)").bind(subscriptions);
        forget.execute(&self.db).await.expect("a change");
    }

    /// A publisher to the shop's engine, as programs beside the shop have one.
    pub async fn publisher(&self) -> Arc<dyn EventPublisher> {
        let engine = self.google.as_ref().map_or(Engine::Embedded, Google::engine);
        engine.publisher(&self.acting_as(database::Role::Desk).await, None).await.expect("a publisher")
    }

    /// How many deliveries the engine still owes.
    async fn waiting(&self) -> i64 {
        if self.google.is_none() {
            // A relay that was killed may have claimed events that no other publishes for a while.
            let unpublished = self.count("SELECT count(*) FROM outbox WHERE published_at IS NULL").await;
            return unpublished + self.count("SELECT count(*) FROM deliveries").await;
        }
        let (topics, consumers): (Vec<_>, Vec<_>) = SUBSCRIPTIONS.iter().map(|it| (it.topic, it.name)).unzip();
        let sql =
            "SELECT count(*) FROM outbox JOIN unnest($1::text[], $2::text[]) AS s (topic, consumer) ON topic = type
            WHERE NOT EXISTS (SELECT FROM inbox WHERE inbox.consumer = s.consumer AND event_id = outbox.id)
              AND NOT EXISTS (SELECT FROM dead_letters WHERE source = s.consumer AND event_id = outbox.id AND status <> 'replayed')";
        sqlx::query_scalar(sql).bind(topics).bind(consumers).fetch_one(&self.db).await.expect("a number")
    }

    /// The embedded engine does what it is told at once, Google's in its own time.
    async fn breathe(&self) {
        match self.google {
            None => tokio::task::yield_now().await,
            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
