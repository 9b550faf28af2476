use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn webhook(body: &[u8]) -> Webhook {
    Webhook {
        body: body.to_vec(),
        transmission_id: Some("whtrans_\0".into()),
        transmission_time: None,
        signature: None,
        source: Some([127, 0, 0, 1].into()),
    }
}

fn found(waiting: &Waiting, next: Next) -> Finding {
    Finding { lease: waiting.lease, payment: None, asked_at: None, next }
}

async fn statuses(db: &PgPool) -> Vec<(String, i32)> {
    sqlx::query_as("SELECT status, receipts FROM webhook_inbox ORDER BY body").fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn the_same_words_are_kept_once_and_any_bytes_are() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    let odd = b"\0\xff not JSON".to_vec();
    let large = vec![b'x'; 1024 * 1024];
    store(&db, &[webhook(&odd), webhook(&large), webhook(&odd)]).await.unwrap();
    store(&db, &[webhook(&odd)]).await.unwrap();
    assert_eq!(statuses(&db).await, [("pending".into(), 2), ("pending".into(), 1)]);
    let waiting = take(&db, 10, MINUTE).await.unwrap();
    let bodies: Vec<_> = waiting.into_iter().map(|it| it.body).collect();
    assert!(bodies.contains(&Some(odd)) && bodies.contains(&None), "what is larger than any webhook is not read");
}

#[tokio::test]
async fn one_worker_looks_and_one_that_froze_has_no_say() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    store(&db, &[webhook(b"1")]).await.unwrap();
    let (one, other) = tokio::join!(take(&db, 10, MINUTE), take(&db, 10, MINUTE));
    let mut taken = [one.unwrap(), other.unwrap()].concat();
    assert_eq!(taken.len(), 1);
    let frozen = taken.remove(0);
    sqlx::query("UPDATE webhook_inbox SET due_at = now()").execute(&db).await.unwrap();
    let second = take(&db, 10, MINUTE).await.unwrap().remove(0);
    record(&db, &[found(&frozen, Next::Ignored("too late"))]).await.unwrap();
    assert_eq!(statuses(&db).await[0].0, "pending");
    record(&db, &[found(&second, Next::Later(MINUTE, "not yet"))]).await.unwrap();
    assert!(take(&db, 10, MINUTE).await.unwrap().is_empty());
}

/// How long to leave the provider alone follows from this, and when a person is called.
#[tokio::test]
async fn only_a_question_without_an_answer_counts_as_an_attempt() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    store(&db, &[webhook(b"1")]).await.unwrap();
    let now = Duration::ZERO;
    for (next, attempts) in [
        (Next::Later(now, "too many at once"), 0),
        (Next::Later(now, "too many at once"), 0),
        (Next::Unanswered(now, "the provider did not answer"), 0),
        (Next::Later(now, "asked just now"), 1),
        (Next::Done("asked"), 1),
    ] {
        let waiting = take(&db, 10, MINUTE).await.unwrap().remove(0);
        assert_eq!(waiting.attempts, attempts, "{next:?}");
        record(&db, &[found(&waiting, next)]).await.unwrap();
    }
}

#[tokio::test]
async fn what_comes_again_while_it_is_looked_into_is_looked_into_again() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    store(&db, &[webhook(b"1")]).await.unwrap();
    let first = take(&db, 10, MINUTE).await.unwrap().remove(0);
    store(&db, &[webhook(b"1")]).await.unwrap();
    record(&db, &[found(&first, Next::Done("asked"))]).await.unwrap();
    assert_eq!(statuses(&db).await, [("pending".into(), 2)]);
    let again = take(&db, 10, MINUTE).await.unwrap().remove(0);
    assert!(again.received_at > first.received_at);
    record(&db, &[found(&again, Next::Done("asked"))]).await.unwrap();
    assert_eq!(statuses(&db).await, [("done".into(), 2)]);
    store(&db, &[webhook(b"1")]).await.unwrap();
    assert_eq!(take(&db, 10, MINUTE).await.unwrap().len(), 1, "also when it had been done");
}

#[tokio::test]
async fn a_payment_is_found_by_key_and_by_attempt() {
    let db = postgres::fresh_with(&crate::MIGRATOR, include_str!("../../fixtures/announced_payments.sql")).await;
    let (payment, order, key): (Uuid, Uuid, String) =
        sqlx::query_as("SELECT id, order_id, payment_key FROM payments LIMIT 1").fetch_one(&db).await.unwrap();
    let order = OrderId::from(order);
    let wanted = [
        Name::Key(key.parse().unwrap()),
        Name::Key("no-such-key".parse().unwrap()),
        Name::Order(ProviderOrderId { order, attempt: 1 }),
        Name::Order(ProviderOrderId { order, attempt: 2 }),
    ];
    let named = find(&db, &wanted).await.unwrap();
    let ids: Vec<_> = named.iter().map(|it| it.as_ref().map(|it| it.payment.uuid())).collect();
    assert_eq!(ids, [Some(payment), None, Some(payment), None]);
    assert_eq!(named[0].as_ref().unwrap().asked_at, None);

    store(&db, &[webhook(b"1")]).await.unwrap();
    let waiting = take(&db, 1, MINUTE).await.unwrap().remove(0);
    let at = named[0].as_ref().unwrap().at;
    let finding = Finding { payment: Some(payment.into()), asked_at: Some(at), ..found(&waiting, Next::Done("asked")) };
    record(&db, &[finding]).await.unwrap();
    assert_eq!(find(&db, &wanted[..1]).await.unwrap()[0].as_ref().unwrap().asked_at, Some(at));
}

#[tokio::test]
async fn only_what_was_looked_into_is_forgotten() {
    let db = postgres::fresh(&crate::MIGRATOR).await;
    store(&db, &[webhook(b"1"), webhook(b"2"), webhook(b"3")]).await.unwrap();
    let waiting = take(&db, 2, MINUTE).await.unwrap();
    let findings: Vec<_> = waiting.iter().map(|it| found(it, Next::Ignored("none of ours"))).collect();
    record(&db, &findings).await.unwrap();
    assert_eq!(prune(&db, MINUTE, 10).await.unwrap(), 0);
    sqlx::query("UPDATE webhook_inbox SET received_at = now() - interval '1 hour'").execute(&db).await.unwrap();
    assert_eq!(prune(&db, MINUTE, 10).await.unwrap(), 2);
    assert_eq!(statuses(&db).await.len(), 1);
}
