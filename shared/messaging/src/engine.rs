//! Which message engine a process publishes to.

use std::sync::Arc;

use domain::EventPublisher;
use google_cloud_gax::client_builder;
use service::{Env, Mode, Setting};
use sqlx::PgPool;

use crate::embedded::{Broker, EmbeddedPublisher, PROJECT};
use crate::google::{Access, GooglePublisher};

/// The message engine.
#[derive(Debug, Clone)]
pub enum Engine {
    /// The [`embedded`](crate::embedded) one.
    Embedded,
    /// [Google Cloud Pub/Sub](crate::google), or its emulator.
    Google(Access),
}

#[derive(Clone, Copy)]
enum Name {
    Embedded,
    Pubsub,
}

impl Setting for Name {
    const EXPECTED: &'static str = "embedded or pubsub";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "embedded" => Some(Self::Embedded),
            "pubsub" => Some(Self::Pubsub),
            _ => None,
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Embedded => "embedded",
            Self::Pubsub => "pubsub",
        }
        .to_owned()
    }
}

impl Engine {
    /// Reads the settings; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env) -> Self {
        let name = env.or(
            "JUMUN_MESSAGING",
            Name::Embedded,
            "the message engine: embedded (for one machine) or pubsub (Google Cloud Pub/Sub)",
        );
        let project =
            env.optional::<String>("PUBSUB_PROJECT_ID", "the Google Cloud project of topics and subscriptions");
        let emulator = env.optional::<String>(
            "PUBSUB_EMULATOR_HOST",
            "host:port of Google's Pub/Sub emulator, in place of the real service",
        );
        if matches!(name, Name::Embedded) {
            return Self::Embedded;
        }
        if project.is_none() {
            env.refuse("PUBSUB_PROJECT_ID", "required with JUMUN_MESSAGING=pubsub");
        }
        if emulator.is_some() && env.mode() == Mode::Production {
            env.refuse("PUBSUB_EMULATOR_HOST", "not in production: the emulator forgets everything when it stops");
        }
        Self::Google(Access { project: project.unwrap_or_default(), emulator })
    }

    /// The project in the full names of its subscriptions.
    pub fn project(&self) -> &str {
        match self {
            Self::Embedded => PROJECT,
            Self::Google(access) => &access.project,
        }
    }

    /// A publisher to this engine. The embedded one stores deliveries in `db`, and hands them to the `broker` of this
    /// process, if there is one.
    ///
    /// # Errors
    /// When Google's client cannot be set up.
    pub async fn publisher(
        &self,
        db: &PgPool,
        broker: Option<Broker>,
    ) -> Result<Arc<dyn EventPublisher>, client_builder::Error> {
        Ok(match self {
            Self::Embedded => Arc::new(EmbeddedPublisher::new(db.clone(), broker)),
            Self::Google(access) => Arc::new(GooglePublisher::new(access).await?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Engine, String> {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let engine = Engine::read(&mut env);
        env.finish().map(|()| engine).map_err(|refusals| refusals.to_string())
    }

    #[test]
    fn pubsub_is_chosen_by_name_and_needs_a_project() {
        assert!(matches!(read(&[("PUBSUB_PROJECT_ID", "shop")]), Ok(Engine::Embedded)));
        assert!(read(&[("JUMUN_MESSAGING", "pubsub")]).unwrap_err().contains("PUBSUB_PROJECT_ID"));
        assert!(read(&[("JUMUN_MESSAGING", "kafka")]).unwrap_err().contains("embedded or pubsub"));

        let chosen = [("JUMUN_MESSAGING", "pubsub"), ("PUBSUB_PROJECT_ID", "shop")];
        let Ok(Engine::Google(access)) = read(&chosen) else { panic!("not Pub/Sub") };
        assert_eq!((access.topic("dead-letter").as_str(), access.emulator), ("projects/shop/topics/dead-letter", None));
    }

    #[test]
    fn production_does_not_entrust_its_events_to_an_emulator() {
        let emulated =
            [("JUMUN_MESSAGING", "pubsub"), ("PUBSUB_PROJECT_ID", "shop"), ("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")];
        let Ok(Engine::Google(access)) = read(&emulated) else { panic!("not Pub/Sub") };
        assert_eq!(access.emulator_endpoint().as_deref(), Some("http://127.0.0.1:8085"));
        let refused = read(&[emulated.as_slice(), &[("JUMUN_ENV", "production")]].concat());
        assert!(refused.unwrap_err().contains("PUBSUB_EMULATOR_HOST"));
    }
}
