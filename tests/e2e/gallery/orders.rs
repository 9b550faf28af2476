//! An order in each of its states, where the payment window leads back to and later.

use chrono::TimeDelta;
use harness::{Authenticated, Buyer, OpenShop, Placed};
use sandbox::Endpoint;
use serde_json::json;

use super::{dress_up, look_over, page};
use crate::visit;

/// Orders, and has an account opened to transfer to.
async fn transfer(buyer: &Buyer, product: &str) -> (Placed, Authenticated) {
    let order = buyer.place_order(&[(product, 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "virtual-account")]).await;
    buyer.confirm(&payment).await.expect(200);
    (order, payment)
}

#[tokio::test]
async fn pages_of_an_order_are_for_everybody() {
    visit(async |shop, browser| {
        dress_up(shop).await;
        let buyer = browser.move_in(shop).await;
        let paid = buyer.buy(&[("mug", 2), ("poster", 1)]).await.id;
        let unpaid = buyer.place_order(&[("shirt", 1)]).await.id;
        let declined = buyer.place_order(&[("mug", 1)]).await;
        let choice = [("choice", "decline"), ("code", "INVALID_STOPPED_CARD")];
        let payment = buyer.authenticate_by(&declined, &choice).await;
        buyer.confirm(&payment).await.expect(402);
        let (awaiting, _) = transfer(&buyer, "poster").await;
        let canceled = buyer.place_order(&[("poster", 3)]).await.id;
        buyer.post(&format!("/api/orders/{canceled}/cancel"), &json!({})).await.expect(200);
        let overdue = "UPDATE orders SET expires_at = now() - interval '1 hour' WHERE id =";
        let expired = buyer.place_order(&[("poster", 4)]).await.id;
        shop.execute(&format!("{overdue} '{expired}'")).await;
        database::orders::expire(&shop.db, 500).await.unwrap();
        let too_late = buyer.place_order(&[("poster", 5)]).await.id;
        shop.execute(&format!("{overdue} '{too_late}'")).await;
        let unknown = buyer.place_order(&[("rare", 1)]).await;
        let payment = buyer.authenticate(&unknown).await;
        shop.spoil(Endpoint::Confirm, "answer-lost", 1);
        shop.spoil(Endpoint::Query, "html-502", 1);
        buyer.confirm(&payment).await.expect(202);
        shop.deliver_events().await;
        let pages = [
            page("orders", "/orders"),
            page("success-paid", format!("/checkout/success?orderId={paid}")),
            page("success-checking", format!("/checkout/success?orderId={}", unknown.id)),
            page("success-transfer", format!("/checkout/success?orderId={}", awaiting.id)),
            page("error-declined", format!("/checkout/error?orderId={}&reason=declined", declined.id)),
            page("order-paid", format!("/orders/{paid}")),
            page("order-checking", format!("/orders/{}", unknown.id)),
            page("order-transfer", format!("/orders/{}", awaiting.id)),
            page("order-unpaid", format!("/orders/{unpaid}")),
            page("order-declined", format!("/orders/{}", declined.id)),
            page("order-canceled", format!("/orders/{canceled}")),
            page("order-overdue", format!("/orders/{too_late}")),
            page("order-expired", format!("/orders/{expired}")),
        ];
        look_over(browser, &buyer, &pages).await;
        shop.wait(TimeDelta::minutes(1)).await;
        shop.reconcile().await;
    })
    .await;
}

#[tokio::test]
async fn pages_of_money_that_goes_back_are_for_everybody() {
    visit(async |shop, browser| {
        dress_up(shop).await;
        let buyer = browser.move_in(shop).await;
        let people = shop.operator();
        let refunded = buyer.buy(&[("shirt", 2)]).await.id;
        people.refund(&refunded, json!({})).await.expect(201);
        let partly = buyer.buy(&[("poster", 2)]).await.id;
        people.refund(&partly, json!({"amount": 9_000})).await.expect(201);
        // Nobody said where a transfer is to be given back to: a person of the shop has to ask the buyer.
        let (refused, _) = transfer(&buyer, "mug").await;
        shop.execute("UPDATE payments SET refund_bank = NULL, refund_account = NULL, refund_holder = NULL").await;
        shop.sandbox.deposit(&refused.id);
        shop.learn(&refused.id, 1).await;
        people.refund(&refused.id, json!({})).await.expect(422);
        let (late, _) = transfer(&buyer, "mug").await;
        shop.execute(&format!("UPDATE payments SET deposit_due_at = now() WHERE order_id = '{}'", late.id)).await;
        let (closed, payment) = transfer(&buyer, "shirt").await;
        people.cancel_at_console(&payment.payment_key, closed.amount).await;
        shop.learn(&closed.id, 1).await;
        let (reversed, _) = transfer(&buyer, "poster").await;
        shop.sandbox.deposit(&reversed.id);
        shop.learn(&reversed.id, 1).await;
        shop.sandbox.reverse_deposit(&reversed.id);
        shop.learn(&reversed.id, 1).await;
        let for_nothing = given_back(shop, &buyer).await;
        let refunding = buyer.buy(&[("rare", 1)]).await.id;
        shop.spoil(Endpoint::Cancel, "answer-lost", 1);
        shop.spoil(Endpoint::Query, "before-500", 1);
        people.refund(&refunding, json!({})).await.expect(202);
        let order = |name, id: &str| page(name, format!("/orders/{id}"));
        let pages = [
            order("order-refunded", &refunded),
            order("order-part-refunded", &partly),
            order("order-refunding", &refunding),
            order("order-refund-refused", &refused.id),
            order("order-given-back", &for_nothing),
            order("order-transfer-late", &late.id),
            order("order-transfer-closed", &closed.id),
            order("order-transfer-reversed", &reversed.id),
            page("orders-money-back", "/orders"),
        ];
        look_over(browser, &buyer, &pages).await;
    })
    .await;
}

/// An order that had ended when the money came, which waits to be given back.
async fn given_back(shop: &OpenShop, buyer: &Buyer) -> String {
    let (order, _) = transfer(buyer, "poster").await;
    let id = &order.id;
    shop.execute(&format!(
        "UPDATE payments SET status = 'canceled', settled_at = now(), next_check_at = NULL WHERE order_id = '{id}'"
    ))
    .await;
    shop.execute(&format!("UPDATE orders SET status = 'expired', payment_key = NULL WHERE id = '{id}'")).await;
    shop.sandbox.deposit(id);
    shop.learn(id, 1).await;
    order.id
}
