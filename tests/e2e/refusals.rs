//! Purchases that do not go well at first, or at all: each leads to a page that says what happened to the money.

use harness::OpenShop;
use sandbox::Endpoint;

use crate::browser::Browser;
use crate::buyer::{PAY, taken};
use crate::visit;

#[tokio::test]
async fn a_declined_order_is_kept_and_paid_the_second_time() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        browser.in_window_declined("INVALID_STOPPED_CARD").await;
        let error = browser.arrives("/checkout/error").await;
        assert!(!error.contains("paymentKey"), "{error}");
        assert_eq!(taken(shop).0, 0);
        browser.pays_for_the_same_order(shop).await;
    })
    .await;
}

#[tokio::test]
async fn who_gives_up_in_the_window_is_charged_nothing_and_may_come_back() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        browser.in_window("cancel").await;
        browser.arrives("/checkout/cancel").await;
        browser.goto("/orders").await;
        browser.click("main a[href^='/orders/']").await;
        browser.stands("pending").await;
        browser.pays_for_the_same_order(shop).await;
    })
    .await;
}

#[tokio::test]
async fn an_order_that_is_not_wanted_any_more_is_canceled() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        browser.in_window("abort").await;
        browser.find("main h1").await;
        browser.goto("/orders").await;
        browser.click("main a[href^='/orders/']").await;
        browser.stands("pending").await;
        browser.click("main form[action$='/cancel'] button").await;
        browser.stands("canceled").await;
        assert_eq!((taken(shop), shop.stock("mug").await), ((0, 0), (100, 0)));
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn an_unknown_outcome_becomes_known_while_the_page_waits() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        shop.spoil(Endpoint::Confirm, "answer-lost", 1);
        shop.spoil(Endpoint::Query, "html-502", 1);
        browser.in_window("card").await;
        browser.arrives("/checkout/success").await;
        browser.stands("confirming").await;
        browser.ask("window.stayed = true", vec![]).await;
        shop.reconcile().await;
        browser.stands("paid").await;
        assert_eq!(browser.ask("return window.stayed", vec![]).await, true, "the page was not loaded again");
        assert_eq!(taken(shop), (15_000, 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn what_sells_out_during_the_payment_costs_nothing() {
    visit(async |shop, browser| {
        browser.order(shop, "rare").await;
        shop.visitor().await.buy(&[("rare", 5)]).await;
        browser.in_window("card").await;
        browser.arrives("/checkout/error").await;
        assert_eq!(taken(shop), (600_000, 1), "the other buyer's");
        shop.deliver_events().await;
        browser.goto(&format!("/checkout/{}", shop.product("rare"))).await;
        assert_eq!((browser.left(shop, "rare").await, browser.count(PAY).await), (0, 0));
        shop.verify().await;
    })
    .await;
}

impl Browser {
    /// Pays on the second try for an order of one mug, and insists that it is still the only one.
    async fn pays_for_the_same_order(&self, shop: &OpenShop) {
        self.click("main a[href^='/orders/'][href$='/pay']").await;
        self.pay(shop).await;
        self.in_window("card").await;
        self.stands("paid").await;
        assert_eq!((taken(shop).0, shop.count("SELECT count(*) FROM orders").await), (15_000, 1));
        shop.deliver_events().await;
        shop.verify().await;
    }
}
