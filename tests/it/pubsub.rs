//! Google Cloud Pub/Sub, as far as its emulator goes: set up, troubled on the way, killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::future::join_all;
use harness::{Emulator, OpenShop, Trouble};
use jumun::Topology;
use messaging::engine::Engine;
use messaging::google::Access;
use messaging::topology::Worker;
use pubsub_setup::{Change, Setup, Wanted};
use tokio_util::sync::CancellationToken;

async fn setup(emulator: &Emulator, project: &str, stock: &str) -> Setup {
    let wanted = Wanted {
        access: Access { project: project.to_owned(), emulator: Some(emulator.host()) },
        workers: HashMap::from(Worker::ALL.map(|worker| {
            let url = if worker == Worker::Stock { stock } else { "http://127.0.0.1:9" };
            (worker, url.to_owned())
        })),
        service_account: None,
        policy: None,
    };
    Setup::new(wanted).await.unwrap()
}

#[tokio::test]
async fn setting_up_twice_changes_nothing_and_a_new_endpoint_one_thing() {
    let Some(emulator) = Emulator::shared().await else { return };
    let project = format!("setup-{}", uuid::Uuid::new_v4().simple());
    let first = setup(&emulator, &project, "http://127.0.0.1:9001").await;
    let changes = first.survey().await.unwrap();
    assert_eq!(changes.len(), 9, "four topics, five subscriptions");
    first.apply(&changes).await.unwrap();
    assert!(first.survey().await.unwrap().is_empty());

    let moved = setup(&emulator, &project, "http://127.0.0.1:9002/").await;
    let changes = moved.survey().await.unwrap();
    let [Change::UpdateSubscription { .. }] = &changes[..] else { panic!("{changes:?}") };
    assert!(
        changes[0].to_string().ends_with(
            "endpoint: http://127.0.0.1:9001/api/checkout/stock -> http://127.0.0.1:9002/api/checkout/stock"
        )
    );
    moved.apply(&changes).await.unwrap();
    assert!(moved.survey().await.unwrap().is_empty());
    assert_eq!(first.survey().await.unwrap().len(), 1);
}

#[tokio::test]
async fn jumun_up_sets_an_emulator_up_and_again_when_it_has_forgotten() {
    let Some(emulator) = Emulator::of_its_own().await else { return };
    let workers = HashMap::from(Worker::ALL.map(|worker| (worker, "http://127.0.0.1:9".to_owned())));
    let access = |emulator| Access { project: "up".to_owned(), emulator };
    for engine in [Engine::Embedded, Engine::Google(access(None))] {
        assert!(Topology::set_up(&engine, workers.clone()).await.unwrap().is_none(), "{engine:?} is not its business");
    }
    let nobody = Engine::Google(access(Some("127.0.0.1:9".to_owned())));
    let refused = Topology::set_up(&nobody, workers.clone()).await.err().unwrap();
    assert!(refused.to_string().contains("does it run at 127.0.0.1:9?"), "{refused}");

    let engine = Engine::Google(access(Some(emulator.host())));
    let topology = Topology::set_up(&engine, workers).await.unwrap().unwrap();
    let wanted = setup(&emulator, "up", "http://127.0.0.1:9").await;
    assert!(wanted.survey().await.unwrap().is_empty());
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(topology.keep(stop.clone()));
    emulator.kill().await;
    emulator.restart().await;
    let deadline = Instant::now() + Duration::from_mins(2);
    while !wanted.survey().await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nobody set it up again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    keeper.await.unwrap();
}

#[tokio::test]
async fn whatever_happens_on_the_way_each_effect_comes_once() {
    let Some(emulator) = Emulator::shared().await else { return };
    let shop = OpenShop::open_at_google(emulator).await;
    let relay = &shop.google().unwrap().relay;
    let buyer = shop.visitor().await;
    buyer.register_device("phone").await;
    let troubles = [
        Trouble::Overtaken,
        Trouble::Twice,
        Trouble::AnswerLost,
        Trouble::Late(Duration::from_millis(300)),
        Trouble::AnswerLost,
        Trouble::Twice,
        Trouble::Overtaken,
        Trouble::Late(Duration::from_millis(50)),
    ];
    relay.trouble(troubles.repeat(2));
    for _ in 0..10 {
        buyer.buy(&[("mug", 1)]).await;
    }
    shop.deliver_events().await;
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((90, 0), 10));
    shop.verify().await;
    // Lost answers and overtaken messages came again, signed again.
    let again = async || relay.attempts().iter().filter(|it| it.number > 1).count() >= 8;
    shop.eventually("the redeliveries", again).await;
    assert!(relay.attempts().iter().all(|it| [204, 503].contains(&it.status.as_u16())));
    assert_eq!((shop.stock("mug").await, shop.sandbox.notifications("phone").len()), ((90, 0), 10));
}

#[tokio::test]
async fn an_emulator_killed_under_load_only_delays() {
    let Some(emulator) = Emulator::of_its_own().await else { return };
    let shop = OpenShop::open_at_google(Arc::clone(&emulator)).await;
    let buyers = join_all((0..10).map(|_| shop.visitor())).await;
    let sell = async |each: usize| {
        join_all(buyers.iter().map(async |buyer| {
            for _ in 0..each {
                buyer.buy(&[("poster", 1)]).await;
            }
        }))
        .await;
    };
    for _ in 0..2 {
        sell(3).await;
        // Some are published and not delivered, the others not even published.
        shop.api.relay.step().await.unwrap();
        tokio::join!(emulator.kill(), sell(3));
        shop.api.relay.step().await.unwrap();
        assert!(shop.count("SELECT count(*) FROM outbox WHERE published_at IS NULL").await > 0, "they stay");
        emulator.restart().await;
        shop.google().unwrap().set_up().await;
    }
    shop.execute("UPDATE outbox SET claimed_until = now()").await;
    // What the emulator had and forgot is noticed by its effect that does not come.
    while shop.count("SELECT count(*) FROM outbox WHERE published_at IS NULL").await > 0 {
        shop.api.relay.step().await.unwrap();
    }
    shop.wait(TimeDelta::minutes(11)).await;
    shop.api.watchdog.step().await.unwrap();
    shop.deliver_events().await;
    assert_eq!(shop.stock("poster").await, (1_000 - 120, 0));
    shop.verify().await;
}
