//! A shop's place on Google's emulator: a project of its own, and a relay between the emulator and its workers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messaging::engine::Engine;
use messaging::google::Access;
use messaging::push::{PushAuth, Sender};
use messaging::topology::{Policy, Subscription, Worker};
use pubsub_setup::{Setup, Wanted};
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::emulator::Emulator;
use crate::signing_relay::SigningRelay;
use crate::tokens::PUSHER;

/// As little patience as the emulator grants; it retries every second.
const IMPATIENT: Policy = Policy { ack_deadline: Duration::from_secs(10), ..crate::IMPATIENT };

/// What a shop on Google's emulator has besides.
pub struct Google {
    /// The emulator, perhaps shared with other shops.
    pub emulator: Arc<Emulator>,
    /// Between the emulator and the workers.
    pub relay: SigningRelay,
    access: Access,
}

impl Google {
    pub(crate) async fn start(emulator: Arc<Emulator>, stop: &CancellationToken) -> Self {
        let (listener, url) = crate::listen().await;
        let relay = SigningRelay::new(url, &emulator.host());
        crate::spawn(listener, relay.router(), stop);
        let project = format!("shop-{}", uuid::Uuid::new_v4().simple());
        let access = Access { project, emulator: Some(emulator.host()) };
        Self { emulator, relay, access }
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::Google(self.access.clone())
    }

    /// Deletes subscriptions, with all that they hold.
    pub(crate) async fn unsubscribe(&self, subscriptions: &[&str]) {
        for name in subscriptions {
            let subscription = Subscription::named(name).expect("a subscription").resource(self.project());
            let request = Client::new().delete(format!("http://{}/v1/{subscription}", self.emulator.host()));
            request.send().await.expect("an answer").error_for_status().expect("a subscription");
        }
    }

    /// Its project on the emulator.
    pub fn project(&self) -> &str {
        &self.access.project
    }

    pub(crate) fn auth(&self) -> PushAuth {
        let sender = Sender { service_account: PUSHER.to_owned(), jwks_url: self.relay.jwks_url() };
        PushAuth::google(self.project(), sender).expect("a verifier")
    }

    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("JUMUN_MESSAGING", "pubsub".to_owned()),
            ("PUBSUB_PROJECT_ID", self.access.project.clone()),
            ("PUBSUB_EMULATOR_HOST", self.emulator.host()),
        ]
    }

    /// Creates topics and subscriptions: at the beginning, and when the emulator was killed.
    pub async fn set_up(&self) {
        let wanted = Wanted {
            access: self.access.clone(),
            workers: HashMap::from(Worker::ALL.map(|it| (it, self.relay.url(it)))),
            service_account: Some(PUSHER.to_owned()),
            policy: Some(IMPATIENT),
        };
        let setup = Setup::new(wanted).await.expect("a client");
        let changes = setup.survey().await.expect("an answer");
        setup.apply(&changes).await.expect("topics and subscriptions");
    }
}
