use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use database::Batcher;
use database::deliveries::{self, DeadLetterRoute, Lease, Outcome, Room};
use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::value::RawValue;
use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::PROJECT;
use crate::envelope::Outgoing;
use crate::pause;
use crate::push::PushKey;
use crate::topology::{DEAD_LETTER_TOPIC, Policy, SUBSCRIPTIONS, Subscription, Worker};

/// What acknowledges, as on Pub/Sub. Its 102 cannot end a response.
const ACKNOWLEDGED: [u16; 4] = [200, 201, 202, 204];

/// How long pushes under way may still be answered after the signal to stop.
const GRACE: Duration = Duration::from_secs(3);

/// How to reach the workers.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Each worker's base address. What is for a worker without one waits.
    pub endpoints: HashMap<Worker, String>,
    /// What it signs its pushes with. `None`: it does not, which only workers on loopback may take.
    pub key: Option<PushKey>,
    /// In place of the topology's policies: tests cannot wait as long.
    pub policy: Option<Policy>,
    /// Pushes at once, per subscription, so that a hung worker stalls nobody else. All subscriptions of a worker together
    /// should stay below the requests that it takes at once.
    pub in_flight: usize,
}

impl BrokerSettings {
    /// The usual settings, with these workers.
    pub fn new(endpoints: HashMap<Worker, String>) -> Self {
        Self { endpoints, key: None, policy: None, in_flight: 64 }
    }
}

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// An endpoint's address does not parse.
    #[error("{0} is not the address of a worker")]
    Endpoint(String),
    /// The HTTP client cannot be set up.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
}

/// Pushes deliveries to the workers.
///
/// Any number of brokers may run: each leases what it pushes, and a lease that is not concluded runs out at the
/// acknowledgement deadline. Clones are handles to the same broker.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

struct Inner {
    pool: PgPool,
    client: Client,
    lanes: Vec<Lane>,
    key: Option<PushKey>,
    outcomes: Batcher<Outcome, ()>,
    pushes: TaskTracker,
    /// Cancelled when pushes under way are to be given back.
    give_back: CancellationToken,
    /// [`run`](Broker::run) is at work: what is published in this process may be pushed at once.
    running: AtomicBool,
    wake: Notify,
}

/// One subscription's way to its worker.
struct Lane {
    subscription: &'static Subscription,
    resource: String,
    url: Url,
    policy: Policy,
    slots: Arc<Semaphore>,
    /// The last round found no slot: the next one to be free must wake the broker.
    starved: AtomicBool,
}

/// Free slots, by lane, kept for what is about to be leased.
pub(super) struct Slots<'a>(Vec<(&'a Lane, OwnedSemaphorePermit)>);

impl Slots<'_> {
    /// How much there are slots for.
    pub(super) fn rooms(&self) -> Vec<Room<'_>> {
        let room = |(lane, slots): &(&Lane, OwnedSemaphorePermit)| Room {
            subscription: lane.subscription.name,
            limit: slots.num_permits(),
            lease: lane.policy.ack_deadline,
        };
        self.0.iter().map(room).collect()
    }
}

/// What a round of leasing began.
struct Round {
    pushes: Vec<JoinHandle<()>>,
    /// More may be due than was taken.
    more: bool,
}

impl Broker {
    /// Sets a broker up; [`run`](Self::run) or [`deliver_due`](Self::deliver_due) then drives it. Its helper task lives on
    /// `tasks` until the last handle is dropped.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub fn start(pool: PgPool, settings: &BrokerSettings, tasks: &TaskTracker) -> Result<Self, BrokerError> {
        let client = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .pool_max_idle_per_host(settings.in_flight)
            .build()
            .map_err(BrokerError::Client)?;
        let mut lanes = Vec::new();
        for subscription in &SUBSCRIPTIONS {
            if let Some(base) = settings.endpoints.get(&subscription.worker) {
                lanes.push(Lane::new(subscription, base, settings)?);
            }
        }
        let outcomes = Batcher::start(tasks, &pool, |db, outcomes: &[Outcome]| {
            Box::pin(async move {
                deliveries::conclude(db, outcomes, dead_letters()).await?;
                Ok(vec![(); outcomes.len()])
            })
        });
        let (pushes, give_back) = (TaskTracker::new(), CancellationToken::new());
        let (key, running, wake) = (settings.key.clone(), AtomicBool::new(false), Notify::new());
        Ok(Self(Arc::new(Inner { pool, client, lanes, key, outcomes, pushes, give_back, running, wake })))
    }

    /// Pushes everything that is due and waits for what becomes of it. Returns how many pushes that took.
    ///
    /// # Errors
    /// When the database did not answer.
    pub async fn deliver_due(&self) -> sqlx::Result<usize> {
        let mut pushed = 0;
        loop {
            let round = self.push_due().await?;
            if round.pushes.is_empty() {
                return Ok(pushed);
            }
            pushed += round.pushes.len();
            join_all(round.pushes).await;
        }
    }

    /// Pushes whenever something is due, until `shutdown`. What no worker has answered a few seconds later is given back.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        self.0.running.store(true, Ordering::Relaxed);
        while !shutdown.is_cancelled() {
            let begun = Instant::now();
            match self.push_due().await {
                Ok(round) => {
                    failures = 0;
                    if !round.more {
                        pause::until_woken(&shutdown, &self.0.wake).await;
                    }
                }
                Err(error) => {
                    failures += 1;
                    warn!(%error, failures, "Deliveries cannot be leased");
                    pause::rest(&shutdown, pause::after_failures(failures)).await;
                }
            }
            pause::pace(&shutdown, begun).await;
        }
        self.0.running.store(false, Ordering::Relaxed);
        self.0.pushes.close();
        if tokio::time::timeout(GRACE, self.0.pushes.wait()).await.is_err() {
            self.0.give_back.cancel();
            self.0.pushes.wait().await;
        }
    }

    /// Leases as much as there are slots for, and begins to push it.
    async fn push_due(&self) -> sqlx::Result<Round> {
        let slots = self.free_slots();
        if slots.0.is_empty() {
            return Ok(Round { pushes: Vec::new(), more: false });
        }
        let leased = deliveries::lease(&self.0.pool, &slots.rooms()).await?;
        Ok(self.begin(leased, slots))
    }

    /// Slots for messages that are about to be stored: none unless the broker runs.
    pub(super) fn slots_for_news(&self) -> Slots<'_> {
        if self.0.running.load(Ordering::Relaxed) { self.free_slots() } else { Slots(Vec::new()) }
    }

    /// Begins to push messages that were stored just now, and looks at once for those that there was no slot for.
    pub(super) fn push_news(&self, leased: Vec<Lease>, slots: Slots<'_>) {
        let crowded = slots.0.len() < self.0.lanes.len();
        if self.begin(leased, slots).more || crowded {
            self.0.wake.notify_one();
        }
    }

    fn free_slots(&self) -> Slots<'_> {
        Slots(self.0.lanes.iter().filter_map(|lane| Some((lane, lane.reserve()?))).collect())
    }

    fn begin(&self, leased: Vec<Lease>, mut slots: Slots<'_>) -> Round {
        let mut pushes = Vec::with_capacity(leased.len());
        for lease in leased {
            let lane = self.0.lanes.iter().position(|lane| lane.subscription.name == lease.subscription);
            let free = slots.0.iter_mut().find(|(lane, _)| lane.subscription.name == lease.subscription);
            if let (Some(lane), Some(slot)) = (lane, free.and_then(|(_, free)| free.split(1))) {
                let inner = Arc::clone(&self.0);
                pushes.push(self.0.pushes.spawn(async move { inner.deliver(lane, lease, slot).await }));
            }
        }
        Round { pushes, more: slots.0.iter().any(|(_, left)| left.num_permits() == 0) }
    }
}

/// The topology has one subscription to dead letters; what is given up goes there.
fn dead_letters() -> DeadLetterRoute<'static> {
    let subscription = SUBSCRIPTIONS.iter().find(|it| it.topic == DEAD_LETTER_TOPIC).map_or("", |it| it.name);
    DeadLetterRoute { subscription, project: PROJECT }
}

impl Inner {
    async fn deliver(&self, lane: usize, lease: Lease, slot: OwnedSemaphorePermit) {
        let lane = &self.lanes[lane];
        crash::point!("bk.lease.after_commit");
        let outcome = self.push(lane, &lease).await;
        crash::point!("bk.push.after_ack");
        if let Err(error) = self.outcomes.submit(outcome).await {
            warn!(message.id = %lease.id, %error, "The outcome of message {} is lost: it will be pushed again", lease.id);
        }
        crash::point!("bk.conclude.after_commit");
        drop(slot);
        if lane.starved.swap(false, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    fn request(&self, lane: &Lane, lease: &Lease) -> Result<RequestBuilder, Box<dyn std::error::Error + Send + Sync>> {
        let request = self.client.post(lane.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = request.timeout(lane.patience()).body(lane.body(lease)?);
        Ok(match &self.key {
            Some(key) => request.bearer_auth(key.token(&lane.resource)?),
            None => request,
        })
    }

    async fn push(&self, lane: &Lane, lease: &Lease) -> Outcome {
        let request = match self.request(lane, lease) {
            Ok(request) => request.send(),
            Err(error) => {
                warn!(message.id = %lease.id, %error, "Message {} cannot be written as a push request", lease.id);
                return lane.failed(lease);
            }
        };
        let answer = tokio::select! {
            answer = request => answer,
            () = self.give_back.cancelled() => {
                return Outcome::Again { id: lease.id, attempt: lease.attempt, after: Duration::ZERO };
            }
        };
        let (subscription, attempt) = (lane.subscription.name, lease.attempt);
        match answer {
            Ok(answer) if ACKNOWLEDGED.contains(&answer.status().as_u16()) => return Outcome::Done(lease.id),
            Ok(answer) => {
                let status = answer.status().as_u16();
                info!(subscription, message.id = %lease.id, attempt, status, "{subscription} did not take {}", lease.id);
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                info!(subscription, message.id = %lease.id, attempt, error, "{subscription} did not answer to {}", lease.id);
            }
        }
        lane.failed(lease)
    }
}

impl Lane {
    fn new(subscription: &'static Subscription, base: &str, settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let url = format!("{}{}", base.trim_end_matches('/'), subscription.path);
        let url = url.parse().map_err(|_| BrokerError::Endpoint(base.to_owned()))?;
        Ok(Self {
            subscription,
            resource: subscription.resource(PROJECT),
            url,
            policy: settings.policy.unwrap_or(subscription.policy),
            slots: Arc::new(Semaphore::new(settings.in_flight)),
            starved: AtomicBool::new(false),
        })
    }

    /// All slots that are free, or `None`.
    fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        self.starved.store(true, Ordering::Release); // before looking: a slot may be freed meanwhile
        let free = u32::try_from(self.slots.available_permits()).ok().filter(|free| *free > 0)?;
        let slots = Arc::clone(&self.slots).try_acquire_many_owned(free).ok()?;
        self.starved.store(false, Ordering::Release);
        Some(slots)
    }

    /// How long to wait for an answer: the rest of the lease is for writing it down.
    fn patience(&self) -> Duration {
        self.policy.ack_deadline.mul_f64(0.8)
    }

    fn body(&self, lease: &Lease) -> serde_json::Result<Vec<u8>> {
        let attributes: &RawValue = serde_json::from_str(&lease.attributes)?;
        let outgoing = Outgoing {
            subscription: &self.resource,
            message_id: &lease.id.to_string(),
            publish_time: lease.published_at,
            data: &lease.data,
            attributes,
            delivery_attempt: self.subscription.dead_letter_topic.map(|_| lease.attempt),
        };
        outgoing.encode()
    }

    fn failed(&self, lease: &Lease) -> Outcome {
        let (id, attempt) = (lease.id, lease.attempt);
        if self.subscription.dead_letter_topic.is_some() && attempt >= i32::from(self.policy.max_attempts) {
            let subscription = self.subscription.name;
            warn!(subscription, message.id = %id, attempt, "{subscription} never accepted {id}: now a dead letter");
            return Outcome::Dead { id, attempt };
        }
        Outcome::Again { id, attempt, after: backoff(&self.policy, attempt, rand::random()) }
    }
}

/// Doubles with every attempt. The jitter, from 0 to 1, adds up to a fifth: what failed together does not come back together.
fn backoff(policy: &Policy, attempt: i32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).clamp(0, 20);
    let wait = policy.min_backoff.saturating_mul(1 << doublings).min(policy.max_backoff);
    wait.mul_f64(1.0 + 0.2 * jitter).min(policy.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_policys_longest() {
        let policy = SUBSCRIPTIONS[0].policy;
        let waits: Vec<_> = (1..=9).map(|attempt| backoff(&policy, attempt, 0.0).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(backoff(&policy, 1, 1.0).as_secs(), 12);
        assert_eq!(backoff(&policy, i32::MAX, 1.0).as_secs(), 600);
    }

    #[test]
    fn a_night_without_a_worker_dead_letters_nothing() {
        let policy = SUBSCRIPTIONS[0].policy;
        let all: Duration = (1..i32::from(policy.max_attempts)).map(|attempt| backoff(&policy, attempt, 0.0)).sum();
        assert!(all > Duration::from_hours(15), "{all:?}");
    }
}
