//! Messages that the engine acknowledged and then lost: the watchdog notices that their effects do not come.

use chrono::TimeDelta;
use harness::OpenShop;

harness::on_both_engines!(an_engine_that_forgets_everything_only_delays, whoever_was_not_forgotten_sees_a_duplicate,);

async fn an_engine_that_forgets_everything_only_delays(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    for quantity in [1, 2, 3] {
        buyer.buy(&[("mug", quantity)]).await;
    }
    shop.publish_and_forget(&["checkout-stock", "checkout-push"]).await;
    shop.deliver_round().await;
    assert_eq!(shop.api.watchdog.step().await.unwrap(), 0, "they may still be on their way");
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((100, 6), 0));

    shop.wait(TimeDelta::minutes(11)).await;
    assert_eq!(shop.api.watchdog.step().await.unwrap(), 3);
    assert_eq!(shop.api.watchdog.step().await.unwrap(), 0, "not in every round");
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((94, 0), 3));
    shop.verify().await;

    shop.wait(TimeDelta::hours(24)).await;
    assert_eq!(shop.api.watchdog.step().await.unwrap(), 0, "everything had its effect");
}

async fn whoever_was_not_forgotten_sees_a_duplicate(shop: OpenShop) {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    buyer.buy(&[("mug", 1)]).await;
    shop.publish_and_forget(&["checkout-stock"]).await;
    let told = async || {
        shop.deliver_round().await;
        shop.sandbox.notifications("phone").len() == 1
    };
    shop.eventually("the phone to be told", told).await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((100, 1), 1));

    shop.wait(TimeDelta::minutes(11)).await;
    assert_eq!(shop.api.watchdog.step().await.unwrap(), 1);
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((99, 0), 1));
    shop.verify().await;
}
