//! Notifications on the sandbox's phone, which the browser becomes by the sandbox's stand-ins for Firebase's scripts.

use crate::browser::Browser;
use crate::{FIREBASE, visit_with};

/// The shop's scripts register installations, as Firebase would have it from now on, instead of tokens.
const BY_INSTALLATION: &[(&str, &str)] = &[FIREBASE[0], FIREBASE[1], FIREBASE[2], ("FIREBASE_REGISTRATION", "fid")];

const DEVICES: &str = "SELECT count(*) FROM messaging_tokens";

impl Browser {
    async fn wants_to_be_told(&self) {
        self.allow_notifications().await;
        self.goto("/").await;
        self.click("#notify [data-when=off]").await;
        self.find("#notify [data-when=on]").await;
    }
}

#[tokio::test]
async fn the_phone_tells_and_leads_to_the_order() {
    visit_with(&FIREBASE, async |shop, browser| {
        browser.wants_to_be_told().await;
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        let order = browser.stands("paid").await;
        shop.deliver_events().await;
        browser.driver.goto(shop.sandbox_url()).await.unwrap();
        assert!(browser.text(".phone").await.contains("₩15,000"));
        browser.click(".phone a").await;
        browser.arrives(&format!("/orders/{order}")).await;
        browser.stands("paid").await;

        browser.click("#notify [data-when=on]").await;
        browser.find("#notify [data-when=off]").await;
        assert_eq!(shop.count(DEVICES).await, 0, "and may be turned off again");
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn signing_out_takes_the_phone_along() {
    visit_with(BY_INSTALLATION, async |shop, browser| {
        browser.wants_to_be_told().await;
        browser.sign_in("jumun-kim").await;
        let member = shop.visitor().await;
        member.sign_in("jumun-kim", "/").await;
        member.buy(&[("mug", 1)]).await;
        shop.deliver_events().await;
        assert_eq!(shop.sandbox.all_notifications().len(), 1, "the device came along when its owner signed in");

        browser.sign_out().await;
        assert_eq!(shop.count(DEVICES).await, 0);
        member.buy(&[("mug", 1)]).await;
        shop.deliver_events().await;
        assert_eq!(shop.sandbox.all_notifications().len(), 1);
        browser.find("#notify [data-when=off]").await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn a_phone_tells_its_latest_owner_alone() {
    visit_with(&FIREBASE, async |shop, browser| {
        let former = browser.move_in(shop).await;
        browser.wants_to_be_told().await;
        let owner = "SELECT count(*) FROM messaging_tokens m JOIN sessions s USING (customer_id)
            WHERE s.created_at = (SELECT max(created_at) FROM sessions)";
        assert_eq!(shop.count(owner).await, 1);
        browser.driver.delete_all_cookies().await.unwrap();
        browser.goto("/").await; // as somebody else, who finds the phone registered
        browser
            .until("the phone to be theirs", async || {
                shop.count("SELECT count(*) FROM sessions").await == 2 && shop.count(owner).await == 1
            })
            .await;
        assert_eq!(shop.count(DEVICES).await, 1);
        former.buy(&[("mug", 1)]).await;
        shop.deliver_events().await;
        assert!(shop.sandbox.all_notifications().is_empty());
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        browser.stands("paid").await;
        shop.deliver_events().await;
        assert_eq!(shop.sandbox.all_notifications().len(), 1);
        shop.verify().await;
    })
    .await;
}
