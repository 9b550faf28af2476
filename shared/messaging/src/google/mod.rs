//! Google Cloud Pub/Sub, the engine to grow on. The topology is created there by `pubsub-setup`.

mod publisher;

pub use publisher::GooglePublisher;

/// Where Pub/Sub is. Its client does not read `PUBSUB_EMULATOR_HOST`, so this says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The project's id.
    pub project: String,
    /// `host:port` of Google's emulator. `None`: the real service, with Application Default Credentials.
    pub emulator: Option<String>,
}

impl Access {
    /// A topic's full name.
    pub fn topic(&self, name: &str) -> String {
        format!("projects/{}/topics/{name}", self.project)
    }

    /// What a client of the emulator must be given as its endpoint, together with anonymous credentials.
    pub fn emulator_endpoint(&self) -> Option<String> {
        self.emulator.as_ref().map(|host| format!("http://{host}"))
    }
}
