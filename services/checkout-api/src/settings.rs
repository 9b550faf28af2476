use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use messaging::engine::Engine;
use messaging::google::Access;
use messaging::push::PushKey;
use secrecy::{ExposeSecret as _, SecretString};
use service::{Env, Limits, Mode, Networks, Rate, keeps_secrets};

use crate::members::ProviderSettings;
use crate::web_push::WebPush;

/// Toss's public documentation keys: payments made with them are nobody's, so they suit the sandbox.
const SANDBOX_CLIENT_KEY: &str = "test_gck_docs_Ovk5rk1EwkEbP0W43n07xlzm";
const SANDBOX_SECRET_KEY: &str = "test_gsk_docs_OaPz8L5KdmQXkzRz3y47BMw6";

/// Twice what a statement may last: what was published that long ago is there to be seen.
const LEAST_WATCHDOG_AGE: Duration = Duration::from_secs(10);

/// Where Toss really is.
const TOSS_API: &str = "https://api.tosspayments.com";
/// Where its half of the browser comes from.
const TOSS_SCRIPTS: &str = "https://js.tosspayments.com/";

/// What the checkout API is told by its environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `DATABASE_URL`
    pub database_url: SecretString,
    /// `CHECKOUT_DATABASE_CONNECTIONS`
    pub database_connections: u32,
    /// `CHECKOUT_BIND`: address and port of the storefront and its API.
    pub bind: SocketAddr,
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
    /// `TOSS_SECURITY_KEY`: what Toss signs a few webhooks with.
    pub toss_security_key: Option<SecretString>,
    /// `TOSS_WEBHOOK_SECRET`: what a relay of ours seals webhooks with. Toss has no such thing.
    pub toss_webhook_secret: Option<SecretString>,
    /// `TOSS_WEBHOOK_SOURCES`: where webhooks may come from.
    pub toss_webhook_sources: Option<Networks>,
    /// `ADMIN_TOKEN`: bearer token of the refund API; without it there is no such route.
    pub admin_token: Option<SecretString>,
    /// `CHECKOUT_SERVE`: answer HTTP.
    pub serve: bool,
    /// `CHECKOUT_LOOPS`: run the background loops in this process.
    pub loops: bool,
    /// `JUMUN_MESSAGING`, `PUBSUB_…`: where the relay publishes to.
    pub engine: Engine,
    /// `STOCK_WORKER_URL`, `PUSH_WORKER_URL`, `DEAD_LETTER_WORKER_URL`: where the embedded broker pushes to.
    pub workers: WorkerUrls,
    /// `PUSH_KEY`: what the embedded broker signs its pushes with.
    pub push_key: Option<PushKey>,
    /// `CONFIRM_WAIT`: how long a buyer waits for the provider before being told "we are checking".
    pub confirm_wait: Duration,
    /// `WATCHDOG_AGE`: an event that a consumer has not acted upon after this time is published again.
    pub watchdog_age: Duration,
    /// `PROVIDER_PAUSE`: how long a provider that is down is left alone between two tries.
    pub provider_pause: Duration,
    /// `HTTP_…`
    pub limits: Limits,
    /// `OIDC_…`: who vouches for members; without it there are only guests.
    pub provider: Option<ProviderSettings>,
    /// `FIREBASE_…`: how browsers register for notifications; without it they are not asked.
    pub web_push: Option<WebPush>,
    /// `STOCK_STREAMS`: pages that may follow the stock at once.
    pub stock_streams: usize,
    /// `RATE_…`
    pub rates: Rates,
    /// `OPEN_ORDERS_PER_BUYER`: a buyer who has so many unpaid orders pays or cancels one before making another.
    pub open_orders: u32,
}

/// How often one buyer may do what.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// `RATE_CREATE`: orders.
    pub create: Rate,
    /// `RATE_CONFIRM`: confirms, and returns from the payment window.
    pub confirm: Rate,
    /// `RATE_POLL`: questions about an order, first visits, and changes that are neither of the above.
    pub poll: Rate,
    /// `RATE_WEBHOOK`: by address alone.
    pub webhook: Rate,
    /// `RATE_ADMIN`: by address alone.
    pub admin: Rate,
    /// `RATE_ADDRESS_FACTOR`: so many times as often for all buyers of one address together.
    pub address_factor: u32,
}

impl Rates {
    fn read(env: &mut Env) -> Self {
        let minute = |times| Rate::new(times, Duration::from_mins(1));
        Self {
            create: env.or("RATE_CREATE", minute(10), "orders that one buyer may place"),
            confirm: env.or(
                "RATE_CONFIRM",
                minute(10),
                "payments that one buyer may confirm",
            ),
            poll: env.or("RATE_POLL", minute(60), "other requests of one buyer that read orders or change something"),
            webhook: env.or("RATE_WEBHOOK", minute(600), "webhooks from one address; from all together eleven times as many"),
            admin: env.or("RATE_ADMIN", minute(60), "requests to the admin API from one address"),
            address_factor: env.within(
                "RATE_ADDRESS_FACTOR",
                20,
                1..=1_000_000,
                "one address may make this many times a single buyer's requests: mobile carriers put many buyers behind one address",
            ),
        }
    }
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

impl WorkerUrls {
    fn read(env: &mut Env) -> Self {
        Self {
            stock: env.url("STOCK_WORKER_URL", "http://127.0.0.1:8081", "where the broker reaches the stock worker"),
            push: env.url("PUSH_WORKER_URL", "http://127.0.0.1:8082", "where the broker reaches the push worker"),
            dead_letter: env.url(
                "DEAD_LETTER_WORKER_URL",
                "http://127.0.0.1:8083",
                "where the broker reaches the dead-letter worker",
            ),
        }
    }
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
            database_connections: env.within(
                "CHECKOUT_DATABASE_CONNECTIONS",
                12,
                8..=1_000, // seven kinds of batches may hold one each, and somebody else wants one too
                "database connections of the checkout API",
            ),
            bind: env.or(
                "CHECKOUT_BIND",
                (Ipv4Addr::LOCALHOST, 8080).into(),
                "address and port that the storefront and its API listen on",
            ),
            public_url: env.url(
                "PUBLIC_URL",
                "http://localhost:8080",
                "the shop's address as buyers see it, such as https://shop.example",
            ),
            toss_base_url: env.url("TOSS_BASE_URL", "http://127.0.0.1:8090/toss", "Toss Payments' API, or the sandbox"),
            toss_sdk_url: env.url(
                "TOSS_SDK_URL",
                "http://127.0.0.1:8090/toss/v2/standard",
                "script of the payment widget; Toss's is https://js.tosspayments.com/v2/standard",
            ),
            toss_client_key: env.required_in_production(
                "TOSS_CLIENT_KEY",
                SANDBOX_CLIENT_KEY.to_owned(),
                "Toss client key; browsers see it",
            ),
            toss_secret_key: env.secret("TOSS_SECRET_KEY", SANDBOX_SECRET_KEY, "Toss secret key of the same pair"),
            toss_security_key: env.optional_secret(
                "TOSS_SECURITY_KEY",
                "Toss security key, with which Toss signs the webhooks payout.changed and seller.changed",
            ),
            toss_webhook_secret: env.optional_secret(
                "TOSS_WEBHOOK_SECRET",
                "refuse webhooks without a matching TossPayments-Signature header (hex HMAC-SHA256 of the body); for a relay of your own, since Toss sends none",
            ),
            toss_webhook_sources: env.optional(
                "TOSS_WEBHOOK_SOURCES",
                "take webhooks from these addresses only, such as those that Toss publishes; when unset from anywhere, which is safe because they are only hints",
            ),
            admin_token: env.optional_secret(
                "ADMIN_TOKEN",
                "bearer token of the refund API, at least 24 characters; the API is off without it",
            ),
            serve: env.or("CHECKOUT_SERVE", true, "answer HTTP in this process"),
            loops: env.or(
                "CHECKOUT_LOOPS",
                true,
                "run the background loops in this process: relay, broker, watchdog, reconciler, webhooks, expiry, statement, pruning",
            ),
            engine: Engine::read(env),
            workers: WorkerUrls::read(env),
            push_key: PushKey::read(env),
            confirm_wait: env.or(
                "CONFIRM_WAIT",
                Duration::from_secs(20),
                "how long a buyer waits for Toss before the page says that the payment is being checked",
            ),
            watchdog_age: env.or(
                "WATCHDOG_AGE",
                Duration::from_mins(10),
                "an event that a consumer has not acted upon after this time is published again",
            ),
            provider_pause: env.or(
                "PROVIDER_PAUSE",
                Duration::from_secs(5),
                "pause between two calls to Toss while it does not answer",
            ),
            limits: Limits::read(env),
            provider: ProviderSettings::read(env),
            web_push: WebPush::read(env),
            stock_streams: env.within(
                "STOCK_STREAMS",
                5_000,
                0..=1_000_000,
                "pages that may receive live stock at once, per process and in addition to HTTP_CONNECTIONS; further pages keep the numbers they were opened with",
            ),
            rates: Rates::read(env),
            open_orders: env.within(
                "OPEN_ORDERS_PER_BUYER",
                20,
                1..=1_000_000,
                "unpaid orders that one buyer may have at a time",
            ),
        };
        settings.refuse_unsafe(env);
        settings.refuse_half_live(env);
        settings.refuse_unsigned(env);
        settings
    }

    /// Whether it is Toss that is asked. A sandbox's memory ends with its process, so it cannot tell of yesterday.
    pub fn is_toss_real(&self) -> bool {
        self.toss_base_url == TOSS_API
    }

    /// Whether it is real money that it takes.
    pub fn is_live(&self) -> bool {
        self.toss_secret_key.expose_secret().starts_with("live_")
    }

    /// Workers that matter take no push without a token.
    fn refuse_unsigned(&self, env: &mut Env) {
        if !self.is_live() && env.mode() == Mode::Development {
            return;
        }
        match &self.engine {
            Engine::Embedded if self.loops && self.push_key.is_none() => {
                env.refuse("PUSH_KEY", "required with the embedded engine in production or with live keys");
            }
            Engine::Google(Access { emulator: Some(_), .. }) if self.is_live() => {
                env.refuse("PUBSUB_EMULATOR_HOST", "not with live keys: the emulator forgets everything when it stops");
            }
            Engine::Embedded | Engine::Google(_) => {}
        }
    }

    fn refuse_unsafe(&self, env: &mut Env) {
        if self.watchdog_age < LEAST_WATCHDOG_AGE {
            env.refuse("WATCHDOG_AGE", "at least 10s: with less it would miss events whose transaction is still open");
        }
        if !keeps_secrets(&self.toss_base_url) {
            env.refuse("TOSS_BASE_URL", "must be https or on this machine: the secret key is sent there");
        }
        if self.admin_token.as_ref().is_some_and(|token| token.expose_secret().len() < 24) {
            env.refuse("ADMIN_TOKEN", "must have at least 24 characters");
        }
    }

    /// A live key at a sandbox, or a test key at the till: both end in tears that nobody sees coming. So production is where
    /// real money is taken, and nowhere else is: there nothing is made up for whoever forgot to say it.
    fn refuse_half_live(&self, env: &mut Env) {
        let live = self.is_live();
        if live != self.toss_client_key.starts_with("live_") {
            env.refuse("TOSS_CLIENT_KEY", "client key and secret key must both be live or both be test keys");
        }
        if live && !self.is_toss_real() {
            env.refuse("TOSS_BASE_URL", format_args!("with live keys it must be {TOSS_API}"));
        }
        if live && !self.toss_sdk_url.starts_with(TOSS_SCRIPTS) {
            env.refuse("TOSS_SDK_URL", format_args!("with live keys it must start with {TOSS_SCRIPTS}"));
        }
        if live && !self.public_url.starts_with("https://") {
            env.refuse("PUBLIC_URL", "must be https with live keys");
        }
        match env.mode() {
            Mode::Production if !live => {
                env.refuse("TOSS_SECRET_KEY", "must be a live key in production: a test key takes no money");
            }
            Mode::Development if live => env.refuse("JUMUN_ENV", "must be production with live keys"),
            Mode::Production | Mode::Development => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shop that takes real money is told at least, but for the key of its pushes.
    const LIVE: [(&str, &str); 10] = [
        ("JUMUN_ENV", "production"),
        ("DATABASE_URL", "postgres://db/jumun"),
        ("TOSS_SECRET_KEY", "live_gsk_x"),
        ("TOSS_CLIENT_KEY", "live_gck_x"),
        ("TOSS_BASE_URL", TOSS_API),
        ("TOSS_SDK_URL", "https://js.tosspayments.com/v2/standard"),
        ("PUBLIC_URL", "https://shop.example"),
        ("STOCK_WORKER_URL", "http://127.0.0.1:8081"),
        ("PUSH_WORKER_URL", "http://127.0.0.1:8082"),
        ("DEAD_LETTER_WORKER_URL", "http://127.0.0.1:8083"),
    ];

    fn refusals(pairs: &[(&str, &str)]) -> String {
        Env::refusals_of(pairs, Settings::read)
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
    fn what_would_end_in_a_panic_or_a_leak_is_refused_by_name() {
        for (name, value, why) in [
            ("CHECKOUT_DATABASE_CONNECTIONS", "0", "expected a whole number from 8 to 1000"),
            ("CHECKOUT_DATABASE_CONNECTIONS", "7", "expected a whole number from 8 to 1000"),
            ("OPEN_ORDERS_PER_BUYER", "0", "expected a whole number from 1 to 1000000"),
            ("HTTP_IN_FLIGHT", "0", "expected a whole number from 2 to 1000000"),
            ("HTTP_CONNECTIONS", "0", "expected a whole number from 1 to 1000000"),
            ("RATE_ADDRESS_FACTOR", "0", "expected a whole number from 1 to 1000000"),
            ("TOSS_BASE_URL", "http://toss.example", "must be https or on this machine"),
        ] {
            assert!(refusals(&[(name, value)]).contains(&format!("{name}: {why}")), "{name}={value}");
        }
    }

    #[test]
    fn a_half_live_set_up_is_refused() {
        let keys = [("TOSS_SECRET_KEY", "live_gsk_x"), ("TOSS_CLIENT_KEY", "live_gck_x")];
        for name in ["TOSS_BASE_URL", "TOSS_SDK_URL", "JUMUN_ENV"] {
            assert!(refusals(&keys).contains(name), "{name}");
        }
        assert!(refusals(&keys[..1]).contains("TOSS_CLIENT_KEY"));
        let whole = [&LIVE[..], &[("PUSH_KEY", "a key that is long enough to sign with")]].concat();
        assert_eq!(refusals(&whole), "");
        let with = |name, value| refusals(&[&whole[..], &[(name, value)]].concat());
        assert!(with("PUBLIC_URL", "http://shop.example").contains("PUBLIC_URL"));
        assert!(with("JUMUN_ENV", "development").contains("JUMUN_ENV: must be production"));
        let play =
            refusals(&[&whole[..], &[("TOSS_SECRET_KEY", "test_gsk_x"), ("TOSS_CLIENT_KEY", "test_gck_x")]].concat());
        assert!(play.contains("TOSS_SECRET_KEY: must be a live key"), "{play}");
    }

    #[test]
    fn what_is_not_for_development_signs_its_pushes() {
        let live = |more: &[(&'static str, &'static str)]| refusals(&[&LIVE[..], more].concat());
        assert!(live(&[]).contains("PUSH_KEY: required"));
        assert!(refusals(&[("PUSH_KEY", "short")]).contains("PUSH_KEY: must have at least"));
        assert_eq!(live(&[("CHECKOUT_LOOPS", "false")]), "", "whoever runs no broker signs nothing");
        let pubsub = [("JUMUN_MESSAGING", "pubsub"), ("PUBSUB_PROJECT_ID", "shop")];
        assert_eq!(live(&pubsub), "");
        let emulated = [pubsub.as_slice(), &[("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")]].concat();
        assert!(live(&emulated).contains("PUBSUB_EMULATOR_HOST"));
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
