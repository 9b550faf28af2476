//! Processes that die at the worst moment.

use harness::{OpenShop, Role, ServiceProcess};
use sandbox::Endpoint;

harness::on_both_engines!(
    a_storefront_killed_between_approval_and_commit_ends_paid,
    a_storefront_killed_while_it_sells_loses_no_event,
);

const SERVICE: &str = env!("CARGO_BIN_EXE_service-process");

async fn a_storefront_killed_between_approval_and_commit_ends_paid(shop: OpenShop) {
    let doomed = ServiceProcess::start(&shop, SERVICE, Role::Storefront, None).await;
    let buyer = doomed.visitor(&shop).await;
    buyer.register_device("phone").await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate(&order).await;
    shop.spoil(Endpoint::Confirm, "hang-after", 1);
    buyer.confirm(&payment).await.expect(202);
    assert_eq!(shop.sandbox.approvals(&order.id), 1, "the provider took the money");
    assert_eq!(shop.count("SELECT count(*) FROM payments WHERE status = 'confirming'").await, 1, "we do not know yet");
    doomed.kill().await;
    shop.sandbox.release_hanging_calls();

    let _successor = ServiceProcess::start(&shop, SERVICE, Role::Storefront, None).await;
    shop.execute("UPDATE payments SET next_check_at = now()").await; // instead of waiting for its turn
    let paid = "SELECT count(*) FROM orders WHERE status = 'paid'";
    shop.eventually("the successor to find out", async || shop.count(paid).await == 1).await;
    shop.eventually("the stock to fall", async || shop.stock("mug").await == (99, 0)).await;
    shop.deliver_events().await;
    assert_eq!(shop.sandbox.notifications("phone").len(), 1);
    shop.verify().await;
}

async fn a_storefront_killed_while_it_sells_loses_no_event(shop: OpenShop) {
    let mut bought = 0;
    for _ in 0..4 {
        let doomed = ServiceProcess::start(&shop, SERVICE, Role::Storefront, None).await;
        let buyer = doomed.visitor(&shop).await;
        for _ in 0..5 {
            buyer.buy(&[("poster", 1)]).await;
            bought += 1;
        }
        doomed.kill().await; // with events in the outbox, in deliveries, and on their way
    }
    let sold = "SELECT count(*) FROM stock_ledger WHERE kind = 'sold'";
    shop.execute("UPDATE deliveries SET due_at = now()").await; // the dead broker's leases, run out
    shop.execute("UPDATE outbox SET claimed_until = NULL").await; // and the dead relay's claims
    shop.deliver_events().await;
    assert_eq!(shop.count(sold).await, bought);
    assert_eq!(shop.stock("poster").await, (1_000 - i32::try_from(bought).unwrap(), 0));
    shop.verify().await;
}
