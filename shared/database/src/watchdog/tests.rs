use uuid::Uuid;

use super::*;
use crate::{MIGRATOR, outbox};

const AGE: Duration = Duration::from_mins(10);
const CONSUMERS: [(&str, &str); 3] = [
    ("checkout-success", "checkout-stock"),
    ("checkout-success", "checkout-push"),
    ("checkout-failed", "checkout-failed-push"),
];

/// 250 events, all of them published just now.
async fn shop() -> PgPool {
    let db = postgres::fresh_with(&MIGRATOR, include_str!("../../fixtures/announced_payments.sql")).await;
    publish(&db).await;
    db
}

async fn publish(db: &PgPool) {
    let events = outbox::claim(db, 1_000, AGE).await.unwrap();
    outbox::mark_published(db, &events.iter().map(|event| event.id).collect::<Vec<_>>()).await.unwrap();
}

async fn execute(db: &PgPool, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(db).await.unwrap();
}

async fn wait(db: &PgPool, minutes: u32) {
    let time = format!("interval '{minutes} minutes'");
    execute(
        db,
        &format!(
            "UPDATE outbox SET published_at = published_at - {time}, look_at = look_at - {time};
            UPDATE watchdog SET looked_until = looked_until - {time}"
        ),
    )
    .await;
}

/// These consumers act upon all events but those of this id's beginning.
async fn take(db: &PgPool, consumers: &str, except: &str) {
    let sql = "INSERT INTO inbox (consumer, event_id) SELECT c, id FROM outbox, unnest($1::text[]) c \
               WHERE id::text NOT LIKE $2 ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(consumers).bind(except).execute(db).await.unwrap();
}

async fn watch(db: &PgPool) -> Look {
    look(db, AGE, &CONSUMERS, 1_000).await.unwrap()
}

const SEVEN: &str = "00000000-0000-0000-0000-000000000007";

fn seven() -> Vec<EventId> {
    vec![SEVEN.parse::<Uuid>().unwrap().into()]
}

#[tokio::test]
async fn an_event_that_lacks_an_effect_is_put_back_at_growing_intervals() {
    let db = shop().await;
    take(&db, "{checkout-stock}", "").await;
    take(&db, "{checkout-push}", SEVEN).await;
    assert_eq!(watch(&db).await, Look { looked: 0, put_back: vec![] }, "too young");

    wait(&db, 11).await;
    assert_eq!(watch(&db).await, Look { looked: 250, put_back: seven() });
    let unpublished: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE published_at IS NULL").fetch_one(&db).await.unwrap();
    assert_eq!(unpublished, 1);
    wait(&db, 60).await;
    assert_eq!(watch(&db).await.looked, 0, "it has not been published yet");
    publish(&db).await;
    assert_eq!(watch(&db).await.looked, 0, "its consumers have had no time yet");

    let mut waits = Vec::new();
    for _ in 0..3 {
        wait(&db, 11).await;
        let mut minutes = 11;
        while watch(&db).await.put_back.is_empty() {
            wait(&db, 1).await;
            minutes += 1;
        }
        publish(&db).await;
        waits.push(minutes);
    }
    assert_eq!(waits, [11, 40, 80], "the first one was due during the outage");
}

#[tokio::test]
async fn an_effect_that_came_after_all_ends_the_watch() {
    let db = shop().await;
    take(&db, "{checkout-stock,checkout-push}", SEVEN).await;
    wait(&db, 11).await;
    assert_eq!(watch(&db).await.put_back, seven());
    publish(&db).await;
    take(&db, "{checkout-stock,checkout-push}", "").await;
    wait(&db, 60).await;
    let complete = Look { looked: 1, put_back: vec![] };
    assert_eq!(watch(&db).await, complete);
    assert_eq!(watch(&db).await, complete, "like any event published since the last look");
    assert_eq!(watch(&db).await.looked, 0);
}

#[tokio::test]
async fn what_a_person_decides_is_left_alone() {
    for (status, put_back) in [("open", vec![]), ("discarded", vec![]), ("replayed", seven())] {
        let db = shop().await;
        take(&db, "{checkout-push}", "").await;
        take(&db, "{checkout-stock}", SEVEN).await;
        let resolved = if status == "open" { "NULL" } else { "now()" };
        execute(
            &db,
            &format!(
                "INSERT INTO dead_letters (id, event_id, source, data, reason, status, resolved_at)
                VALUES (gen_random_uuid(), '{SEVEN}', 'checkout-stock', '', 'test', '{status}', {resolved})"
            ),
        )
        .await;
        wait(&db, 11).await;
        assert_eq!(watch(&db).await.put_back, put_back, "{status}");
    }
}

#[tokio::test]
async fn an_event_whose_letter_was_replayed_is_looked_at_again() {
    use crate::dead_letters::{Decision, Filter, list, mark_replayed};
    let db = shop().await;
    take(&db, "{checkout-push}", "").await;
    take(&db, "{checkout-stock}", SEVEN).await;
    execute(
        &db,
        &format!(
            "INSERT INTO dead_letters (id, event_id, source, data, reason)
            VALUES (gen_random_uuid(), '{SEVEN}', 'checkout-stock', '', 'test')"
        ),
    )
    .await;
    wait(&db, 11).await;
    assert!(watch(&db).await.put_back.is_empty());
    let letter = list(&db, Filter::default(), 1).await.unwrap()[0].id;
    mark_replayed(&db, &[letter], Decision { actor: "mina", reason: None }).await.unwrap();
    wait(&db, 11).await;
    assert_eq!(watch(&db).await, Look { looked: 1, put_back: seven() }, "the engine lost that one too");
}

#[tokio::test]
async fn everything_is_looked_at_once_in_slices() {
    let db = shop().await;
    take(&db, "{checkout-stock,checkout-push}", "").await;
    // Five at a time, as a relay publishes batches.
    let batches = "UPDATE outbox SET published_at = now() - (right(id::text, 3)::int / 5) * interval '1 second'";
    execute(&db, batches).await;
    wait(&db, 11).await;
    let mut slices = Vec::new();
    loop {
        let slice = look(&db, AGE, &CONSUMERS, 98).await.unwrap();
        assert!(slice.put_back.is_empty());
        if slice.looked == 0 {
            break;
        }
        slices.push(slice.looked);
    }
    assert_eq!(slices.iter().sum::<usize>(), 250);
    assert_eq!(slices.len(), 3, "{slices:?}");
}

#[tokio::test]
async fn two_watchdogs_do_not_put_back_twice() {
    let db = shop().await;
    wait(&db, 11).await;
    let (one, other) = tokio::join!(watch(&db), watch(&db));
    assert_eq!(one.put_back.len() + other.put_back.len(), 250);
    let twice: i64 =
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE republished <> 1").fetch_one(&db).await.unwrap();
    assert_eq!(twice, 0);
}
