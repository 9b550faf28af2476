//! Purchases that go well.

use crate::buyer::taken;
use crate::visit;

#[tokio::test]
async fn two_mugs_are_bought_and_the_phone_buzzes() {
    visit(async |shop, browser| {
        browser.choose(shop, "mug").await;
        assert_eq!(browser.left(shop, "mug").await, 100);
        browser.fill("#quantity", "2").await;
        assert_eq!(browser.text(".summary dd.total").await, "₩30,000");
        browser.fill("#email", "buyer@example.com").await;
        browser.pay(shop).await;
        browser.in_window("card").await;
        let success = browser.arrives("/checkout/success").await;
        assert!(!success.contains("paymentKey"), "{success}");
        let order = browser.stands("paid").await;
        assert_eq!(taken(shop), (30_000, 1));

        shop.deliver_events().await;
        browser.goto("/").await;
        assert_eq!(browser.left(shop, "mug").await, 98);
        browser.goto("/orders").await;
        browser.click(&format!("main a[href='/orders/{order}']")).await;
        browser.stands("paid").await;
        browser.driver.goto(shop.sandbox_url()).await.unwrap();
        assert!(browser.text(".phone").await.contains("₩30,000"));
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn a_transfer_is_awaited_and_seen() {
    visit(async |shop, browser| {
        browser.order(shop, "shirt").await;
        browser.in_window("virtual-account").await;
        let order = browser.stands("awaiting_deposit").await;
        let deposit = browser.text(".deposit").await;
        let account = browser.text("#account").await;
        assert!(account.len() >= 8 && deposit.contains("₩39,000") && deposit.contains("20"), "{deposit}");
        browser.find(".deposit time[datetime]").await;
        assert_eq!(taken(shop), (0, 1));

        let page = browser.driver.window().await.unwrap();
        let bank = browser.driver.new_tab().await.unwrap();
        browser.driver.switch_to_window(bank).await.unwrap();
        browser.driver.goto(shop.sandbox_url()).await.unwrap();
        browser.click("form[action='/deposit'] button").await;
        browser.find("form[action='/deposit/reverse'] button").await;
        browser.driver.close_window().await.unwrap();
        browser.driver.switch_to_window(page).await.unwrap();
        shop.bring_webhooks(&order).await;
        shop.look_into_webhooks().await;
        browser.stands("paid").await; // without a reload
        assert_eq!((taken(shop).0, browser.count(".deposit").await), (39_000, 0));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}
