use domain::EventId;
use uuid::Uuid;

use super::shop::Shop;
use crate::verify::audit_phones;

async fn taken(shop: &Shop) -> Vec<EventId> {
    let sent = "SELECT event_id FROM push_attempts WHERE status = 'sent'";
    let events: Vec<Uuid> = sqlx::query_scalar(sent).fetch_all(&shop.db).await.unwrap();
    events.into_iter().map(EventId::from).collect()
}

async fn broken(shop: &Shop, log: &[EventId]) -> Vec<&'static str> {
    let after = async || Ok::<_, sqlx::Error>(log.to_vec());
    let violations = audit_phones(&shop.db, log, None, after).await.unwrap();
    violations.into_iter().map(|violation| violation.name).collect()
}

#[tokio::test]
async fn every_notification_is_on_record_and_the_other_way_round() {
    let shop = Shop::open().await;
    assert_eq!(broken(&shop, &[]).await, [""; 0]);
    shop.pay_and_deliver().await;
    shop.decline_and_deliver().await;
    let log = taken(&shop).await;
    assert_eq!((log.len(), broken(&shop, &log).await), (2, vec![]));

    assert_eq!(broken(&shop, &log[1..]).await, ["phones_reached"]);
    let twice = [log.as_slice(), &log[..1]].concat();
    assert_eq!(broken(&shop, &twice).await, ["phones_told"]);
    assert_eq!(broken(&shop, &[log.as_slice(), &[EventId::new()]].concat()).await, ["phones_told"]);
    shop.execute("UPDATE push_attempts SET unknowns = 1, attempts = 2").await;
    assert_eq!(broken(&shop, &twice).await, [""; 0], "an answer got lost, and that is on record");
    shop.execute("UPDATE push_attempts SET status = 'gave_up', unknowns = 0").await;
    assert_eq!(broken(&shop, &log).await, ["phones_told"]);
}

#[tokio::test]
async fn what_is_sent_while_we_look_is_no_contradiction() {
    let shop = Shop::open().await;
    shop.pay_and_deliver().await;
    let before = taken(&shop).await;
    shop.decline_and_deliver().await;
    let after = async || Ok::<_, sqlx::Error>(taken(&shop).await);
    assert!(audit_phones(&shop.db, &before, None, after).await.unwrap().is_empty());
}
