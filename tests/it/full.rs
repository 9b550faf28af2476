//! Nowhere to write: a log that nobody reads, and a database whose disk is full.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, process};

use harness::{Addresses, OpenShop, Role, ServiceProcess};
use messaging::topology::Worker;
use rustix::process::Signal;

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

/// What fits into a pipe.
const PIPE: usize = 64 * 1024;

/// A pipe in the place of a log file, which we hold open at both ends and need not read.
fn pipe(name: &str) -> (PathBuf, File) {
    let path = env::temp_dir().join(format!("jumun-{name}-{}", process::id()));
    assert!(process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (path, file)
}

/// Says so much that any pipe is soon full.
const LOUD: &[(&str, &str)] = &[("RUST_LOG", "trace")];

#[tokio::test]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    let shop = OpenShop::open_with(LOUD).await;
    let (path, log) = pipe("log");
    let addresses = Addresses { log: Some(path.clone()), ..shop.addresses.clone() };
    let mut storefront = ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Storefront, None).await;
    let mut other = ServiceProcess::start_told(&shop, &addresses, SERVICE, Role::Worker(Worker::Stock), None).await;
    let buyer = storefront.visitor(&shop).await;
    for _ in 0..300 {
        let page = tokio::time::timeout(Duration::from_secs(10), buyer.get("/api/products")).await;
        assert_eq!(page.expect("it waits for somebody to read its log").status(), 200);
    }
    buyer.buy(&[("mug", 1)]).await;
    other.signal(Signal::TERM).unwrap();
    assert_eq!(other.end().await.unwrap(), None, "it ends although nobody reads its last words");

    // Somebody reads again: nothing was lost, and the last words are waited for.
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        lines.try_for_each(|line| say.send(line))
    });
    storefront.signal(Signal::TERM).unwrap();
    assert_eq!(storefront.end().await.unwrap(), None);
    let (mut bytes, mut answers) = (0, 0);
    tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let line = said.recv().await.unwrap();
            bytes += line.len();
            answers += usize::from(line.contains("Answered: 200"));
            if line.contains("checkout-api has stopped") {
                return;
            }
        }
    })
    .await
    .expect("its last words");
    assert!(bytes > 2 * PIPE && answers >= 300, "{bytes} bytes, {answers} answers");
    fs::remove_file(path).unwrap();
    shop.deliver_events().await;
    shop.verify().await;
}

/// What PostgreSQL says when the disk is full, at every write to a table. (No disk is filled here.)
async fn fill(shop: &OpenShop, table: &str) {
    shop.execute(
        "CREATE OR REPLACE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = 'disk_full';
        END $$",
    )
    .await;
    shop.execute(&format!("CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION no_space()"))
        .await;
}

async fn make_room(shop: &OpenShop, table: &str) {
    shop.execute(&format!("DROP TRIGGER full_disk ON {table}")).await;
}

#[tokio::test]
async fn a_full_disk_is_answered_503_and_nothing_is_lost() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    fill(&shop, "orders").await;
    buyer.post("/api/orders", &buyer.basket(&[("mug", 1)])).await.expect(503);
    assert!(buyer.page("/").await.contains("mug"), "what is there can be read");
    make_room(&shop, "orders").await;

    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    fill(&shop, "payments").await;
    buyer.confirm(&payment).await.expect(503);
    assert_eq!(shop.sandbox.confirm_calls(&order.id), 0, "who cannot write it down does not ask for money");
    make_room(&shop, "payments").await;
    fill(&shop, "outbox").await;
    buyer.confirm(&payment).await.expect(202);
    assert_eq!((shop.sandbox.approvals(&order.id), buyer.status(&order).await.as_str()), (1, "confirming"));
    make_room(&shop, "outbox").await;
    shop.reconcile().await;
    assert_eq!(buyer.status(&order).await, "paid");

    for table in ["inbox", "stock_ledger"] {
        fill(&shop, table).await;
        shop.deliver_round().await;
        make_room(&shop, table).await;
    }
    assert_eq!(shop.count("SELECT count(*) FROM dead_letters").await, 0, "a full disk is nobody's poison");
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((99, 0), 1));
    shop.verify().await;
}
