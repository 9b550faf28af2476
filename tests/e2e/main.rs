//! The storefront in a real browser: Chromium, driven through chromedriver, against a whole shop over HTTP.
//!
//! Each test has a browser process with a profile of its own. It fails on whatever a buyer would not report: a script
//! error, a violation of the content security policy, a request that failed (see [`trouble`]). What pages say changes;
//! so tests find things by roles, names and data attributes, and texts only where the text is the point.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod accidents;
mod axe;
mod browser;
mod buyer;
mod driver;
mod gallery;
mod live_stock;
mod members;
mod notifications;
mod purchase;
mod refusals;
mod trouble;
mod ways;

use axum::Router;
use browser::Browser;
use harness::OpenShop;
use tokio::net::TcpListener;

/// What `jumun up` tells a storefront too, so that browsers can become the sandbox's phone.
const FIREBASE: [(&str, &str); 3] = [
    ("FIREBASE_CONFIG", sandbox::FIREBASE_CONFIG),
    ("FIREBASE_VAPID_KEY", sandbox::FIREBASE_VAPID_KEY),
    ("FIREBASE_SDK_URL", "{sandbox}/fcm/web"),
];

/// Opens a shop and a browser, and insists after the scenario that nothing went wrong in the browser unseen.
async fn visit(scenario: impl AsyncFnOnce(&OpenShop, &Browser)) {
    visit_with(&[], scenario).await;
}

/// The same, of a shop whose storefront is also told this.
async fn visit_with(own: &'static [(&'static str, &'static str)], scenario: impl AsyncFnOnce(&OpenShop, &Browser)) {
    if !driver::is_there().await {
        return;
    }
    let shop = OpenShop::open_with(own).await;
    shop.follow_stock().await;
    let browser = Browser::open(&shop.url).await;
    scenario(&shop, &browser).await;
    browser.close().await;
}

/// Serves pages that are not the shop's, and returns where.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}
