//! A provider that takes its time, while a thousand buyers pay.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use harness::{Authenticated, Buyer, OpenShop, Placed, Role, ServiceProcess};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::Endpoint;
use tokio::time::sleep;

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

const CONFIRMS: usize = 1_000;

/// A storefront with ten connections to its database and room for a thousand browsers, which wait longer than the test
/// does. As many requests as ever may be in work.
const SMALL: &[(&str, &str)] =
    &[("CHECKOUT_DATABASE_CONNECTIONS", "10"), ("HTTP_CONNECTIONS", "4096"), ("CONFIRM_WAIT", "5m")];

/// A pool hands out no connection after three seconds, and Toss says nothing at all: whoever waits for either is later.
const SOON: Duration = Duration::from_millis(2_500);

/// An order of its own each time: for another address.
async fn authenticated(buyer: &Buyer, n: usize) -> Authenticated {
    let mut basket = buyer.basket(&[("poster", 1)]);
    basket["customerEmail"] = format!("{n}@shop.example").into();
    let order = Placed::from(buyer.post("/api/orders", &basket).await.expect(201));
    buyer.authenticate(&order).await
}

/// Comes again when too many come at once, as the answer says.
async fn confirmed(buyer: &Buyer, payment: &Authenticated) -> u16 {
    loop {
        match buyer.confirm(payment).await.status {
            503 => sleep(Duration::from_millis(50)).await,
            status => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_confirms_in_flight_keep_nobody_from_ordering() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap(); // both ends of each connection
    let shop = OpenShop::open_with(SMALL).await;
    let storefront = ServiceProcess::start(&shop, SERVICE, Role::Storefront, None).await;
    let buyers: Vec<_> = join_all((0..20).map(|_| storefront.visitor(&shop))).await;
    let payments: Vec<_> = stream::iter(0..CONFIRMS)
        .map(|n| {
            let buyer = buyers[n % buyers.len()].clone();
            async move { (buyer.clone(), authenticated(&buyer, n).await) }
        })
        .buffer_unordered(32)
        .collect()
        .await;

    shop.spoil(Endpoint::Confirm, "hang-after", u32::MAX);
    let confirms: Vec<_> = payments
        .into_iter()
        .map(|(buyer, payment)| tokio::spawn(async move { confirmed(&buyer, &payment).await }))
        .collect();
    let in_flight = "SELECT count(*) FROM payments WHERE status = 'confirming'";
    let all = i64::try_from(CONFIRMS).unwrap();
    shop.eventually("all confirms to be under way", async || shop.count(in_flight).await == all).await;
    shop.eventually("Toss to have been asked", async || shop.sandbox.totals().approved == 9_000 * all).await;

    let mut slowest = Duration::ZERO;
    for _ in 0..100 {
        let begun = Instant::now();
        let buyer = storefront.visitor(&shop).await;
        buyer.post("/api/orders", &buyer.basket(&[("mug", 1)])).await.expect(201);
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest of 100 new buyers had an order after {slowest:?}");
    assert!(slowest < SOON, "{slowest:?}");
    assert_eq!(shop.count(in_flight).await, all, "Toss says nothing yet");

    shop.sandbox.clear_faults();
    shop.sandbox.release_hanging_calls();
    shop.eventually("every order to be paid", async || {
        shop.reconcile().await;
        shop.count("SELECT count(*) FROM orders WHERE status = 'paid'").await == all
    })
    .await;
    for confirm in confirms {
        assert!(matches!(confirm.await.unwrap(), 200 | 202));
    }
    drop(storefront);
    shop.execute("UPDATE deliveries SET due_at = now()").await;
    shop.execute("UPDATE outbox SET claimed_until = NULL").await;
    shop.deliver_events().await;
    assert_eq!(shop.stock("poster").await, (0, 0));
    shop.verify().await;
}
