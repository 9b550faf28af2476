//! The dead-letter desk: what nobody could take is kept, and replayed under the same event id.

use database::Role;
use database::dead_letters::{self, Decision, Filter, Status, Summary};
use dead_letter_worker::desk::Replay;
use harness::{OpenShop, Shop};
use messaging::topology::Worker;

harness::on_both_engines!(
    a_replayed_letter_has_its_effect_once_however_often_it_is_replayed,
    a_letter_that_dies_again_is_a_new_letter,
    nothing_is_lost_while_the_desk_cannot_write,
);

const DECISION: Decision<'_> = Decision { actor: "mina", reason: Some("the worker is back") };

async fn letters(shop: &Shop, status: Status) -> Vec<Summary> {
    let filter = Filter { status: Some(status), ..Filter::default() };
    dead_letters::list(&shop.acting_as(Role::Desk).await, filter, 100).await.unwrap()
}

async fn replay(shop: &Shop, letters: &[Summary]) {
    let (db, publisher) = (shop.acting_as(Role::Desk).await, shop.publisher().await);
    let plan = Replay::plan(&db, letters).await.unwrap();
    let done = plan.carry_out(&db, publisher.as_ref(), DECISION).await.unwrap();
    assert_eq!((done.replayed.len(), done.refused.len()), (letters.len(), 0));
}

/// Orders whose stock events died while the worker was down, and whose buyers were told.
async fn dead_letters_of(shop: &OpenShop, orders: usize) -> Vec<Summary> {
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    shop.worker_down(Worker::Stock).await;
    for _ in 0..orders {
        buyer.buy(&[("mug", 1)]).await;
    }
    shop.deliver_events().await; // five attempts, then the dead-letter topic
    let letters = letters(shop, Status::Open).await;
    assert_eq!((letters.len(), shop.stock("mug").await.0), (orders, 100));
    assert_eq!(shop.sandbox.notifications("phone").len(), orders);
    letters
}

async fn a_replayed_letter_has_its_effect_once_however_often_it_is_replayed(shop: OpenShop) {
    let letters = dead_letters_of(&shop, 3).await;
    shop.worker_up(Worker::Stock).await;
    replay(&shop, &letters).await;
    replay(&shop, &letters).await; // before anything of the first one was delivered
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((97, 0), 3));
    replay(&shop, &letters).await; // of events long applied
    shop.deliver_events().await;
    shop.acknowledged("checkout-stock", 3 * letters.len()).await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((97, 0), 3));
    assert_eq!(dead_letters::actions(&shop.acting_as(Role::Desk).await, letters[0].id).await.unwrap().len(), 3);
    shop.verify().await;
}

async fn a_letter_that_dies_again_is_a_new_letter(shop: OpenShop) {
    let letters = dead_letters_of(&shop, 1).await;
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

async fn nothing_is_lost_while_the_desk_cannot_write(shop: OpenShop) {
    let buyer = shop.visitor().await;
    shop.worker_down(Worker::Stock).await;
    buyer.buy(&[("mug", 1)]).await;
    shop.execute("ALTER TABLE dead_letters RENAME TO out_of_reach").await;
    shop.deliver_in_vain("dead-letter-sub").await;
    shop.execute("ALTER TABLE out_of_reach RENAME TO dead_letters").await;
    shop.deliver_events().await;
    assert_eq!(letters(&shop, Status::Open).await.len(), 1);
}
