use std::time::Duration;

use messaging::engine::Engine;
use secrecy::{ExposeSecret as _, SecretString};
use service::{Env, Limits, Mode};

/// Toss's public documentation keys: payments made with them are nobody's, so they suit the sandbox.
const SANDBOX_CLIENT_KEY: &str = "test_gck_docs_Ovk5rk1EwkEbP0W43n07xlzm";
const SANDBOX_SECRET_KEY: &str = "test_gsk_docs_OaPz8L5KdmQXkzRz3y47BMw6";

/// Twice what a statement may last: what was published that long ago is there to be seen.
const LEAST_WATCHDOG_AGE: Duration = Duration::from_secs(10);

/// Where Toss really is.
const TOSS_API: &str = "https://api.tosspayments.com";

/// What the checkout API is told by its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `DATABASE_URL`
    pub database_url: SecretString,
    /// `CHECKOUT_DATABASE_CONNECTIONS`
    pub database_connections: u32,
    /// `CHECKOUT_BIND`: address and port of the storefront and its API.
    pub bind: String,
    /// `PUBLIC_URL`: what buyers have in their address bar; no trailing slash.
    pub public_url: String,
    /// `TOSS_BASE_URL`
    pub toss_base_url: String,
    /// `TOSS_SDK_URL`: the browser's half of Toss.
    pub toss_sdk_url: String,
    /// `TOSS_CLIENT_KEY`: public, goes to the browser.
    pub toss_client_key: String,
    /// `TOSS_SECRET_KEY`
    pub toss_secret_key: SecretString,
    /// `CHECKOUT_SERVE`: answer HTTP.
    pub serve: bool,
    /// `CHECKOUT_LOOPS`: run relay, broker, watchdog, reconciler and expiry in this process.
    pub loops: bool,
    /// `JUMUN_MESSAGING`, `PUBSUB_…`: where the relay publishes to.
    pub engine: Engine,
    /// `STOCK_WORKER_URL`, `PUSH_WORKER_URL`, `DEAD_LETTER_WORKER_URL`: where the embedded broker pushes to.
    pub workers: WorkerUrls,
    /// `CONFIRM_WAIT`: how long a buyer waits for the provider before being told "we are checking".
    pub confirm_wait: Duration,
    /// `WATCHDOG_AGE`: how long consumers may take to act upon an event before it is published again.
    pub watchdog_age: Duration,
    /// `HTTP_…`
    pub limits: Limits,
}

/// Base addresses of the workers, no trailing slash.
#[derive(Debug, Clone)]
pub struct WorkerUrls {
    /// The stock worker.
    pub stock: String,
    /// The push worker.
    pub push: String,
    /// The dead-letter worker.
    pub dead_letter: String,
}

impl Settings {
    /// Reads the settings; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env) -> Self {
        let settings = Self {
            database_url: env.secret(
                "DATABASE_URL",
                "postgres://postgres@127.0.0.1:5432/jumun",
                "the database, as postgres://user:password@host:port/name",
            ),
            database_connections: env.or(
                "CHECKOUT_DATABASE_CONNECTIONS",
                12,
                "connections that the checkout API opens",
            ),
            bind: env.or("CHECKOUT_BIND", "127.0.0.1:8080".to_owned(), "address of the storefront and its API"),
            public_url: env.url("PUBLIC_URL", "http://localhost:8080", "what buyers have in their address bar"),
            toss_base_url: env.url("TOSS_BASE_URL", "http://127.0.0.1:8090/toss", "Toss Payments' API, or the sandbox"),
            toss_sdk_url: env.url(
                "TOSS_SDK_URL",
                "http://127.0.0.1:8090/toss/v2/standard",
                "the payment widget's script; Toss's is https://js.tosspayments.com/v2/standard",
            ),
            toss_client_key: env.required_in_production(
                "TOSS_CLIENT_KEY",
                SANDBOX_CLIENT_KEY.to_owned(),
                "Toss client key, shown to browsers",
            ),
            toss_secret_key: env.secret("TOSS_SECRET_KEY", SANDBOX_SECRET_KEY, "Toss secret key of the same pair"),
            serve: env.or("CHECKOUT_SERVE", true, "answer HTTP in this process"),
            loops: env.or("CHECKOUT_LOOPS", true, "run relay, broker, watchdog, reconciler and expiry in this process"),
            engine: Engine::read(env),
            workers: WorkerUrls {
                stock: env.url(
                    "STOCK_WORKER_URL",
                    "http://127.0.0.1:8081",
                    "where the broker reaches the stock worker",
                ),
                push: env.url("PUSH_WORKER_URL", "http://127.0.0.1:8082", "where the broker reaches the push worker"),
                dead_letter: env.url(
                    "DEAD_LETTER_WORKER_URL",
                    "http://127.0.0.1:8083",
                    "where the broker reaches the dead-letter worker",
                ),
            },
            confirm_wait: env.or(
                "CONFIRM_WAIT",
                Duration::from_secs(20),
                "how long a buyer waits for Toss before being told that we are checking",
            ),
            watchdog_age: env.or(
                "WATCHDOG_AGE",
                Duration::from_mins(10),
                "how long consumers may take to act upon an event before it is published again",
            ),
            limits: Limits::read(env),
        };
        if settings.watchdog_age < LEAST_WATCHDOG_AGE {
            env.refuse("WATCHDOG_AGE", "at least 10s, or it would miss events whose transaction is still open");
        }
        settings.refuse_half_live(env);
        settings
    }

    /// Whether it is Toss that is asked. A sandbox's memory ends with its process, so it cannot tell of yesterday.
    pub fn is_toss_real(&self) -> bool {
        self.toss_base_url == TOSS_API
    }

    /// A live key at a sandbox, or a test key at the till: both end in tears that nobody sees coming.
    fn refuse_half_live(&self, env: &mut Env) {
        let secret = self.toss_secret_key.expose_secret();
        let live = secret.starts_with("live_");
        if live != self.toss_client_key.starts_with("live_") {
            env.refuse("TOSS_CLIENT_KEY", "client key and secret key must both be live or both be test keys");
        }
        if live && !self.is_toss_real() {
            env.refuse("TOSS_BASE_URL", format_args!("a live key is only ever sent to {TOSS_API}"));
        }
        if live && !self.public_url.starts_with("https://") {
            env.refuse("PUBLIC_URL", "a shop that takes real money is reached by https");
        }
        if env.mode() == Mode::Production && secret == SANDBOX_SECRET_KEY {
            env.refuse("TOSS_SECRET_KEY", "this is the public documentation key");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(pairs: &[(&str, &str)]) -> String {
        let mut env = Env::from_pairs(pairs.iter().copied());
        Settings::read(&mut env);
        env.finish().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn development_needs_nothing() {
        assert_eq!(refusals(&[]), "");
    }

    #[test]
    fn the_watchdog_does_not_look_at_what_is_still_being_written() {
        assert_eq!(refusals(&[("WATCHDOG_AGE", "10s")]), "");
        assert!(refusals(&[("WATCHDOG_AGE", "9s")]).contains("WATCHDOG_AGE"));
    }

    #[test]
    fn a_half_live_set_up_is_refused() {
        let live = [("TOSS_SECRET_KEY", "live_gsk_x"), ("TOSS_CLIENT_KEY", "live_gck_x")];
        assert!(refusals(&live).contains("TOSS_BASE_URL"));
        assert!(refusals(&live[..1]).contains("TOSS_CLIENT_KEY"));
        let whole = [
            live[0],
            live[1],
            ("TOSS_BASE_URL", TOSS_API),
            ("PUBLIC_URL", "https://shop.example"),
            ("TOSS_SDK_URL", "https://js.tosspayments.com/v2/standard"),
        ];
        assert_eq!(refusals(&whole), "");
        assert!(
            refusals(&[whole.as_slice(), &[("PUBLIC_URL", "http://shop.example")]].concat()).contains("PUBLIC_URL")
        );
    }

    #[test]
    fn production_refuses_what_development_takes_for_granted() {
        let refused = refusals(&[("JUMUN_ENV", "production")]);
        for name in ["DATABASE_URL", "PUBLIC_URL", "TOSS_BASE_URL", "TOSS_CLIENT_KEY", "TOSS_SECRET_KEY"] {
            assert!(refused.contains(name), "{name} in {refused}");
        }
        assert!(!refused.contains(SANDBOX_SECRET_KEY));
    }
}
