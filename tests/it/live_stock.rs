//! Open pages are told what is left, as it changes.

use std::time::Duration;

use harness::{Buyer, OpenShop, Role, ServiceProcess};
use reqwest::Response;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A page that follows some products.
struct Page {
    answer: Response,
    read: String,
}

impl Page {
    async fn open(buyer: &Buyer, products: &str) -> Self {
        let answer = buyer.get(&format!("/api/stock/events?products={products}")).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, read: String::new() }
    }

    /// The next event's data; `None` at the end of the stream.
    async fn news(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.read = rest.into();
                if let Some(data) = data {
                    return Some(serde_json::from_str(&data).unwrap());
                }
            } else {
                let chunk = timeout(PATIENCE, self.answer.chunk()).await.unwrap().unwrap()?;
                self.read.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        }
    }

    /// Waits until the page shows that.
    async fn shows(&mut self, what: &Value) {
        loop {
            let news = self.news().await.unwrap();
            if news == *what {
                return;
            }
        }
    }
}

async fn following() -> OpenShop {
    let shop = OpenShop::open().await;
    shop.follow_stock().await;
    shop
}

#[tokio::test]
async fn an_open_page_sees_it_sell_out() {
    let shop = following().await;
    let (rare, mug) = (shop.product("rare").to_string(), shop.product("mug").to_string());
    let buyer = shop.visitor().await;
    let mut page = Page::open(&shop.nobody(), &format!("{rare},{mug}")).await;
    assert_eq!(page.news().await.unwrap(), json!({rare.as_str(): 5, mug.as_str(): 100}), "first the present state");

    buyer.buy(&[("rare", 3)]).await;
    assert_eq!(page.news().await.unwrap(), json!({rare.as_str(): 2}), "and then what changes");
    shop.deliver_events().await;
    assert_eq!(shop.stock("rare").await, (2, 0), "taking the sale down is no news");
    let last = buyer.place_order(&[("rare", 2)]).await;
    let payment = buyer.authenticate_by(&last, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    buyer.confirm(&payment).await.expect_problem(402, "payment-declined");
    buyer.buy(&[("rare", 1), ("mug", 1)]).await;
    page.shows(&json!({rare.as_str(): 1, mug.as_str(): 99})).await;

    let mut late = Page::open(&shop.nobody(), &rare).await;
    assert_eq!(late.news().await.unwrap(), json!({rare.as_str(): 1}), "whoever comes back begins with the present");
}

#[tokio::test]
async fn a_listener_that_was_cut_off_misses_nothing_for_long() {
    let shop = following().await;
    let mug = shop.product("mug").to_string();
    let mut page = Page::open(&shop.nobody(), &mug).await;
    page.shows(&json!({mug.as_str(): 100})).await;
    for left in [99, 98] {
        // In one transaction, so that the change is committed when nobody listens.
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'jumun-stock-news' AND datname = current_database()";
        assert_eq!(shop.count(cut).await, 1, "one listener, however many pages");
        shop.execute(&format!("UPDATE stock SET reserved = on_hand - {left} WHERE product_id = '{mug}'")).await;
        page.shows(&json!({mug.as_str(): left})).await;
        shop.eventually("the listener to be back", async || {
            shop.count("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jumun-stock-news' AND datname = current_database()").await == 1
        })
        .await;
    }
}

#[tokio::test]
async fn pages_beyond_the_limit_are_refused_and_take_nobodys_place() {
    let shop = OpenShop::open_with(&[("STOCK_STREAMS", "2")]).await;
    let mug = shop.product("mug").to_string();
    let path = format!("/api/stock/events?products={mug}");
    assert_eq!(shop.nobody().get(&path).await.status(), 503, "nobody listens yet");
    shop.follow_stock().await;
    let one = Page::open(&shop.nobody(), &mug).await;
    let two = Page::open(&shop.nobody(), &mug).await;
    let refused = shop.nobody().get(&path).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "30"));
    drop((one, two));
    shop.eventually("their places to be free", async || shop.nobody().get(&path).await.status() == 200).await;

    for bad in ["", "x", "0198c1a2-0000-7000-8000-000000000042,", &vec![mug.as_str(); 101].join(",")] {
        let answer = shop.nobody().read(&format!("/api/stock/events?products={bad}")).await;
        answer.expect_problem(422, "invalid-request");
    }
    let unknown = uuid::Uuid::nil().to_string();
    shop.eventually("room", async || shop.nobody().get(&path).await.status() == 200).await;
    assert_eq!(Page::open(&shop.nobody(), &unknown).await.news().await.unwrap(), json!({}), "of which nothing is left");
}

#[tokio::test]
async fn shutdown_waits_for_no_page() {
    let shop = OpenShop::open().await;
    let mug = shop.product("mug").to_string();
    let mut process = ServiceProcess::start(&shop, env!("CARGO_BIN_EXE_service-process"), Role::Storefront, None).await;
    let visitor = process.visitor(&shop).await;
    let path = format!("/api/stock/events?products={mug}");
    shop.eventually("the storefront to listen", async || visitor.get(&path).await.status() == 200).await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        pages.push(Page::open(&visitor, &mug).await);
    }
    let began = std::time::Instant::now();
    process.signal(Signal::TERM).unwrap();
    assert_eq!(process.end().await.unwrap(), None, "it ended by itself");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for page in &mut pages {
        assert_eq!(page.news().await, Some(json!({mug.as_str(): 100})));
        assert_eq!(page.news().await, None, "ended, not cut");
    }
}
