//! Releases side by side: a schema that is newer than a program, and one that is older.

use std::path::PathBuf;
use std::process::Output;
use std::sync::LazyLock;
use std::{env, fs, process};

use database::MIGRATOR;
use harness::{Addresses, OpenShop, Role, ServiceProcess};
use messaging::topology::Worker;
use sqlx::migrate::Migrator;
use tokio::process::Command;

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// The schema of the release before the last migration.
static OLD: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations: Vec<_> = MIGRATOR.iter().cloned().collect();
    migrations.pop();
    Migrator::with_migrations(migrations)
});

/// What a later release might do to the schema while this one is open.
const EXPANDED: [&str; 5] = [
    "ALTER TABLE orders ADD COLUMN gift_note text",
    "ALTER TABLE payments ADD COLUMN installments smallint NOT NULL DEFAULT 0",
    "ALTER TABLE outbox ADD COLUMN priority smallint NOT NULL DEFAULT 0",
    "CREATE TABLE coupons (code text PRIMARY KEY, order_id uuid REFERENCES orders (id))",
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (29991231000000, 'coupons', true, '', 0)",
];

async fn sells(shop: &OpenShop, storefront: &str, phone: &str) {
    let buyer = shop.nobody().at(storefront);
    buyer.page("/").await;
    buyer.register_device(phone).await;
    let order = buyer.buy(&[("mug", 1)]).await;
    let refund = shop.operator().at(storefront).refund(&order.id, serde_json::json!({"restock": true})).await;
    refund.expect(201);
    shop.eventually("both notifications", async || {
        shop.deliver_round().await;
        shop.sandbox.notifications(phone).len() == 2
    })
    .await;
}

#[tokio::test]
async fn a_later_schema_is_worked_with_by_who_was_there_and_by_who_comes() {
    let shop = OpenShop::open().await;
    sells(&shop, &shop.url, "before").await; // on connections that go on
    for change in EXPANDED {
        shop.execute(change).await;
    }
    sells(&shop, &shop.url, "after").await;

    let mut addresses = shop.addresses.clone();
    let mut workers = Vec::new();
    for worker in Worker::ALL {
        workers.push(ServiceProcess::start(&shop, SERVICE, Role::Worker(worker), None).await);
    }
    addresses.workers = [0, 1, 2].map(|n: usize| workers[n].url.clone());
    let storefront = ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Storefront, None).await;
    sells(&shop, &storefront.url, "new-process").await;
    let (code, said) = command(&addresses, "migrate").await;
    assert_eq!(code, Some(0), "there is nothing to be done: {said}");
    drop(storefront);
    shop.execute("UPDATE deliveries SET due_at = now()").await;
    shop.execute("UPDATE outbox SET claimed_until = NULL").await;
    shop.deliver_events().await;
    shop.verify().await;
}

#[tokio::test]
async fn an_older_schema_is_refused_until_what_is_said_is_done() {
    let shop = OpenShop::open().await; // for its providers alone
    let (_, database) = postgres::fresh_url(&OLD).await;
    let addresses = Addresses { database, log: Some(log()), ..shop.addresses.clone() };
    for role in [Role::Loops, Role::Worker(Worker::Stock), Role::Worker(Worker::Push), Role::Worker(Worker::DeadLetter)]
    {
        let mut process =
            ServiceProcess::spawn(SERVICE.as_ref(), &addresses, role, "http://127.0.0.1:0", None).unwrap();
        assert_eq!(process.end().await.unwrap(), None, "{role:?} ends by itself");
        let said = fs::read_to_string(log()).unwrap();
        assert!(said.contains("run `jumun migrate` of this release first"), "{role:?}: {said}");
        fs::remove_file(log()).unwrap();
    }
    let (code, said) = command(&addresses, "verify").await;
    assert!(code == Some(2) && said.contains("run `jumun migrate`"), "{said}");

    let (code, said) = command(&addresses, "migrate").await;
    assert_eq!(code, Some(0), "{said}");
    let worker = ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Worker(Worker::Stock), None).await;
    assert!(worker.listens().await);
    fs::remove_file(log()).unwrap();
}

fn log() -> PathBuf {
    env::temp_dir().join(format!("jumun-releases-{}.log", process::id()))
}

/// The command, on a database of the test's own choice.
async fn command(addresses: &Addresses, command: &str) -> (Option<i32>, String) {
    let mut environment = addresses.storefront("http://127.0.0.1:1");
    environment.extend([("ROLE", "jumun".to_owned()), ("JUMUN_DATA_DIR", "/nonexistent/jumun".to_owned())]);
    let output = Command::new(SERVICE).arg(command).env_clear().envs(environment).output();
    let Output { status, stdout, stderr } = output.await.unwrap();
    (status.code(), [stdout, stderr].map(|it| String::from_utf8(it).unwrap()).concat())
}
