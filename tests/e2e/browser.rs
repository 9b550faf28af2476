//! A browser, as far as any web page goes.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use thirtyfour::extensions::query::ElementQueryable as _;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};
use tokio::time::Instant;

use crate::driver;
use crate::trouble::{self, Expected};

/// How long anything may take before a test gives up on it. A browser on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(90);
const INTERVAL: Duration = Duration::from_millis(50);

/// Headless, without what a browser does for its maker. Root has no sandbox; over the pipe it dies with chromedriver.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// What the page is looked at with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) name: &'static str,
    width: u32,
    height: u32,
    /// Pixels of the device for one of the page.
    density: u32,
}

pub(crate) const PHONE: Screen = Screen { name: "phone", width: 390, height: 844, density: 2 };
pub(crate) const DESK: Screen = Screen { name: "desk", width: 1_280, height: 800, density: 1 };

/// A browser process with an empty profile.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    /// Where paths begin.
    base: String,
    expected: Mutex<Vec<Expected>>,
}

impl Browser {
    /// Starts a browser. Paths are those of `base`.
    pub(crate) async fn open(base: &str) -> Self {
        let mut wanted = ChromeCapabilities::new();
        for flag in FLAGS {
            wanted.add_arg(flag).unwrap();
        }
        wanted.add_experimental_option("prefs", json!({"intl.accept_languages": "ko-KR,ko"})).unwrap();
        for log in ["browser", "performance"] {
            wanted.set_logging_prefs(log, LoggingPrefsLogLevel::All).unwrap();
        }
        let address = driver::address().await.expect("a browser");
        let driver = WebDriver::new(address, wanted).await.expect("a browser");
        let browser = Self { driver, base: base.to_owned(), expected: Mutex::default() };
        browser.look_through(DESK, false).await;
        browser
    }

    /// Ends the browser, and insists that nothing went wrong unseen.
    pub(crate) async fn close(self) {
        let troubles = self.troubles().await;
        self.driver.quit().await.expect("an end");
        assert!(troubles.is_empty(), "{troubles:#?}");
    }

    /// What went wrong unseen since this was last asked.
    pub(crate) async fn troubles(&self) -> Vec<String> {
        let expected = self.expected.lock().unwrap().clone();
        trouble::since(&self.driver, &expected).await
    }

    /// Whether a request to an address with this in it was answered so since the network's log was last looked at.
    pub(crate) async fn was_answered(&self, status: u16, address: &str) -> bool {
        trouble::answers(&self.driver).await.iter().any(|(code, url)| *code == status && url.contains(address))
    }

    /// Says that requests to addresses with this in them may be answered so.
    pub(crate) fn expect(&self, status: u16, address: &str) {
        self.expected.lock().unwrap().push((status, address.to_owned()));
    }

    /// Opens a page of the base's.
    pub(crate) async fn goto(&self, path: &str) {
        self.driver.goto(format!("{}{path}", self.base)).await.expect("a page");
    }

    /// Where the browser is: the path, and the whole address elsewhere than at the base.
    pub(crate) async fn path(&self) -> String {
        let url = self.driver.current_url().await.expect("an address").to_string();
        url.strip_prefix(&self.base).map_or(url.clone(), str::to_owned)
    }

    /// Waits until the browser is at a path that begins so, and returns it.
    pub(crate) async fn arrives(&self, prefix: &str) -> String {
        self.until(&format!("the page {prefix}"), async || self.path().await.starts_with(prefix)).await;
        self.path().await
    }

    /// Waits for an element that can be seen.
    pub(crate) async fn find(&self, css: &str) -> WebElement {
        let query = self.driver.query(By::Css(css)).wait(PATIENCE, INTERVAL).and_displayed();
        match query.first().await {
            Ok(element) => element,
            Err(_) => self.give_up(&format!("to see {css}")).await,
        }
    }

    /// How many elements there are at this moment, seen or not.
    pub(crate) async fn count(&self, css: &str) -> usize {
        self.driver.find_all(By::Css(css)).await.expect("a page").len()
    }

    /// Waits for an element that can be clicked, and clicks it.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.until(&format!("{css} to be enabled"), async || element.is_enabled().await.unwrap_or(false)).await;
        element.click().await.expect("a click");
    }

    /// Waits for an element, and clicks it twice.
    pub(crate) async fn double_click(&self, css: &str) {
        let element = self.find(css).await;
        self.driver.action_chain().double_click_element(&element).perform().await.expect("two clicks");
    }

    /// Waits for an element, and reads what can be seen of its text.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.expect("a text")
    }

    /// Writes into a field, over what was there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn press(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.expect("a keyboard");
    }

    /// Asks the page itself.
    pub(crate) async fn ask(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.driver.execute(script, arguments).await.expect("an answer of the page").json().clone()
    }

    /// Looks again and again until something is so, and fails loudly when it does not come.
    pub(crate) async fn until(&self, what: &str, mut so: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so().await {
            if Instant::now() > deadline {
                self.give_up(what).await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Panics, and tells what the page shows instead and what went wrong unseen.
    async fn give_up(&self, what: &str) -> ! {
        let page = self.ask("return (document.querySelector('main') ?? document.body).outerHTML", vec![]).await;
        let (path, troubles) = (self.path().await, self.troubles().await);
        panic!("waited in vain for {what} at {path}: {troubles:#?}\n{}", page.as_str().unwrap_or_default());
    }

    /// Looks through a screen, by day or by night.
    pub(crate) async fn look_through(&self, screen: Screen, dark: bool) {
        self.measure(screen, screen.height).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.command("Emulation.setEmulatedMedia", media).await;
    }

    async fn measure(&self, screen: Screen, height: u32) {
        let Screen { width, density, .. } = screen;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": density, "mobile": density > 1});
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Forbids pages to run scripts.
    pub(crate) async fn forbid_scripts(&self) {
        self.command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Answers the question whether the pages may show notifications, which nobody can click on in a test.
    pub(crate) async fn allow_notifications(&self) {
        self.command("Browser.grantPermissions", json!({"origin": self.base, "permissions": ["notifications"]})).await;
    }

    /// A picture of the whole page on a screen that is as high as the page, as PNG in base64.
    pub(crate) async fn picture(&self, screen: Screen) -> String {
        let height = self.ask("return document.documentElement.scrollHeight", vec![]).await;
        self.measure(screen, u32::try_from(height.as_u64().unwrap()).unwrap()).await;
        let answer = self.command("Page.captureScreenshot", json!({"format": "png"})).await;
        answer["data"].as_str().expect("a picture").to_owned()
    }

    /// A command of Chromium's `DevTools` protocol.
    async fn command(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.expect("an answer of the browser")
    }
}
