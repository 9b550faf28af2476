//! What a buyer does in this shop, with mouse and eyes.

use std::collections::BTreeMap;

use harness::{Buyer, OpenShop};
use reqwest::header::SET_COOKIE;
use thirtyfour::Cookie;

use crate::browser::Browser;

/// The button that pays.
pub(crate) const PAY: &str = "#checkout button[type=submit]";

impl Browser {
    /// Gives the browser the session of a buyer whose hands the test guides over HTTP, and returns that buyer.
    pub(crate) async fn move_in(&self, shop: &OpenShop) -> Buyer {
        let buyer = shop.nobody();
        let first = buyer.get("/").await;
        let session = first.headers()[SET_COOKIE].to_str().unwrap();
        let (name, value) = session.split_once(';').and_then(|(pair, _)| pair.split_once('=')).expect("a session");
        self.goto("/assets/icon.svg").await; // a page that begins no session
        let mut cookie = Cookie::new(name, value);
        cookie.set_path("/");
        self.driver.add_cookie(cookie).await.expect("a cookie");
        buyer
    }

    /// Opens the shelf and, from there, the page of a product.
    pub(crate) async fn choose(&self, shop: &OpenShop, product: &str) {
        self.goto("/").await;
        let page = format!("/checkout/{}", shop.product(product));
        self.click(&format!("main a[href='{page}']")).await;
        self.arrives(&page).await;
    }

    /// Pays, as far as the provider's window.
    pub(crate) async fn pay(&self, shop: &OpenShop) {
        self.click(PAY).await;
        self.arrives(&format!("{}/toss/window/", shop.sandbox_url())).await;
    }

    /// Chooses a way in the provider's window: `card`, `virtual-account`, `cancel`, `abort`.
    pub(crate) async fn in_window(&self, choice: &str) {
        self.click(&format!("button[name=choice][value={choice}]")).await;
    }

    /// Pays with a card that will be declined for this reason.
    pub(crate) async fn in_window_declined(&self, code: &str) {
        self.click(&format!("select[name=code] option[value={code}]")).await;
        self.in_window("decline").await;
    }

    /// From the shelf to the provider's window.
    pub(crate) async fn order(&self, shop: &OpenShop, product: &str) {
        self.choose(shop, product).await;
        self.pay(shop).await;
    }

    /// Waits until the page tells this state of its order, and returns the order.
    pub(crate) async fn stands(&self, state: &str) -> String {
        let standing = self.find(&format!("#standing[data-state='{state}']")).await;
        standing.attr("data-order").await.expect("a page").expect("an order")
    }

    /// What the page in front of us says is left of a product.
    pub(crate) async fn left(&self, shop: &OpenShop, product: &str) -> i32 {
        let id = shop.product(product);
        let card = format!("li:has(a[href='/checkout/{id}']) .stock, .product .stock");
        let digits: String = self.text(&card).await.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0) // "sold out" has none
    }
}

/// Won that the provider has taken and kept, and how often it was asked to take some.
pub(crate) fn taken(shop: &OpenShop) -> (i64, u64) {
    // Calls are counted by order, and told of each payment that a window was opened for.
    let calls: BTreeMap<_, _> =
        shop.sandbox.payments(None).into_iter().map(|it| (it.order_id, it.confirm_calls)).collect();
    (shop.sandbox.totals().kept, calls.values().sum())
}
