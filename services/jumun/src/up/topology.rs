//! The topics and subscriptions of a shop on Google's emulator, which forgets them whenever it stops.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use messaging::engine::Engine;
use messaging::google::Access;
use messaging::topology::Worker;
use pubsub_setup::{Setup, Wanted};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often the emulator is looked at: as long an emulator that was restarted takes no events.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What `jumun up` keeps set up on the emulator.
pub struct Topology(Setup);

impl Topology {
    /// Sets topics and subscriptions up, if the shop is on the emulator. On the real service only `jumun-pubsub-setup` does.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn set_up(engine: &Engine, workers: HashMap<Worker, String>) -> anyhow::Result<Option<Self>> {
        let Engine::Google(access @ Access { emulator: Some(host), .. }) = engine else { return Ok(None) };
        let wanted = Wanted { access: access.clone(), workers, service_account: None, policy: None };
        let topology = Self(Setup::new(wanted).await?);
        topology.repair().await.with_context(|| {
            format!("cannot set topics and subscriptions up on the Pub/Sub emulator: does it run at {host}?")
        })?;
        Ok(Some(topology))
    }

    /// Sets up again what is missing, until `shutdown`.
    pub async fn keep(self, shutdown: CancellationToken) {
        let look = async {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                match self.repair().await {
                    Ok(0) => {}
                    Ok(changes) => {
                        warn!(
                            changes,
                            "The Pub/Sub emulator had lost its set-up; {changes} topics and subscriptions are made again"
                        );
                    }
                    Err(error) => {
                        warn!(error = format!("{error:#}"), "The Pub/Sub emulator does not answer");
                    }
                }
            }
        };
        shutdown.run_until_cancelled(look).await;
    }

    async fn repair(&self) -> anyhow::Result<usize> {
        let changes = self.0.survey().await?;
        self.0.apply(&changes).await?;
        Ok(changes.len())
    }
}
