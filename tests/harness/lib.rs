//! The test harness: a whole shop over real HTTP on a database of its own, whose queues the test drives.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness that cannot go on panics: that is its report"
)]

pub mod books;
mod buyer;
mod cpu;
mod delivery;
mod emulator;
mod google;
mod guarded;
pub mod mortal;
mod operator;
mod process;
mod push;
mod signing_relay;
pub mod tokens;
mod webhooks;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::TimeDelta;
use database::PoolSettings;
use database::products::NewProduct;
use domain::{OrderId, PaymentId, ProductId, Won};
use fcm::{Fcm, FcmSettings, ServiceAccount};
use messaging::embedded::PROJECT;
use messaging::push::PushAuth;
use messaging::topology::{Policy, Worker};
use push_worker::{Backoff, Sending};
use sandbox::{Endpoint, FaultOrder, Sandbox};
use service::{Env, Limits, layers, serve};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use buyer::{Answer, Authenticated, Buyer, Placed};
pub use cpu::cpu_time;
pub use emulator::{Emulator, NoEmulator};
pub use google::Google;
pub use guarded::Guarded;
pub use operator::Operator;
pub use process::{Addresses, Role, ServiceProcess, jumun};
pub use push::Push;
pub use signing_relay::{Attempt, SigningRelay, Trouble};

/// The products of a test shop: name, price in won, pieces.
pub const CATALOGUE: [(&str, i64, i32); 4] =
    [("mug", 15_000, 100), ("shirt", 39_000, 50), ("poster", 9_000, 1_000), ("rare", 120_000, 5)];

/// What the shop's people open its admin API with.
pub const ADMIN_TOKEN: &str = "a token for the people of the shop";

/// A shop in this process: API, workers and sandbox each on a port of its own, and every loop standing still until the
/// test takes a step.
pub struct Shop {
    /// Its database, as the owner of it all: what tests look at and spoil.
    pub db: PgPool,
    /// The providers, and their own word on what happened.
    pub sandbox: Sandbox,
    /// Where its parts are.
    pub addresses: Addresses,
    /// Where the API listens.
    pub url: String,
    /// The API's parts, whose loops the test drives.
    pub api: checkout_api::Parts,
    workers: HashMap<Worker, Running>,
    google: Option<Google>,
    /// Sends planned notifications.
    pub sender: push_worker::Sender,
    /// Toss, as the shop reaches it.
    pub gateway: Arc<toss::Toss>,
    products: Arc<HashMap<&'static str, ProductId>>,
    stop: DropGuard,
}

/// A handle to a [`Shop`].
#[derive(Clone)]
pub struct OpenShop(Arc<Shop>);

impl Deref for OpenShop {
    type Target = Shop;
    fn deref(&self) -> &Shop {
        &self.0
    }
}

/// Patience that a test can exhaust. The backoff is longer than a round of the broker on a busy machine, so that one round
/// does not use up all attempts.
const IMPATIENT: Policy = Policy {
    ack_deadline: Duration::from_secs(5),
    min_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_millis(100),
    max_attempts: 5,
    retention: Duration::from_hours(1),
};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(1);

impl OpenShop {
    /// Opens a shop with the usual [`CATALOGUE`], on the embedded engine.
    pub async fn open() -> Self {
        Self::open_on(None, &[]).await
    }

    /// Opens a shop whose storefront is also told this; `{sandbox}` stands for the sandbox's address.
    pub async fn open_with(own: &'static [(&'static str, &'static str)]) -> Self {
        Self::open_on(None, own).await
    }

    /// Opens a shop with the usual [`CATALOGUE`], on Google's emulator.
    pub async fn open_at_google(emulator: Arc<Emulator>) -> Self {
        Self::open_on(Some(emulator), &[]).await
    }

    async fn open_on(emulator: Option<Arc<Emulator>>, own: &'static [(&'static str, &'static str)]) -> Self {
        let (db, database_url) = postgres::fresh_url(&database::MIGRATOR).await;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let (sandbox_listener, sandbox_url) = listen().await;
        let sandbox = Sandbox::new(sandbox::Settings { public_url: sandbox_url.clone(), ..Default::default() });
        // As it is served for real: its pages would not work under the policy that our own services put on all answers.
        let sandbox_serves = sandbox::router(sandbox.clone());
        let serving =
            axum::serve(sandbox_listener, sandbox_serves).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(serving.into_future());

        let google = match emulator {
            Some(emulator) => Some(Google::start(emulator, &stop).await),
            None => None,
        };
        let auth = || google.as_ref().map_or_else(|| PushAuth::loopback(PROJECT), Google::auth);

        let pool = async |role| as_role(&database_url, role).await;
        let stock = stock_worker::App::new(pool(database::Role::Stock).await, auth(), &tasks);
        let stock = Running::start(stock_worker::router(stock), &stop).await;

        let account = ServiceAccount::from_json(&sandbox.service_account_json()).expect("a service account");
        let settings = FcmSettings { base_url: format!("{sandbox_url}/fcm"), ..FcmSettings::new(account) };
        let fcm = Arc::new(Fcm::new(settings).expect("an FCM client"));
        let pushing = pool(database::Role::Push).await;
        let push = push_worker::App::new(pushing.clone(), auth(), None, &tasks);
        let sender = push_worker::Sender::new(pushing, fcm, sending(), &tasks);
        let push = Running::start(push_worker::router(push), &stop).await;

        let letters = dead_letter_worker::App::new(pool(database::Role::DeadLetter).await, auth());
        let letters = Running::start(dead_letter_worker::router(letters), &stop).await;

        let (listener, url) = listen().await;
        let workers = [(Worker::Stock, stock), (Worker::Push, push), (Worker::DeadLetter, letters)];
        if let Some(google) = &google {
            google.relay.connect(workers.iter().map(|(worker, at)| (worker.name(), at.url.clone())).collect());
            google.set_up().await;
        }
        let told: Vec<_> = own.iter().map(|(name, value)| (*name, value.replace("{sandbox}", &sandbox_url))).collect();
        let addresses = Addresses {
            database: database_url.clone(),
            sandbox: sandbox_url,
            fcm_account: sandbox.service_account_json(),
            workers: workers.each_ref().map(|(_, at)| at.url.clone()),
            log: None,
            engine: google.iter().flat_map(Google::settings).chain(told).collect(),
        };
        let mut env = Env::from_pairs(addresses.storefront(&url));
        let settings = checkout_api::Settings::read(&mut env);
        env.finish().expect("good settings");
        let gateway = Arc::new(
            toss::Toss::new(toss::TossSettings {
                base_url: settings.toss_base_url.clone(),
                confirm_timeout: Duration::from_millis(800), // a provider that hangs must not hang the tests
                query_timeout: Duration::from_millis(800),
                ..toss::TossSettings::new(settings.toss_secret_key.clone())
            })
            .expect("a gateway"),
        );
        let broker = messaging::embedded::BrokerSettings { policy: Some(IMPATIENT), ..settings.broker() };
        let selling = pool(database::Role::Checkout).await;
        let api = checkout_api::Parts::new(&settings, &selling, Arc::clone(&gateway) as _, &broker, &tasks).await;
        let api = api.expect("a storefront");
        spawn(listener, checkout_api::router(api.app.clone()), &stop);

        let products = Arc::new(stock_up(&db, &CATALOGUE).await);
        Self(Arc::new(Shop {
            db,
            sandbox,
            addresses,
            url,
            api,
            workers: HashMap::from(workers),
            google,
            sender,
            gateway,
            products,
            stop: stop.drop_guard(),
        }))
    }

    /// A client that has never been here and carries no cookie.
    pub fn nobody(&self) -> Buyer {
        Buyer::new(&self.url, self.sandbox_url(), Arc::clone(&self.products))
    }

    /// A buyer who has just opened the shop's first page.
    pub async fn visitor(&self) -> Buyer {
        let buyer = self.nobody();
        buyer.page("/").await;
        buyer
    }
}

impl Shop {
    /// Where the sandbox listens.
    pub fn sandbox_url(&self) -> &str {
        &self.addresses.sandbox
    }

    /// What it has on Google's emulator, if it is there.
    pub fn google(&self) -> Option<&Google> {
        self.google.as_ref()
    }

    /// The project in its subscriptions' full names.
    pub fn project(&self) -> &str {
        self.google.as_ref().map_or(PROJECT, Google::project)
    }

    /// The database, as a program may use it.
    pub async fn acting_as(&self, role: database::Role) -> PgPool {
        as_role(&self.addresses.database, role).await
    }

    /// Where a worker listens.
    pub fn worker_url(&self, worker: Worker) -> &str {
        &self.workers[&worker].url
    }

    /// Has the storefront listen for what is left, which pages are told.
    pub async fn follow_stock(&self) {
        let products = self.product("mug");
        tokio::spawn(self.api.stock_feed.clone().run(self.stop.token().child_token()));
        let path = format!("{}/api/stock/events?products={products}", self.url);
        let listens = async || reqwest::get(&path).await.is_ok_and(|answer| answer.status().is_success());
        self.eventually("the storefront to listen", listens).await;
    }

    /// Stops a worker: nobody answers at its address.
    pub async fn worker_down(&self, worker: Worker) {
        let worker = &self.workers[&worker];
        worker.serving.lock().await.stop.cancel();
        let address = worker.url.trim_start_matches("http://");
        self.eventually("the worker to go down", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    }

    /// Starts a stopped worker again, at the same address.
    pub async fn worker_up(&self, worker: Worker) {
        let worker = &self.workers[&worker];
        let mut serving = worker.serving.lock().await;
        let listener = TcpListener::bind(worker.url.trim_start_matches("http://")).await.expect("the same port");
        let stop = serving.closing.child_token();
        spawn(listener, worker.router.clone(), &stop);
        serving.stop = stop;
    }

    /// The id of a product of the catalogue.
    pub fn product(&self, name: &str) -> ProductId {
        self.products[name]
    }

    /// What FCM answers for a device, step by step, the last one for ever.
    pub fn script(&self, token: &str, steps: &[&str]) {
        self.sandbox.fcm_script(token, steps.iter().map(|step| step.parse().unwrap()).collect());
    }

    /// Spoils the next `times` calls of a kind to the provider; see the sandbox's `faults`.
    pub fn spoil(&self, endpoint: Endpoint, fault: &str, times: u32) {
        self.sandbox.fault(FaultOrder { endpoint, fault: fault.parse().unwrap(), order_id: None, times });
    }

    /// Has the provider asked about every open payment and refund, as the reconciler would have by now.
    pub async fn reconcile(&self) {
        self.execute("UPDATE payments SET next_check_at = now() WHERE next_check_at IS NOT NULL").await;
        self.execute("UPDATE refunds SET next_check_at = now() WHERE next_check_at IS NOT NULL").await;
        while self.api.reconciler.step().await.expect("the reconciler") > 0 {}
    }

    /// Lets time pass, for the provider and for what the database remembers.
    pub async fn wait(&self, time: TimeDelta) {
        self.sandbox.advance_clock(time);
        let seconds = time.num_seconds();
        for change in [
            format!(
                "UPDATE payments SET asked_at = asked_at - make_interval(secs => {seconds}),
                    deposit_due_at = deposit_due_at - make_interval(secs => {seconds})"
            ),
            format!(
                "UPDATE webhook_inbox SET received_at = received_at - make_interval(secs => {seconds}),
                    asked_at = asked_at - make_interval(secs => {seconds}), due_at = due_at - make_interval(secs => {seconds})"
            ),
            format!("UPDATE orders SET expires_at = expires_at - make_interval(secs => {seconds})"),
            format!("UPDATE push_attempts SET due_at = due_at - make_interval(secs => {seconds})"),
            format!(
                "UPDATE outbox SET published_at = published_at - make_interval(secs => {seconds}),
                    look_at = look_at - make_interval(secs => {seconds})"
            ),
            format!("UPDATE watchdog SET looked_until = looked_until - make_interval(secs => {seconds})"),
        ] {
            self.execute(&change).await;
        }
    }

    /// Insists that every invariant holds, also those of a shop at rest, and that the provider's book agrees.
    pub async fn verify(&self) {
        let books = self.acting_as(database::Role::Checker).await;
        let mut violations = books::violations(&books, &self.sandbox, self.gateway.as_ref()).await.expect("the books");
        let taken =
            || self.sandbox.all_notifications().iter().map(|one| one.data["eventId"].parse().unwrap()).collect();
        let after = async || Ok::<Vec<_>, sqlx::Error>(taken());
        violations.extend(database::verify::audit_phones(&books, &taken(), None, after).await.expect("the phones"));
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// Looks again and again until something is so, and fails loudly when it does not come.
    pub async fn eventually(&self, what: &str, so: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !so().await {
            assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A number from the database.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&self.db).await.expect("a number")
    }

    /// Changes the database behind the shop's back.
    pub async fn execute(&self, sql: &str) {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.db).await.expect("a change");
    }

    /// One attempt to pay an order, counted from 1.
    pub async fn payment(&self, order: &str, attempt: i16) -> PaymentId {
        let order: OrderId = order.parse().expect("an order");
        let payment: Uuid = sqlx::query_scalar("SELECT id FROM payments WHERE order_id = $1 AND attempt = $2")
            .bind(order.uuid())
            .bind(attempt)
            .fetch_one(&self.db)
            .await
            .expect("a payment");
        payment.into()
    }

    /// Pieces of a product: on hand and reserved.
    pub async fn stock(&self, name: &str) -> (i32, i32) {
        sqlx::query_as("SELECT on_hand, reserved FROM stock WHERE product_id = $1")
            .bind(self.product(name).uuid())
            .fetch_one(&self.db)
            .await
            .expect("a product")
    }
}

fn sending() -> Sending {
    let backoff = Backoff { first: Duration::from_millis(1), ..Backoff::default() };
    let mut env = Env::from_pairs::<String, String>([]);
    Sending { backoff, ..push_worker::Settings::read(&mut env).sending }
}

/// A worker that a test can stop and start.
struct Running {
    url: String,
    router: Router,
    serving: tokio::sync::Mutex<Serving>,
}

struct Serving {
    closing: CancellationToken,
    stop: CancellationToken,
}

impl Running {
    async fn start(router: Router, closing: &CancellationToken) -> Self {
        let (listener, url) = listen().await;
        let stop = closing.child_token();
        spawn(listener, router.clone(), &stop);
        let serving = Serving { closing: closing.clone(), stop };
        Self { url, router, serving: tokio::sync::Mutex::new(serving) }
    }
}

/// The database, as a program may use it.
async fn as_role(url: &str, role: database::Role) -> PgPool {
    let settings =
        PoolSettings { url: url.into(), max_connections: 20, application_name: "test".to_owned(), role: Some(role) };
    database::connect(&settings).await.expect("the database")
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url)
}

fn spawn(listener: TcpListener, router: Router, stop: &CancellationToken) {
    let limits = Limits { in_flight: 1_024, ..Limits::default() };
    let router = layers::standard(router, &limits, &TaskTracker::new());
    tokio::spawn(serve::serve(listener, router, limits, stop.clone()));
}

/// Puts products on the shelf: name, price in won, pieces.
pub async fn stock_up(db: &PgPool, catalogue: &[(&'static str, i64, i32)]) -> HashMap<&'static str, ProductId> {
    let product = |(name, price, stock): &(&str, i64, i32)| NewProduct {
        id: ProductId::new(),
        name: (*name).to_owned(),
        name_en: (*name).to_owned(),
        price: Won::new(*price).expect("a price"),
        image_url: None,
        stock: *stock,
    };
    let products: Vec<_> = catalogue.iter().map(product).collect();
    database::products::add(db, &products).await.expect("a catalogue");
    catalogue.iter().zip(&products).map(|((name, ..), product)| (*name, product.id)).collect()
}
