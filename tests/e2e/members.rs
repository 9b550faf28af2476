//! Guests who become members, at the sandbox's identity provider.

use crate::browser::Browser;
use crate::visit;

/// The way to sign in, which is there for guests.
const SIGN_IN: &str = "nav.account a[href^='/sign-in']";

impl Browser {
    /// Signs in as one of the people that the sandbox knows, and comes back to the same page.
    pub(crate) async fn sign_in(&self, person: &str) {
        let here = self.path().await;
        self.click(SIGN_IN).await;
        self.click(&format!("button[name=person][value={person}]")).await;
        self.find("nav.account .sign-out button").await;
        assert_eq!(self.path().await, here);
    }

    /// Signs out, here and at the provider, which sends the browser back to the shop.
    pub(crate) async fn sign_out(&self) {
        self.click("nav.account .sign-out button").await;
        self.find(SIGN_IN).await;
        self.arrives("/").await;
    }
}

#[tokio::test]
async fn a_guests_order_is_the_members_until_they_sign_out() {
    visit(async |shop, browser| {
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        let order = browser.stands("paid").await;
        let listed = format!("main a[href='/orders/{order}']");
        browser.goto("/orders").await;
        browser.sign_in("jumun-kim").await;
        browser.find(&listed).await;

        let other = Browser::open(&shop.url).await;
        other.goto("/orders").await;
        assert_eq!(other.count(&listed).await, 0);
        other.sign_in("jumun-kim").await;
        other.click(&listed).await;
        other.stands("paid").await;
        other.close().await;

        browser.order(shop, "poster").await;
        browser.in_window("card").await;
        let second = browser.stands("paid").await;
        browser.sign_out().await;
        browser.goto("/orders").await;
        assert_eq!(browser.count("main a[href^='/orders/']").await, 0, "the browser shows nobody's orders");
        browser.expect(404, "/orders/");
        browser.goto(&format!("/orders/{second}")).await;
        assert_eq!(browser.count("#standing").await, 0);
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn who_was_away_for_too_long_is_offered_to_sign_in_again() {
    visit(async |shop, browser| {
        browser.goto("/orders").await;
        browser.sign_in("jumun-kim").await;
        shop.execute("UPDATE sessions SET expires_at = now() WHERE member").await;
        browser.goto("/orders").await;
        assert_eq!(browser.count("nav.account .sign-out").await, 0);
        browser.sign_in("jumun-kim").await;
    })
    .await;
}
