use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::client_builder;
use google_cloud_gax::error::rpc::Code;
use google_cloud_pubsub::Error;
use google_cloud_pubsub::client::{SubscriptionAdmin, TopicAdmin};
use google_cloud_wkt::FieldMask;

use crate::change::{Change, Difference};
use crate::wanted::Wanted;

/// A project's topics and subscriptions, and what should be there.
pub struct Setup {
    topics: TopicAdmin,
    subscriptions: SubscriptionAdmin,
    wanted: Wanted,
}

/// Why the set-up is not done.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No client: without the emulator, for want of credentials.
    #[error("no client for Pub/Sub")]
    Client(#[from] client_builder::Error),
    /// Pub/Sub refused, or did not answer.
    #[error("{0}")]
    Pubsub(String, #[source] Error),
    /// A subscription cannot change its topic, and deleting it would lose what it still holds.
    #[error(
        "{subscription} is attached to {topic}, not to {wanted}: delete it by hand once what it holds is delivered"
    )]
    Attached {
        /// The subscription.
        subscription: String,
        /// What it is subscribed to.
        topic: String,
        /// What it should be subscribed to.
        wanted: String,
    },
}

impl Setup {
    /// Sets the clients up. Nothing is connected yet.
    ///
    /// # Errors
    /// See [`SetupError::Client`].
    pub async fn new(wanted: Wanted) -> Result<Self, SetupError> {
        let (mut topics, mut subscriptions) = (TopicAdmin::builder(), SubscriptionAdmin::builder());
        if let Some(emulator) = wanted.access.emulator_endpoint() {
            topics = topics.with_endpoint(&emulator).with_credentials(anonymous::Builder::new().build());
            subscriptions = subscriptions.with_endpoint(emulator).with_credentials(anonymous::Builder::new().build());
        }
        Ok(Self { topics: topics.build().await?, subscriptions: subscriptions.build().await?, wanted })
    }

    /// What has to be done, in the order in which it has to be done.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub async fn survey(&self) -> Result<Vec<Change>, SetupError> {
        let mut changes = Vec::new();
        for name in self.wanted.topics() {
            let there = self.topics.get_topic().set_topic(&name).send().await;
            if found(there, &name)?.is_none() {
                changes.push(Change::CreateTopic(name));
            }
        }
        for wanted in self.wanted.subscriptions() {
            let there = self.subscriptions.get_subscription().set_subscription(&wanted.name).send().await;
            match found(there, &wanted.name)? {
                None => changes.push(Change::CreateSubscription(Box::new(wanted))),
                Some(there) if there.topic != wanted.topic => {
                    let (subscription, topic, wanted) = (there.name, there.topic, wanted.topic);
                    return Err(SetupError::Attached { subscription, topic, wanted });
                }
                Some(there) => changes.extend(Change::between(&there, wanted)),
            }
        }
        Ok(changes)
    }

    /// Does it.
    ///
    /// # Errors
    /// See [`SetupError`]. What was done before stays done; start again with a survey.
    pub async fn apply(&self, changes: &[Change]) -> Result<(), SetupError> {
        for change in changes {
            match change {
                Change::CreateTopic(name) => {
                    let created = self.topics.create_topic().set_name(name).send().await;
                    created.map_err(|error| cannot("create", name, error))?;
                }
                Change::CreateSubscription(wanted) => {
                    let created = self.subscriptions.create_subscription().with_request(wanted.as_ref().clone());
                    created.send().await.map_err(|error| cannot("create", &wanted.name, error))?;
                }
                Change::UpdateSubscription { wanted, differences } => {
                    let fields = differences.iter().map(Difference::field);
                    let update = self.subscriptions.update_subscription().set_subscription(wanted.as_ref().clone());
                    let update = update.set_update_mask(FieldMask::default().set_paths(fields));
                    update.send().await.map_err(|error| cannot("update", &wanted.name, error))?;
                }
            }
        }
        Ok(())
    }
}

fn found<T>(answer: Result<T, Error>, name: &str) -> Result<Option<T>, SetupError> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.status().is_some_and(|it| it.code == Code::NotFound) => Ok(None),
        Err(error) => Err(cannot("look at", name, error)),
    }
}

fn cannot(what: &str, name: &str, error: Error) -> SetupError {
    SetupError::Pubsub(format!("cannot {what} {name}"), error)
}
