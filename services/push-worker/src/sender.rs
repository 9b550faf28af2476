//! Sends what is planned: leases attempts, asks the push service, records what it said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::push_attempts::{self, Leased, Next, Recorded};
use database::{BatchError, Batcher};
use domain::{PushError, PushSender};
use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::settings::Sending;
use crate::text::notification;
use crate::valve::Valve;
use crate::verdict::{Verdict, judge};

/// Sends planned notifications. Any number of senders may work on one database.
///
/// No send waits for another: each has a slot of its own, and a slot that is free again takes the next attempt that
/// is due. An attempt is leased no earlier than there is a slot for it: whose device it is, is asked at the last moment.
/// Clones are handles to the same sender.
#[derive(Clone)]
pub struct Sender {
    db: PgPool,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    shared: Arc<Shared>,
}

struct Shared {
    /// Attempts were planned that nobody has leased.
    wake: Notify,
    settings: Sending,
    service: Arc<dyn PushSender>,
    results: Batcher<Recorded, bool>,
    valve: Mutex<Valve>,
}

impl Sender {
    /// A sender on this database. Its sends and batches run on `tasks`.
    pub fn new(db: PgPool, service: Arc<dyn PushSender>, settings: Sending, tasks: &TaskTracker) -> Self {
        let results = Batcher::start(tasks, &db, |db, results| Box::pin(push_attempts::record(db, results)));
        let slots = Arc::new(Semaphore::new(settings.in_flight as usize));
        let shared = Arc::new(Shared { wake: Notify::new(), settings, service, results, valve: Mutex::default() });
        Self { db, slots, tasks: tasks.clone(), shared }
    }

    /// Sends what is due now, as much as there are slots for, and returns how many attempts that were once all of
    /// them are recorded.
    pub async fn step(&self) -> sqlx::Result<usize> {
        let mut sent = 0;
        if let Ok(slots) = Arc::clone(&self.slots).acquire_many_owned(self.shared.settings.in_flight).await {
            for send in self.lease(slots).await? {
                sent += 1;
                if send.await.is_err() {
                    error!("A send panicked; its attempt will be due again");
                }
            }
        }
        Ok(sent)
    }

    /// Sends until `shutdown`: when attempts were planned that there was no slot for, and regularly what is due again. What
    /// is on its way then is finished by `tasks`.
    pub async fn run(self, shutdown: CancellationToken) {
        // A lease costs a statement, so it waits until it is worth one.
        let worthwhile = self.shared.settings.in_flight.div_ceil(4);
        let slots = || async {
            let mut slots = Arc::clone(&self.slots).acquire_many_owned(worthwhile).await.ok()?;
            slots.merge(self.free_slots()?);
            Some(slots)
        };
        while let Some(Some(slots)) = shutdown.run_until_cancelled(slots()).await {
            match self.lease(slots).await {
                Ok(begun) if !begun.is_empty() => continue,
                Ok(_) => {}
                Err(cause) => warn!(%cause, "Cannot lease notifications"),
            }
            let pause = tokio::time::timeout(self.shared.settings.poll, self.shared.wake.notified());
            if shutdown.run_until_cancelled(pause).await.is_none() {
                break;
            }
        }
    }

    /// How long an attempt may be leased to it.
    pub(crate) fn lease_time(&self) -> Duration {
        self.shared.settings.lease
    }

    /// Sends attempts that were leased for these slots. When all slots are taken it looks for more as soon as it can.
    pub(crate) fn take_over(&self, leased: Vec<Leased>, slots: OwnedSemaphorePermit) {
        let room = slots.num_permits();
        if self.begin(leased, slots).len() == room {
            self.shared.wake.notify_one();
        }
    }

    /// All slots that are free; `None` never happens, as they are never closed.
    pub(crate) fn free_slots(&self) -> Option<OwnedSemaphorePermit> {
        let mut slots = Arc::clone(&self.slots).try_acquire_many_owned(0).ok()?;
        while let Ok(another) = Arc::clone(&self.slots).try_acquire_owned() {
            slots.merge(another);
        }
        Some(slots)
    }

    /// Leases as many attempts as there are slots, and begins to send them.
    async fn lease(&self, slots: OwnedSemaphorePermit) -> sqlx::Result<Vec<JoinHandle<()>>> {
        let limit = i64::try_from(slots.num_permits()).unwrap_or(i64::MAX);
        let leased = push_attempts::lease(&self.db, limit, self.shared.settings.lease).await?;
        Ok(self.begin(leased, slots))
    }

    fn begin(&self, leased: Vec<Leased>, mut slots: OwnedSemaphorePermit) -> Vec<JoinHandle<()>> {
        let sends = leased.into_iter().filter_map(|leased| Some((leased, slots.split(1)?)));
        let begin = |(leased, slot)| {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move {
                shared.send(leased).await;
                drop(slot);
            })
        };
        sends.map(begin).collect()
    }
}

impl Shared {
    async fn send(&self, leased: Leased) {
        crash::point!("pn.claim.after_commit");
        let notification = notification(&leased, &self.settings.public_url);
        let answer = self.service.send(&leased.token, &notification).await;
        crash::point!("pn.fcm.after_accept");
        let verdict = self.judge(&leased, &answer);
        let result = Recorded {
            lease: leased.lease,
            next: verdict.next,
            certain: verdict.certain,
            error: answer.err().map(|error| error.to_string()),
        };
        let (event, device) = (leased.lease.event, leased.lease.device);
        let recorded = self.results.submit(result).await;
        crash::point!("pn.mark.after_commit");
        match recorded {
            Ok(true) => {}
            Ok(false) => {
                warn!(event.id = %event, device.id = %device, "A send outlived its lease; the next one counts");
            }
            Err(BatchError::Database(cause)) => {
                error!(event.id = %event, device.id = %device, %cause, "Cannot record a send; it will be repeated");
            }
            Err(BatchError::Stopped) => {
                warn!(event.id = %event, device.id = %device, "Stopped before a send was recorded; it will be repeated");
            }
        }
    }

    fn judge(&self, leased: &Leased, answer: &Result<(), PushError>) -> Verdict {
        let (event, device) = (leased.lease.event, leased.lease.device);
        let backoff = &self.settings.backoff;
        let judged = |answer| judge(answer, leased.attempt, leased.age, backoff, rand::random());
        let mut verdict = judged(answer);
        let believed = self.valve.lock().unwrap_or_else(PoisonError::into_inner).note(verdict.next == Next::Gone);
        match answer {
            Ok(()) => debug!(event.id = %event, device.id = %device, attempt = leased.attempt, "Sent a notification"),
            Err(cause) if verdict.alarm => {
                error!(event.id = %event, device.id = %device, %cause, "Cannot send notifications: {cause}");
            }
            Err(cause) if verdict.next == Next::Gone && !believed => {
                error!(event.id = %event, device.id = %device, %cause, "FCM calls most devices unregistered; not believed, no token is deleted");
                verdict = Verdict { certain: true, ..judged(&Err(PushError::Retry { after: None })) };
            }
            Err(cause) => {
                debug!(event.id = %event, device.id = %device, attempt = leased.attempt, %cause, next = ?verdict.next, "Did not send a notification");
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
