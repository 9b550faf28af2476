use std::time::Duration;

use anyhow::Context as _;
use fcm::{Fcm, FcmSettings, ServiceAccount};
use messaging::topology::Worker;
use messaging::worker::WorkerSettings;
use secrecy::{ExposeSecret as _, SecretString};
use service::{Env, Mode, keeps_secrets};

use crate::verdict::Backoff;

/// What the push worker is told by its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens, and the database.
    pub worker: WorkerSettings,
    /// How FCM is reached.
    pub fcm: FcmAccess,
    /// How it sends.
    pub sending: Sending,
}

/// How FCM is reached, and as whom.
#[derive(Debug, Clone)]
pub struct FcmAccess {
    /// `FCM_BASE_URL`: Google's, or the sandbox.
    pub base_url: String,
    /// `FCM_SERVICE_ACCOUNT`: the JSON that the Firebase console hands out; the sandbox has one of its own.
    pub service_account: Option<SecretString>,
    /// `FCM_VALIDATE_ONLY`
    pub validate_only: bool,
}

/// How notifications are sent.
#[derive(Debug, Clone)]
pub struct Sending {
    /// `PUBLIC_URL`: where a notification leads to, if that is https.
    pub public_url: String,
    /// `PUSH_IN_FLIGHT`: sends that may wait for an answer at once.
    pub in_flight: u32,
    /// `PUSH_POLL`: how often it looks for attempts that nobody woke it for.
    pub poll: Duration,
    /// How long an attempt belongs to the sender that leased it: longer than a send can take.
    pub lease: Duration,
    /// How long it waits before it tries again.
    pub backoff: Backoff,
}

impl Settings {
    /// Reads the settings; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env) -> Self {
        let backoff = Backoff::default();
        let in_flight = env.within("PUSH_IN_FLIGHT", 64, 1..=10_000, "notifications that are sent to FCM at a time");
        let worker = WorkerSettings::read(env, Worker::Push);
        let fcm = FcmAccess::read(env);
        if worker.auth.is_loopback() && fcm.tells_real_phones() {
            env.refuse("PUSH_AUTH", "must be token when notifications go to real phones");
        }
        Self {
            worker,
            fcm,
            sending: Sending {
                public_url: env.url(
                    "PUBLIC_URL",
                    "http://localhost:8080",
                    "the shop's address as buyers see it, such as https://shop.example",
                ),
                in_flight,
                poll: env.or("PUSH_POLL", Duration::from_secs(1), "how often due notifications are looked for"),
                lease: Duration::from_mins(1),
                backoff: Backoff {
                    first: env.or(
                        "PUSH_RETRY_FIRST",
                        backoff.first,
                        "wait before a failed notification is sent again; doubles each time",
                    ),
                    give_up_after: env.or(
                        "PUSH_GIVE_UP_AFTER",
                        backoff.give_up_after,
                        "notifications older than this are dropped",
                    ),
                    ..backoff
                },
            },
        }
    }
}

impl FcmAccess {
    fn read(env: &mut Env) -> Self {
        let access = Self {
            base_url: env.url(
                "FCM_BASE_URL",
                "http://127.0.0.1:8090/fcm",
                "FCM (https://fcm.googleapis.com), or the sandbox",
            ),
            service_account: env
                .optional_secret("FCM_SERVICE_ACCOUNT", "service account key from the Firebase console, as JSON"),
            validate_only: env.or("FCM_VALIDATE_ONLY", false, "let FCM check notifications without delivering them"),
        };
        if !keeps_secrets(&access.base_url) {
            env.refuse("FCM_BASE_URL", "must be https or on this machine: the access token is sent there");
        }
        if env.mode() == Mode::Production {
            if access.service_account.is_none() {
                env.refuse("FCM_SERVICE_ACCOUNT", "required in production");
            }
            if !access.base_url.starts_with("https://") {
                env.refuse("FCM_BASE_URL", "expected https://fcm.googleapis.com, since this is production");
            }
        }
        access
    }

    fn tells_real_phones(&self) -> bool {
        self.base_url.starts_with("https://") && !self.validate_only
    }

    /// A client of FCM. It connects when it is first used.
    pub fn client(&self) -> anyhow::Result<Fcm> {
        let json = self.service_account.as_ref().context("FCM_SERVICE_ACCOUNT is not set")?;
        let account =
            ServiceAccount::from_json(json.expose_secret()).context("FCM_SERVICE_ACCOUNT is no service account")?;
        let settings = FcmSettings {
            base_url: self.base_url.clone(),
            validate_only: self.validate_only,
            ..FcmSettings::new(account)
        };
        Ok(Fcm::new(settings)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(pairs: &[(&str, &str)]) -> String {
        Env::refusals_of(pairs, Settings::read)
    }

    #[test]
    fn development_needs_nothing_and_production_an_account() {
        let loopback = ("PUSH_AUTH", "loopback");
        assert_eq!(refusals(&[loopback]), "");
        assert!(refusals(&[loopback, ("FCM_BASE_URL", "https://fcm.googleapis.com")]).contains("PUSH_AUTH"));
        assert!(refusals(&[("PUSH_IN_FLIGHT", "0")]).contains("PUSH_IN_FLIGHT"));
        assert!(refusals(&[loopback, ("FCM_BASE_URL", "http://fcm.example")]).contains("FCM_BASE_URL: must be https"));
        let production = [
            ("JUMUN_ENV", "production"),
            ("DATABASE_URL", "postgres://db/jumun"),
            ("PUBLIC_URL", "https://shop.example"),
            ("PUSH_KEY", "a key that is long enough to sign with"),
            ("FCM_BASE_URL", "http://127.0.0.1:8090/fcm"),
        ];
        let told = refusals(&production);
        assert!(
            told.contains("FCM_SERVICE_ACCOUNT: required") && told.contains("FCM_BASE_URL: expected https"),
            "{told}"
        );
        let whole = [("FCM_BASE_URL", "https://fcm.googleapis.com"), ("FCM_SERVICE_ACCOUNT", "{}")];
        assert_eq!(refusals(&[&production[..4], &whole].concat()), "");
    }
}
