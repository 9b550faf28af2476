//! Every page in every state: looked over by axe on a phone and a desk, by day and by night, and pictured. Pictures and
//! sizes are left in `test-output/pages` for people to look at.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use harness::Buyer;
use sandbox::Endpoint;
use serde_json::json;
use tokio::time::Instant;

use crate::axe;
use crate::browser::{Browser, DESK, PHONE};
use crate::visit;

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../test-output/pages");

/// The most that a page may weigh without its pictures, in bytes and before compression.
const HEAVIEST: u64 = 50_000;

/// Requests that a page's time is measured with.
const SAMPLES: usize = 21;

/// A page in one of its states.
struct Page {
    name: &'static str,
    path: String,
    /// What it is answered with.
    status: u16,
}

fn page(name: &'static str, path: impl Into<String>) -> Page {
    Page { name, path: path.into(), status: 200 }
}

#[tokio::test]
async fn pages_of_the_shop_are_for_everybody() {
    visit(async |shop, browser| {
        let buyer = browser.move_in(shop).await;
        shop.execute(
            "UPDATE stock SET on_hand = 3 WHERE product_id IN (SELECT id FROM products WHERE name = 'poster')",
        )
        .await;
        shop.visitor().await.buy(&[("rare", 5)]).await;
        shop.deliver_events().await;
        let (mug, rare) = (shop.product("mug"), shop.product("rare"));
        let empty = page("orders-none", "/orders");
        look_over(browser, &buyer, &[empty]).await;
        let order = buyer.place_order(&[("mug", 1)]).await.id;
        let pages = [
            page("shelf", "/"),
            page("product", format!("/checkout/{mug}")),
            page("sold-out", format!("/checkout/{rare}")),
            page("pay", format!("/orders/{order}/pay")),
            page("declined", format!("/checkout/error?orderId={order}&reason=declined")),
            page("sold-out-late", format!("/checkout/error?orderId={order}&reason=sold-out")),
            page("failed", format!("/checkout/error?orderId={order}&reason=failed")),
            page("given-up", "/checkout/cancel"),
            Page { status: 404, ..page("no-such-product", format!("/checkout/{}", uuid::Uuid::nil())) },
            Page { status: 404, ..page("no-such-order", format!("/orders/{}", uuid::Uuid::nil())) },
            Page { status: 404, ..page("no-such-page", "/nothing/here") },
        ];
        look_over(browser, &buyer, &pages).await;
    })
    .await;
}

#[tokio::test]
async fn pages_of_an_order_are_for_everybody() {
    visit(async |shop, browser| {
        let buyer = browser.move_in(shop).await;
        let paid = buyer.buy(&[("mug", 2), ("poster", 1)]).await.id;
        let declined = buyer.place_order(&[("mug", 1)]).await;
        let payment =
            buyer.authenticate_by(&declined, &[("choice", "decline"), ("code", "INVALID_STOPPED_CARD")]).await;
        buyer.confirm(&payment).await.expect(402);
        let transfer = buyer.place_order(&[("shirt", 1)]).await;
        let payment = buyer.authenticate_by(&transfer, &[("choice", "virtual-account")]).await;
        buyer.confirm(&payment).await.expect(200);
        let canceled = buyer.place_order(&[("poster", 3)]).await.id;
        buyer.post(&format!("/api/orders/{canceled}/cancel"), &json!({})).await.expect(200);
        let given_back = buyer.buy(&[("shirt", 2)]).await.id;
        shop.operator().refund(&given_back, json!({})).await;
        let partly = buyer.buy(&[("poster", 2)]).await.id;
        shop.operator().refund(&partly, json!({"amount": 9_000})).await;
        let expired = buyer.place_order(&[("poster", 4)]).await.id;
        shop.execute(&format!("UPDATE orders SET expires_at = now() - interval '1 hour' WHERE id = '{expired}'")).await;
        database::orders::expire(&shop.db).await.unwrap();
        let unknown = buyer.place_order(&[("rare", 1)]).await;
        let payment = buyer.authenticate(&unknown).await;
        shop.spoil(Endpoint::Confirm, "answer-lost", 1);
        shop.spoil(Endpoint::Query, "html-502", 1);
        buyer.confirm(&payment).await.expect(202);
        shop.deliver_events().await;
        let pages = [
            page("orders", "/orders"),
            page("success-paid", format!("/checkout/success?orderId={paid}")),
            page("success-checking", format!("/checkout/success?orderId={}", unknown.id)),
            page("success-transfer", format!("/checkout/success?orderId={}", transfer.id)),
            page("order-paid", format!("/orders/{paid}")),
            page("order-checking", format!("/orders/{}", unknown.id)),
            page("order-transfer", format!("/orders/{}", transfer.id)),
            page("order-unpaid", format!("/orders/{}", declined.id)),
            page("order-canceled", format!("/orders/{canceled}")),
            page("order-expired", format!("/orders/{expired}")),
            page("order-refunded", format!("/orders/{given_back}")),
            page("order-part-refunded", format!("/orders/{partly}")),
        ];
        look_over(browser, &buyer, &pages).await;
        shop.wait(TimeDelta::minutes(1)).await;
        shop.reconcile().await;
    })
    .await;
}

async fn look_over(browser: &Browser, buyer: &Buyer, pages: &[Page]) {
    fs::create_dir_all(OUTPUT).unwrap();
    let mut findings = Vec::new();
    for page in pages {
        if page.status != 200 {
            browser.expect(page.status, &page.path);
        }
        browser.look_through(PHONE, false).await;
        browser.goto(&page.path).await;
        browser.find("main h1").await;
        browser.at_rest().await;
        for (screen, dark) in [(PHONE, false), (PHONE, true), (DESK, true), (DESK, false)] {
            browser.look_through(screen, dark).await;
            let name = format!("{}-{}{}", page.name, screen.name, if dark { "-dark" } else { "" });
            findings.extend(axe::findings(browser).await.into_iter().map(|it| format!("{name}: {it}")));
            let wide = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
            if browser.ask(wide, vec![]).await == true {
                findings.push(format!("{name}: it has to be scrolled sideways"));
            }
            let picture = BASE64_STANDARD.decode(browser.picture().await).unwrap();
            fs::write(Path::new(OUTPUT).join(format!("{name}.png")), picture).unwrap();
        }
        let bytes = browser.weight().await;
        if bytes > HEAVIEST {
            findings.push(format!("{}: {bytes} bytes", page.name));
        }
        report(page, bytes, time(buyer, page).await);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
}

/// How long the server takes for the first byte, in milliseconds: half of the requests took less.
async fn time(buyer: &Buyer, page: &Page) -> f64 {
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let answer = buyer.get(&page.path).await;
        times.push(begun.elapsed());
        answer.bytes().await.unwrap();
    }
    times.sort();
    times[SAMPLES / 2].as_secs_f64() * 1_000.0
}

fn report(page: &Page, bytes: u64, milliseconds: f64) {
    let mut line = String::new();
    writeln!(line, "{}\t{bytes} bytes\t{milliseconds:.1} ms", page.name).unwrap();
    fs::write(Path::new(OUTPUT).join(format!("{}.txt", page.name)), line).unwrap();
}

impl Browser {
    /// Waits until the page has loaded what it shows: the payment widget comes last.
    async fn at_rest(&self) {
        if self.count("#payment-method").await > 0 {
            self.find("#payment-method > *").await;
            self.find("#agreement > *").await;
        }
    }

    /// The bytes of the page with its styles and scripts, which come from the shop itself, without pictures.
    async fn weight(&self) -> u64 {
        let script = "const [page] = performance.getEntriesByType('navigation');
            const own = performance.getEntriesByType('resource').filter((it) =>
                it.name.startsWith(location.origin) && /\\.(css|js)(\\?|$)/.test(it.name));
            return own.reduce((sum, it) => sum + it.decodedBodySize, page.decodedBodySize);";
        self.ask(script, vec![]).await.as_u64().expect("a number")
    }
}
