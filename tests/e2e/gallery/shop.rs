//! The shelf, a product, paying, the buyer's orders, signing in, and what is not there.

use super::{Page, dress_up, look, look_over, page};
use crate::{FIREBASE, visit, visit_with};

#[tokio::test]
async fn pages_of_the_shop_are_for_everybody() {
    visit(async |shop, browser| {
        dress_up(shop).await;
        let buyer = browser.move_in(shop).await;
        let (mug, poster, rare) = (shop.product("mug"), shop.product("poster"), shop.product("rare"));
        shop.execute(&format!("UPDATE stock SET on_hand = 3 WHERE product_id = '{poster}'")).await;
        shop.visitor().await.buy(&[("rare", 5)]).await;
        shop.deliver_events().await;
        look_over(browser, &buyer, &[page("orders-none", "/orders")]).await;
        let order = buyer.place_order(&[("mug", 1)]).await.id;
        shop.sandbox.set_identity_provider_down(true);
        let pages = [
            page("shelf", "/"),
            page("product", format!("/checkout/{mug}")),
            page("product-sold-out", format!("/checkout/{rare}")),
            page("pay", format!("/orders/{order}/pay")),
            page("error-sold-out", format!("/checkout/error?orderId={order}&reason=sold-out")),
            page("error-mismatch", format!("/checkout/error?orderId={order}&reason=mismatch")),
            page("error-failed", format!("/checkout/error?orderId={order}&reason=failed")),
            page("cancel", format!("/checkout/cancel?order={order}&code=PAY_PROCESS_CANCELED")),
            page("cancel-aborted", format!("/checkout/cancel?order={order}&code=PAY_PROCESS_ABORTED")),
            Page { status: 404, ..page("no-such-product", format!("/checkout/{}", uuid::Uuid::nil())) },
            Page { status: 404, ..page("no-such-order", format!("/orders/{}", uuid::Uuid::nil())) },
            Page { status: 404, ..page("no-such-page", "/nothing/here") },
            Page { status: 422, ..page("bad-link", "/checkout/success") },
            Page { status: 503, ..page("sign-in-unavailable", "/sign-in?return=/") },
        ];
        look_over(browser, &buyer, &pages).await;

        let english = [page("product-english", format!("/checkout/{mug}?lang=en")), page("shelf-english", "/")];
        look_over(browser, &buyer, &english).await;

        browser.goto(&format!("/checkout/{mug}?lang=ko")).await;
        browser.at_rest().await;
        browser.expect(422, "/checkout/");
        let mistaken = "const form = document.getElementById('checkout');
            [form.quantity.value, form.email.value] = ['1000', 'buyer'];
            HTMLFormElement.prototype.submit.call(form);";
        browser.ask(mistaken, vec![]).await;
        browser.find("#email-problem").await;
        browser.at_rest().await;
        let findings = look(browser, "product-wrong").await;
        assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    })
    .await;
}

#[tokio::test]
async fn pages_of_a_member_are_for_everybody() {
    visit_with(&FIREBASE, async |shop, browser| {
        dress_up(shop).await;
        browser.goto("/orders").await;
        browser.sign_in("jumun-kim").await;
        let member = shop.visitor().await;
        member.sign_in("jumun-kim", "/").await;
        member.buy(&[("mug", 2), ("poster", 1), ("shirt", 1)]).await;
        member.place_order(&[("rare", 1)]).await;
        shop.deliver_events().await;
        let refused = Page { status: 400, ..page("sign-in-refused", "/sign-in/callback?state=forged&code=forged") };
        look_over(browser, &member, &[page("orders-member", "/orders"), refused]).await;
        shop.execute("UPDATE orders SET expires_at = now() WHERE status = 'pending'").await;
        shop.verify().await;
    })
    .await;
}
