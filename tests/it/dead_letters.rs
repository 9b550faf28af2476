//! The dead-letter desk: what nobody could take is kept, and replayed under the same event id.

use std::sync::Arc;

use database::dead_letters::{self, Decision, Filter, Status, Summary};
use dead_letter_worker::desk::Replay;
use harness::{OpenShop, Shop};
use messaging::embedded::EmbeddedPublisher;
use messaging::topology::Worker;

const DECISION: Decision<'_> = Decision { actor: "mina", reason: Some("the worker is back") };

async fn letters(shop: &Shop, status: Status) -> Vec<Summary> {
    let filter = Filter { status: Some(status), ..Filter::default() };
    dead_letters::list(&shop.db, filter, 100).await.unwrap()
}

async fn replay(shop: &Shop, letters: &[Summary]) {
    let publisher = EmbeddedPublisher::new(shop.db.clone(), Arc::default());
    let plan = Replay::plan(&shop.db, letters).await.unwrap();
    let done = plan.carry_out(&shop.db, &publisher, DECISION).await.unwrap();
    assert_eq!((done.replayed.len(), done.refused.len()), (letters.len(), 0));
}

/// Orders whose stock events died while the worker was down, and whose buyers were told.
async fn shop_with_dead_letters(orders: usize) -> (OpenShop, Vec<Summary>) {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    shop.worker_down(Worker::Stock).await;
    for _ in 0..orders {
        buyer.buy(&[("mug", 1)]).await;
    }
    shop.deliver_events().await; // five attempts, then the dead-letter topic
    let letters = letters(&shop, Status::Open).await;
    assert_eq!((letters.len(), shop.stock("mug").await.0), (orders, 100));
    assert_eq!(shop.sandbox.notifications("phone").len(), orders);
    (shop, letters)
}

#[tokio::test]
async fn a_replayed_letter_has_its_effect_once_however_often_it_is_replayed() {
    let (shop, letters) = shop_with_dead_letters(3).await;
    shop.worker_up(Worker::Stock).await;
    replay(&shop, &letters).await;
    replay(&shop, &letters).await; // before anything of the first one was delivered
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((97, 0), 3));
    replay(&shop, &letters).await; // of events long applied
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((97, 0), 3));
    assert_eq!(dead_letters::actions(&shop.db, letters[0].id).await.unwrap().len(), 3);
    shop.verify().await;
}

#[tokio::test]
async fn a_letter_that_dies_again_is_a_new_letter() {
    let (shop, letters) = shop_with_dead_letters(1).await;
    replay(&shop, &letters).await;
    shop.deliver_events().await;
    let again = self::letters(&shop, Status::Open).await;
    assert_eq!((again.len(), again[0].event), (1, letters[0].event));
    assert_ne!(again[0].id, letters[0].id);

    shop.worker_up(Worker::Stock).await;
    replay(&shop, &again).await;
    shop.deliver_events().await;
    assert_eq!(shop.stock("mug").await, (99, 0));
    shop.verify().await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_desk_cannot_write() {
    let shop = OpenShop::open().await;
    let buyer = shop.visitor().await;
    shop.worker_down(Worker::Stock).await;
    buyer.buy(&[("mug", 1)]).await;
    shop.execute("ALTER TABLE dead_letters RENAME TO out_of_reach").await;
    let waiting = "SELECT count(*) FROM deliveries WHERE subscription = 'dead-letter-sub' AND attempts > 5";
    shop.eventually("the desk to be tried again and again", async || {
        shop.api.relay.step().await.unwrap();
        shop.api.broker.as_ref().unwrap().deliver_due().await.unwrap();
        shop.count(waiting).await == 1
    })
    .await;
    shop.execute("ALTER TABLE out_of_reach RENAME TO dead_letters").await;
    shop.deliver_events().await;
    assert_eq!(letters(&shop, Status::Open).await.len(), 1);
}
