//! Other ways to use the shop: another language, the keyboard alone, no scripts.

use serde_json::json;
use thirtyfour::Key;

use crate::browser::Browser;
use crate::buyer::{PAY, taken};
use crate::visit;

#[tokio::test]
async fn the_language_is_switched_once_and_remembered() {
    visit(async |shop, browser| {
        let tag = async || browser.ask("return document.documentElement.lang", vec![]).await;
        browser.goto("/").await;
        assert_eq!(tag().await, "ko");
        browser.click("nav.languages a[hreflang=en]").await;
        browser.find("html[lang=en] main").await;
        browser.order(shop, "mug").await;
        browser.in_window("card").await;
        browser.stands("paid").await;
        assert_eq!(tag().await, "en");
        shop.deliver_events().await;
        browser.goto("/").await;
        assert_eq!(tag().await, "en");
        let phone = &shop.sandbox.all_notifications()[0];
        assert!(phone.title.as_deref().is_some_and(str::is_ascii), "the phone speaks English too: {phone:?}");
        shop.verify().await;
    })
    .await;
}

impl Browser {
    /// Goes on with the tab key to what is searched, and insists that the focus can be seen there.
    async fn tab_to(&self, css: &str) {
        for _ in 0..60 {
            let there = "return document.activeElement.matches(arguments[0])";
            if self.ask(there, vec![json!(css)]).await == true {
                let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(self.ask(outline, vec![]).await, "none", "the focus on {css} is not to be seen");
                return;
            }
            self.press(Key::Tab).await;
        }
        panic!("the tab key does not lead to {css}");
    }
}

#[tokio::test]
async fn the_keyboard_alone_buys_a_mug() {
    visit(async |shop, browser| {
        browser.goto("/").await;
        let page = format!("/checkout/{}", shop.product("mug"));
        browser.tab_to(&format!("a[href='{page}']")).await;
        browser.press(Key::Enter).await;
        browser.arrives(&page).await;
        browser.find(&format!("{PAY}:enabled")).await;
        browser.tab_to("#quantity").await;
        browser.press(Key::Up).await;
        browser.tab_to("#email").await;
        browser.press("buyer@example.com").await;
        browser.tab_to("input[name=sandbox-payment-method]").await;
        browser.tab_to(PAY).await;
        browser.press(Key::Enter).await;
        browser.arrives(shop.sandbox_url()).await;
        browser.tab_to("button[value=card]").await;
        browser.press(Key::Enter).await;
        browser.stands("paid").await;
        assert_eq!(taken(shop), (30_000, 1));
        shop.deliver_events().await;
        shop.verify().await;
    })
    .await;
}

#[tokio::test]
async fn a_smuggled_script_is_not_run_and_is_reported() {
    visit(async |shop, browser| {
        browser.goto("/").await;
        let smuggle = "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=\"window.owned = true\">')";
        browser.ask(smuggle, vec![]).await;
        browser.until("the report to be taken", async || browser.was_answered(204, "/api/csp-reports").await).await;
        assert_eq!(browser.ask("return window.owned ?? null", vec![]).await, serde_json::Value::Null);
        let troubles = browser.troubles().await;
        assert!(troubles.iter().any(|it| it.contains("Content Security Policy")), "{troubles:?}");
        assert_eq!(browser.left(shop, "mug").await, 100);
    })
    .await;
}

#[tokio::test]
async fn without_scripts_all_but_the_payment_works() {
    visit(async |shop, browser| {
        browser.forbid_scripts().await;
        browser.choose(shop, "mug").await;
        assert_eq!(browser.left(shop, "mug").await, 100);
        browser.fill("#quantity", "2").await;
        browser.fill("#email", "buyer@example").await; // to a browser an address, to us none
        browser.expect(422, "/checkout/");
        browser.click(PAY).await;
        assert!(browser.text("#email-problem").await.contains("name@example.com"));
        let typed = browser.find("#quantity").await.value().await.unwrap();
        assert_eq!(typed.as_deref(), Some("2"), "what was typed is kept");
        browser.fill("#email", "buyer@example.com").await;
        browser.double_click(PAY).await;
        let pay = browser.arrives("/orders/").await;
        assert!(!browser.text("noscript .warn").await.is_empty(), "says that paying needs scripts");
        let order =
            pay.strip_prefix("/orders/").and_then(|rest| rest.strip_suffix("/pay")).expect("the order's payment");
        browser.click("nav.languages a[hreflang=en]").await;
        browser.find("html[lang=en] main").await;
        browser.goto("/orders").await;
        browser.click("main a[href^='/orders/']").await;
        browser.click("main form[action$='/cancel'] button").await;
        assert_eq!(browser.stands("canceled").await, order);
        assert_eq!(shop.count("SELECT count(*) FROM orders").await, 1);
    })
    .await;
}
