use super::*;
use crate::MIGRATOR;

const NONE: &BTreeMap<String, String> = &BTreeMap::new();
const DECISION: Decision<'_> = Decision { actor: "mina", reason: Some("the worker was down") };

fn letter<'a>(message_id: Option<&'a str>, data: &'a [u8]) -> Letter<'a> {
    Letter {
        event: None,
        source: "checkout-stock",
        message_id,
        data,
        attributes: NONE,
        reason: "not JSON",
        delivery_attempts: None,
    }
}

async fn count(db: &PgPool, filter: Filter<'_>) -> usize {
    list(db, filter, 10).await.unwrap().len()
}

#[tokio::test]
async fn a_message_is_kept_once() {
    let db = postgres::fresh(&MIGRATOR).await;
    assert!(park(&db, letter(Some("1"), b"a")).await.unwrap());
    assert!(!park(&db, letter(Some("1"), b"a")).await.unwrap());
    assert!(park(&db, letter(Some("1"), b"b")).await.unwrap(), "Google's emulator counts from 1 after a restart");
    assert!(park(&db, Letter { source: "checkout-push", ..letter(Some("1"), b"a") }).await.unwrap());
    assert!(park(&db, letter(None, b"a")).await.unwrap());
    assert_eq!(count(&db, Filter::default()).await, 4);
    assert_eq!(list(&db, Filter::default(), 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_nul_anywhere_is_no_reason_to_lose_it() {
    let db = postgres::fresh(&MIGRATOR).await;
    let attributes = BTreeMap::from([("na\0me".into(), "val\0ue".into())]);
    let event = EventId::new();
    let data = [0, 159, 146, 150, 0];
    let nasty = Letter {
        event: Some(event),
        source: "sou\0rce",
        message_id: Some("1\0"),
        data: &data,
        attributes: &attributes,
        reason: "why\0",
        delivery_attempts: Some(5),
    };
    assert!(park(&db, nasty).await.unwrap());
    assert!(!park(&db, nasty).await.unwrap());
    let kept = list(&db, Filter::default(), 1).await.unwrap().remove(0);
    assert_eq!((kept.event, kept.delivery_attempts, kept.status), (Some(event), Some(5), Status::Open));
    let content = content(&db, kept.id).await.unwrap().unwrap();
    assert_eq!(content.data, data);
    assert_eq!(content.attributes, serde_json::json!({"na\u{fffd}me": "val\u{fffd}ue"}));
    assert!(super::content(&db, Uuid::nil()).await.unwrap().is_none());
}

#[tokio::test]
async fn every_filter_leaves_out_what_it_says() {
    let db = postgres::fresh(&MIGRATOR).await;
    let paid = BTreeMap::from([("ce-type".into(), "checkout-success".into())]);
    park(&db, Letter { attributes: &paid, reason: "100% Wrong", ..letter(None, b"a") }).await.unwrap();
    park(&db, Letter { source: "checkout-push", ..letter(None, b"b") }).await.unwrap();
    let all = list(&db, Filter::default(), 10).await.unwrap();
    let ids = [all[1].id];
    discard(&db, &ids, DECISION).await.unwrap();

    let future = Utc::now() + chrono::TimeDelta::minutes(1);
    for (filter, left) in [
        (Filter { ids: Some(&ids), ..Filter::default() }, 1),
        (Filter { ids: Some(&[]), ..Filter::default() }, 0),
        (Filter { status: Some(Status::Open), ..Filter::default() }, 1),
        (Filter { status: Some(Status::Replayed), ..Filter::default() }, 0),
        (Filter { source: Some("checkout-push"), status: Some(Status::Discarded), ..Filter::default() }, 1),
        (Filter { source: Some("checkout-push"), status: Some(Status::Open), ..Filter::default() }, 0),
        (Filter { event_type: Some(EventType::CheckoutSuccess), ..Filter::default() }, 1),
        (Filter { event_type: Some(EventType::CheckoutFailed), ..Filter::default() }, 0),
        (Filter { since: Some(all[0].received_at), ..Filter::default() }, 2),
        (Filter { since: Some(future), ..Filter::default() }, 0),
        (Filter { reason: Some("0% WRONG"), ..Filter::default() }, 1),
        (Filter { reason: Some("% w"), ..Filter::default() }, 1),
        (Filter { reason: Some("1%wrong"), ..Filter::default() }, 0),
    ] {
        assert_eq!(count(&db, filter).await, left, "{filter:?}");
    }
}

#[tokio::test]
async fn every_decision_is_on_record() {
    let db = postgres::fresh(&MIGRATOR).await;
    for data in [b"a", b"b"] {
        park(&db, letter(None, data)).await.unwrap();
    }
    let ids: Vec<Uuid> = list(&db, Filter::default(), 10).await.unwrap().iter().map(|it| it.id).collect();
    let mute = Decision { reason: None, ..DECISION };
    assert!(discard(&db, &ids, mute).await.is_err(), "giving up needs a reason");
    assert_eq!(discard(&db, &ids[..1], DECISION).await.unwrap(), ids[..1]);
    assert_eq!(discard(&db, &ids, DECISION).await.unwrap(), ids[1..], "only what is open");
    mark_replayed(&db, &ids[..1], mute).await.unwrap();
    mark_replayed(&db, &ids[..1], mute).await.unwrap();

    let told: Vec<_> =
        actions(&db, ids[0]).await.unwrap().into_iter().map(|it| (it.action, it.actor, it.reason)).collect();
    let action = |what: &str, why: Option<&str>| (what.to_owned(), "mina".to_owned(), why.map(str::to_owned));
    assert_eq!(told, [action("discarded", DECISION.reason), action("replayed", None), action("replayed", None)]);
    let filter = Filter { ids: Some(&ids), ..Filter::default() };
    let statuses: Vec<_> = list(&db, filter, 10).await.unwrap().iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Status::Replayed, Status::Discarded]);
}
