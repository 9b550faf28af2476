//! Programs that log in to the database as themselves, each a member of no role but its own.

use std::time::Duration;

use database::Role;
use harness::{Addresses, OpenShop, Role as Part, ServiceProcess};
use messaging::topology::Worker;

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// Logins that end with the test: they belong to the server, not to its database.
struct Logins<'a> {
    shop: &'a OpenShop,
    made: Vec<String>,
}

impl Logins<'_> {
    /// What a program is told that logs in as a member of this role alone.
    async fn addresses(&mut self, role: Role) -> Addresses {
        let name = format!("{}_of_test_{}", role.name(), std::process::id());
        self.shop.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'pw' IN ROLE {}", role.name())).await;
        let addresses = self.shop.addresses.clone();
        let (_, server) = addresses.database.split_once('@').unwrap();
        let database = format!("postgres://{name}:pw@{server}");
        self.made.push(name);
        Addresses { database, ..addresses }
    }

    async fn forget(self) {
        for name in &self.made {
            self.shop.execute(&format!("DROP ROLE {name}")).await;
        }
    }
}

#[tokio::test]
async fn a_purchase_needs_of_each_program_no_more_than_its_own_role() {
    let shop = OpenShop::open().await;
    let mut logins = Logins { shop: &shop, made: Vec::new() };
    let mut workers = Vec::new();
    for (worker, role) in
        [(Worker::Stock, Role::Stock), (Worker::Push, Role::Push), (Worker::DeadLetter, Role::DeadLetter)]
    {
        let addresses = logins.addresses(role).await;
        workers.push(ServiceProcess::start_told(&shop, &addresses, SERVICE, Part::Worker(worker), None).await);
    }
    let [stock, push, letters] = [0, 1, 2].map(|n: usize| workers[n].url.clone());
    let addresses = Addresses { workers: [stock, push, letters], ..logins.addresses(Role::Checkout).await };
    let storefront = ServiceProcess::start_told(&shop, &addresses, SERVICE, Part::Storefront, None).await;

    let buyer = storefront.visitor(&shop).await;
    buyer.register_device("phone").await;
    buyer.buy(&[("mug", 2)]).await;
    shop.eventually("the stock to fall", async || shop.stock("mug").await == (98, 0)).await;
    shop.eventually("the phone to buzz", async || shop.sandbox.notifications("phone").len() == 1).await;
    // Of no known event: parked by whoever gets it.
    let parked = "SELECT count(*) FROM dead_letters";
    shop.execute(
        "INSERT INTO deliveries (id, subscription, dedup_key, data, attributes)
        SELECT gen_random_uuid(), name, 'nobody', '', jsonb_build_object('ce-id', gen_random_uuid()::text)
        FROM unnest(ARRAY['checkout-stock', 'checkout-push', 'dead-letter-sub']) AS name",
    )
    .await;
    shop.eventually("three letters to be parked", async || shop.count(parked).await == 3).await;
    shop.execute("DELETE FROM dead_letters").await;
    let moving = "SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) + (SELECT count(*) FROM deliveries)";
    shop.eventually("the engine to note it", async || shop.count(moving).await == 0).await;
    shop.verify().await;

    drop((storefront, workers));
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'jumun%' AND datname = current_database()";
    shop.eventually("the programs to log out", async || shop.count(gone).await == 0).await;
    logins.forget().await;
}

#[tokio::test]
async fn a_program_whose_login_is_not_of_its_role_does_not_start() {
    let shop = OpenShop::open().await;
    let mut logins = Logins { shop: &shop, made: Vec::new() };
    let addresses = logins.addresses(Role::DeadLetter).await;
    let stranger = Part::Worker(Worker::Stock);
    let mut process =
        ServiceProcess::spawn(SERVICE.as_ref(), &addresses, stranger, "http://127.0.0.1:0", None).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), process.end()).await;
    assert_eq!(ended.expect("it gives up").unwrap(), None, "by itself");
    logins.forget().await;
}

/// A role that has lost a right stops its service: it acts under that role and under no other.
#[tokio::test]
async fn without_its_rights_a_service_has_no_effect() {
    let shop = OpenShop::open().await;
    shop.execute("REVOKE INSERT ON inbox FROM jumun_stock").await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    buyer.buy(&[("mug", 1)]).await;
    shop.deliver_in_vain("checkout-stock").await;
    shop.eventually("the phone to buzz", async || {
        shop.deliver_round().await;
        shop.sandbox.notifications("phone").len() == 1
    })
    .await;
    assert_eq!(shop.stock("mug").await, (100, 1), "paid for and not sold");
    shop.execute("GRANT INSERT ON inbox TO jumun_stock").await;
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (99, 0));
    shop.verify().await;
}
