//! What is left, as it changes while somebody looks at the page.

use harness::OpenShop;

use crate::buyer::PAY;
use crate::visit;

/// Puts pieces on the shelf, as the shop's own system would: with its line in the ledger.
async fn restock(shop: &OpenShop, product: &str, pieces: i32) {
    let id = shop.product(product);
    shop.execute(&format!(
        "WITH more AS (UPDATE stock SET on_hand = on_hand + {pieces} WHERE product_id = '{id}' RETURNING product_id)
        INSERT INTO stock_ledger (product_id, kind, quantity) SELECT product_id, 'received', {pieces} FROM more"
    ))
    .await;
}

#[tokio::test]
async fn an_open_page_sees_it_sell_sell_out_and_come_back() {
    visit(async |shop, browser| {
        browser.choose(shop, "rare").await;
        browser.find(&format!("{PAY}:enabled")).await;
        browser.ask("window.stayed = true", vec![]).await;
        let badge = async |left| {
            browser.until("the badge to tell", async || browser.left(shop, "rare").await == left).await;
        };
        let other = shop.visitor().await;
        other.buy(&[("rare", 3)]).await;
        badge(2).await;
        assert_eq!(browser.find("#quantity").await.attr("max").await.unwrap().as_deref(), Some("2"));
        other.buy(&[("rare", 2)]).await;
        badge(0).await;
        browser.find("#checkout [inert]").await;
        shop.deliver_events().await;
        shop.verify().await;

        restock(shop, "rare", 7).await;
        badge(7).await;
        assert_eq!(browser.count("#checkout [inert]").await, 0);
        assert_eq!(browser.ask("return window.stayed", vec![]).await, true, "the page was not loaded again");
        browser.pay(shop).await;
        browser.in_window("card").await;
        browser.stands("paid").await;
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_opened_too_late_notices_when_it_is_back() {
    visit(async |shop, browser| {
        shop.visitor().await.buy(&[("rare", 5)]).await;
        browser.choose(shop, "rare").await;
        assert_eq!((browser.left(shop, "rare").await, browser.count(PAY).await), (0, 0));
        restock(shop, "rare", 1).await;
        browser.find(&format!("{PAY}:enabled")).await;
        assert_eq!(browser.left(shop, "rare").await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_shelf_goes_on_telling_after_the_listener_was_cut_off() {
    visit(async |shop, browser| {
        browser.goto("/").await;
        for left in [99, 98] {
            let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'jumun-stock-news' AND datname = current_database()";
            let listens = async || shop.count(cut).await == 1;
            shop.eventually("a listener to cut off", listens).await;
            shop.visitor().await.buy(&[("mug", 1)]).await;
            browser.until("the badge to tell", async || browser.left(shop, "mug").await == left).await;
        }
        assert_eq!(browser.left(shop, "rare").await, 5);
    })
    .await;
}
