use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::DateTime;
use database::dead_letters::{self, Content, Filter, Summary};
use domain::EventId;
use messaging::envelope::{CE_ID, Outgoing};
use tower::ServiceExt as _;

use super::*;

async fn deliver(db: &PgPool, message_id: &str, data: &[u8], attributes: &[(&str, &str)]) -> StatusCode {
    let push = Outgoing {
        subscription: "projects/shop/subscriptions/dead-letter-sub",
        message_id,
        publish_time: DateTime::UNIX_EPOCH,
        data,
        attributes: attributes.iter().copied().collect::<BTreeMap<_, _>>(),
        delivery_attempt: None,
    };
    post_body(db, push.encode().unwrap()).await
}

async fn post_body(db: &PgPool, body: impl Into<Body>) -> StatusCode {
    let request = Request::post(DEAD_LETTER_PATH).body(body.into()).unwrap();
    let router = router(App::new(db.clone(), PushAuth::loopback("shop")));
    router.oneshot(request).await.unwrap().status()
}

async fn only_letter(db: &PgPool) -> (Summary, Content) {
    let mut letters = dead_letters::list(db, Filter::default(), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    let content = dead_letters::content(db, letter.id).await.unwrap().unwrap();
    (letter, content)
}

#[tokio::test]
async fn a_dead_letter_is_stored_once_with_its_origin() {
    let db = postgres::fresh(&database::MIGRATOR).await;
    let event = EventId::new();
    let id = event.to_string();
    let attributes = [(CE_ID, id.as_str()), (DEAD_LETTER_SUBSCRIPTION, "checkout-stock"), (DEAD_LETTER_COUNT, "100")];
    for _ in 0..3 {
        assert_eq!(deliver(&db, "7", b"{\0}", &attributes).await, StatusCode::NO_CONTENT);
    }
    let (letter, content) = only_letter(&db).await;
    assert_eq!(
        (letter.event, letter.source.as_str(), letter.delivery_attempts),
        (Some(event), "checkout-stock", Some(100))
    );
    assert_eq!((content.data.as_slice(), content.message_id.as_deref()), (b"{\0}".as_slice(), Some("7")));
    assert_eq!(content.attributes[CE_ID], id);
    assert_eq!(letter.reason, "not acknowledged in 100 delivery attempts");
}

#[tokio::test]
async fn a_nul_and_nonsense_are_stored_too() {
    let db = postgres::fresh(&database::MIGRATOR).await;
    let attributes =
        [("na\0me", "\0"), (CE_ID, "not an id"), (DEAD_LETTER_SUBSCRIPTION, "s\0"), (DEAD_LETTER_COUNT, "many")];
    assert_eq!(deliver(&db, "\0", b"", &attributes).await, StatusCode::NO_CONTENT);
    let (letter, _) = only_letter(&db).await;
    assert_eq!((letter.event, letter.source.as_str(), letter.delivery_attempts), (None, "s\u{fffd}", None));
}

#[tokio::test]
async fn what_is_not_a_message_is_stored_as_it_came() {
    let db = postgres::fresh(&database::MIGRATOR).await;
    assert_eq!(post_body(&db, "{\"message\": \0").await, StatusCode::NO_CONTENT);
    let (letter, content) = only_letter(&db).await;
    assert_eq!(
        (letter.source.as_str(), content.data.as_slice()),
        ("dead-letter-worker", b"{\"message\": \0".as_slice())
    );
}

#[tokio::test]
async fn ten_megabytes_are_stored() {
    let db = postgres::fresh(&database::MIGRATOR).await;
    let data = vec![0; 10_000_000];
    assert_eq!(deliver(&db, "1", &data, &[]).await, StatusCode::NO_CONTENT);
    assert_eq!(only_letter(&db).await.1.data, data);
    assert_eq!(post_body(&db, vec![b' '; 15 * 1024 * 1024]).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn trouble_with_the_database_means_later() {
    let db = postgres::fresh(&database::MIGRATOR).await;
    db.close().await;
    assert_eq!(deliver(&db, "1", b"", &[]).await, StatusCode::SERVICE_UNAVAILABLE);
}
