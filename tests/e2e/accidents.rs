//! What buyers do without meaning to. None of it charges twice, and each of it ends at a page that makes sense.

use crate::browser::Browser;
use crate::buyer::{PAY, taken};
use crate::visit;

#[tokio::test]
async fn a_double_click_orders_once() {
    visit(async |shop, browser| {
        browser.choose(shop, "mug").await;
        browser.double_click(&format!("{PAY}:enabled")).await;
        browser.arrives(shop.sandbox_url()).await;
        browser.in_window("card").await;
        browser.stands("paid").await;
        assert_eq!((taken(shop), shop.sandbox.totals().payments), ((15_000, 1), 1));
        assert_eq!(shop.count("SELECT count(*) FROM orders").await, 1);
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn going_back_and_reloading_after_the_payment_pays_once() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        let order = browser.stands("paid").await;
        browser.driver.refresh().await.unwrap();
        browser.stands("paid").await;
        browser.expect(409, "/toss/window/"); // the provider's window has served
        browser.driver.back().await.unwrap();
        browser.driver.back().await.unwrap();
        browser.arrives("/checkout/").await;
        browser.driver.forward().await.unwrap();
        browser.driver.forward().await.unwrap();
        assert_eq!(browser.stands("paid").await, order);
        assert_eq!((taken(shop), shop.count("SELECT count(*) FROM orders").await), ((15_000, 1), 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn the_way_back_from_the_window_may_be_gone_twice() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        let back = browser.choose_elsewhere("card").await;
        for _ in 0..2 {
            browser.goto(back.strip_prefix(&shop.url).unwrap()).await;
            browser.arrives("/checkout/success").await;
            browser.stands("paid").await;
        }
        assert_eq!(taken(shop), (15_000, 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn two_tabs_pay_for_one_order_once() {
    visit(async |shop, browser| {
        let first = browser.driver.window().await.unwrap();
        browser.order(shop, "mug").await;
        let second = browser.driver.new_tab().await.unwrap();
        browser.driver.switch_to_window(second).await.unwrap();
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        let order = browser.stands("paid").await;
        browser.driver.switch_to_window(first).await.unwrap();
        browser.in_window("card").await;
        browser.arrives("/checkout/").await;
        assert!(browser.path().await.contains(&order));
        assert_eq!((taken(shop), shop.count("SELECT count(*) FROM orders").await), ((15_000, 1), 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn a_return_into_another_browser_is_confirmed_and_tells_little() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        let back = browser.choose_elsewhere("card").await;
        let bare = Browser::open(&shop.url).await;
        bare.goto(back.strip_prefix(&shop.url).unwrap()).await;
        bare.arrives("/checkout/success").await;
        let order = bare.stands("paid").await;
        assert_eq!(bare.count(&format!("main a[href='/orders/{order}']")).await, 0, "it is not this browser's order");
        bare.close().await;
        browser.goto("/orders").await;
        browser.click(&format!("main a[href='/orders/{order}']")).await;
        browser.stands("paid").await;
        assert_eq!(taken(shop), (15_000, 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

impl Browser {
    /// Chooses in the provider's window as an app beside the browser would, and returns where that is sent back to.
    async fn choose_elsewhere(&self, choice: &str) -> String {
        let app = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let back = app.post(self.path().await).form(&[("choice", choice)]).send().await.unwrap();
        back.headers()[reqwest::header::LOCATION].to_str().unwrap().to_owned()
    }
}
