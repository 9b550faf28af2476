//! Every page in every state: looked over by axe on a phone and a desk, by day and by night, and pictured. Pictures and
//! sizes are left in `test-output/pages` for people to look at.

mod orders;
mod shop;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harness::{Buyer, OpenShop};
use tokio::time::Instant;

use crate::axe;
use crate::browser::{Browser, DESK, PHONE};

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

/// Puts pictures and names like a real shelf's on the test shop's products.
async fn dress_up(shop: &OpenShop) {
    for (product, name, name_en, picture) in [
        ("mug", "달항아리 머그컵", "Moon jar mug", "moon-jar-mug"),
        ("shirt", "모시 보자기", "Ramie wrapping cloth", "ramie-cloth"),
        ("poster", "전통 매듭 책갈피", "Knotted silk bookmark", "silk-bookmark"),
        ("rare", "유기 수저 세트", "Brassware cutlery set", "brass-cutlery"),
    ] {
        let id = shop.product(product);
        shop.execute(&format!(
            "UPDATE products SET name = '{name}', name_en = '{name_en}', image_url = '/assets/demo/{picture}.svg'
            WHERE id = '{id}'"
        ))
        .await;
    }
}

async fn look_over(browser: &Browser, buyer: &Buyer, pages: &[Page]) {
    let mut findings = Vec::new();
    for page in pages {
        if page.status != 200 {
            browser.expect(page.status, &page.path);
        }
        browser.look_through(PHONE, false).await;
        browser.goto(&page.path).await;
        browser.find("main h1").await;
        browser.at_rest().await;
        findings.extend(look(browser, page.name).await);
        report(page, browser.weight().await, time(buyer, page).await);
    }
    assert!(findings.is_empty(), "{}", findings.join("\n\n"));
}

/// Looks at the page in front of us and takes pictures. Returns what is wrong with it.
async fn look(browser: &Browser, page: &str) -> Vec<String> {
    fs::create_dir_all(OUTPUT).unwrap();
    let mut findings = Vec::new();
    for (screen, dark) in [(PHONE, false), (PHONE, true), (DESK, true), (DESK, false)] {
        browser.look_through(screen, dark).await;
        let name = format!("{page}-{}{}", screen.name, if dark { "-dark" } else { "" });
        findings.extend(axe::findings(browser).await.into_iter().map(|it| format!("{name}: {it}")));
        findings.extend(browser.shape().await.into_iter().map(|it| format!("{name}: {it}")));
        let picture = BASE64_STANDARD.decode(browser.picture(screen).await).unwrap();
        fs::write(Path::new(OUTPUT).join(format!("{name}.png")), picture).unwrap();
    }
    let bytes = browser.weight().await;
    if bytes > HEAVIEST {
        findings.push(format!("{page}: {bytes} bytes"));
    }
    findings
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

    /// What is out of shape on the page: wider than the screen, or too small for a finger.
    async fn shape(&self) -> Vec<String> {
        let script = "const root = document.documentElement;
            const wide = root.scrollWidth > root.clientWidth ? ['it has to be scrolled sideways'] : [];
            const small = [...document.querySelectorAll('a[href], button, input:not([type=hidden])')].filter((it) => {
                const { width, height } = it.getBoundingClientRect();
                const ours = !it.closest('#payment-method, #agreement') && !it.matches('.skip');
                return ours && it.checkVisibility() && (width < 40 || height < 44);
            });
            return [...wide, ...small.map((it) => `too small: ${it.outerHTML}`)];";
        serde_json::from_value(self.ask(script, vec![]).await).expect("texts")
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
