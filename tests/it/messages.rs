//! Messages that come twice, late, in any order, or make no sense.

use futures_util::future::join_all;
use harness::{OpenShop, Push};
use messaging::topology::Worker;

harness::on_both_engines!(
    a_message_delivered_five_times_and_twice_at_once_takes_stock_once,
    thirty_two_deliveries_at_once_are_one,
    a_message_that_can_never_succeed_is_parked_with_its_reason,
    an_event_of_an_order_that_is_not_paid_takes_nothing,
    a_worker_that_is_down_loses_nothing,
    what_no_worker_takes_in_time_reaches_the_dead_letter_desk,
);

async fn a_message_delivered_five_times_and_twice_at_once_takes_stock_once(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    buyer.register_device("tablet").await;
    let orders = [buyer.buy(&[("mug", 2)]).await, buyer.buy(&[("mug", 1), ("shirt", 1)]).await];
    let mut pushes = Vec::new();
    for order in orders.iter().rev() {
        for subscription in ["checkout-push", "checkout-stock"] {
            let push = Push::of_event(&shop, order, "checkout-success", subscription).await;
            pushes.extend((0..5).map(|_| push.clone()));
        }
    }
    for pair in pushes.chunks(2) {
        for status in join_all(pair.iter().map(|push| push.deliver(&shop))).await {
            assert_eq!(status, 204);
        }
    }
    shop.deliver_events().await; // and once more, by the engine
    assert_eq!((shop.stock("mug").await, shop.stock("shirt").await), ((97, 0), (49, 0)));
    assert_eq!((shop.sandbox.notifications("phone").len(), shop.sandbox.notifications("tablet").len()), (2, 2));
    shop.verify().await;
}

async fn thirty_two_deliveries_at_once_are_one(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.buy(&[("rare", 5)]).await;
    let push = Push::of_event(&shop, &order, "checkout-success", "checkout-stock").await;
    for status in join_all((0..32).map(|_| push.deliver(&shop))).await {
        assert_eq!(status, 204);
    }
    assert_eq!(shop.stock("rare").await, (0, 0));
    shop.deliver_events().await;
    shop.verify().await;
}

async fn a_message_that_can_never_succeed_is_parked_with_its_reason(shop: OpenShop) {
    let unknown = uuid::Uuid::new_v4().to_string();
    let poison = [
        Push::raw("checkout-stock", b"not json at all".to_vec()),
        Push::raw("checkout-stock", vec![0; 100]),
        Push::raw("checkout-stock", vec![b'['; 60_000]),
        Push::message("checkout-stock", "not an event id", b"{}"),
        Push::message("checkout-stock", &unknown, b"{\"orderId\":\"\\u0000\"}"),
        Push::message("checkout-push", &unknown, b"\0"),
    ];
    for push in &poison {
        assert_eq!(push.deliver(&shop).await, 204, "parked, not retried for hours");
    }
    let parked = shop.count("SELECT count(*) FROM dead_letters WHERE status = 'open' AND length(reason) > 0").await;
    assert_eq!(parked, i64::try_from(poison.len()).unwrap());
    assert_eq!(shop.count("SELECT count(*) FROM stock_ledger WHERE kind = 'sold'").await, 0);

    let huge = Push::raw("checkout-stock", vec![b'x'; 100_000]);
    assert_eq!(huge.deliver(&shop).await, 413);
    let foreign = Push::message("somebody-elses", &unknown, b"{}");
    assert_eq!(foreign.deliver(&shop).await, 403);
}

async fn an_event_of_an_order_that_is_not_paid_takes_nothing(shop: OpenShop) {
    let buyer = shop.visitor().await;
    let order = buyer.place_order(&[("mug", 1)]).await;
    let payment = buyer.authenticate_by(&order, &[("choice", "decline"), ("code", "REJECT_CARD_PAYMENT")]).await;
    buyer.confirm(&payment).await.expect_problem(402, "payment-declined");
    // A valid event id, but of a failure: nobody may turn it into a sale.
    let forged = Push::of_event(&shop, &order, "checkout-failed", "checkout-stock").await;
    assert_eq!(forged.deliver(&shop).await, 204);
    assert_eq!(shop.stock("mug").await, (100, 0));
    assert_eq!(shop.count("SELECT count(*) FROM dead_letters").await, 1);
}

async fn a_worker_that_is_down_loses_nothing(shop: OpenShop) {
    let buyer = shop.visitor().await;
    shop.worker_down(Worker::Stock).await;
    let order = buyer.buy(&[("mug", 1)]).await;
    shop.deliver_in_vain("checkout-stock").await;
    assert_eq!((buyer.status(&order).await.as_str(), shop.stock("mug").await), ("paid", (100, 1)));
    shop.worker_up(Worker::Stock).await;
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (99, 0));
    shop.verify().await;
}

async fn what_no_worker_takes_in_time_reaches_the_dead_letter_desk(shop: OpenShop) {
    let buyer = shop.visitor().await;
    shop.worker_down(Worker::Stock).await;
    let order = buyer.buy(&[("mug", 1)]).await;
    shop.deliver_events().await; // five attempts, then the dead-letter topic
    let sql = "SELECT count(*) FROM dead_letters WHERE source = 'checkout-stock' AND delivery_attempts = 5";
    assert_eq!(shop.count(sql).await, 1);
    assert_eq!(shop.stock("mug").await, (100, 1), "still promised to the order");
    assert_eq!(buyer.status(&order).await, "paid");
}
