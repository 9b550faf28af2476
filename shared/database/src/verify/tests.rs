mod money_back;
mod phones;
mod provider;
mod shop;

use std::collections::BTreeSet;

use shop::{CONSUMERS, Shop};

use super::*;

async fn names<'a>(db: &PgPool, invariants: impl IntoIterator<Item = &'a Invariant>) -> Vec<&'static str> {
    let violations = check(db, invariants, CONSUMERS).await.unwrap();
    violations.into_iter().map(|violation| violation.name).collect()
}

async fn names_since(db: &PgPool, ago: TimeDelta) -> Vec<&'static str> {
    let violations = check_since(db, all(), CONSUMERS, Utc::now() - ago).await.unwrap();
    violations.into_iter().map(|violation| violation.name).collect()
}

fn all() -> impl Iterator<Item = &'static Invariant> {
    always().iter().chain(drained())
}

#[tokio::test]
async fn a_busy_shop_is_sound_and_a_quiet_one_is_drained() {
    let shop = Shop::open().await;
    assert_eq!(names(&shop.db, all()).await, [""; 0], "an empty shop");
    shop.pay_and_deliver().await;
    shop.decline_and_deliver().await;
    assert_eq!(names(&shop.db, all()).await, [""; 0], "after every event was taken");

    shop.place(1).await;
    shop.begin_payment().await;
    shop.await_deposit().await;
    shop.pay().await;
    shop.decline().await;
    assert_eq!(names(&shop.db, always()).await, [""; 0], "in the middle of everything");
    let left_over = ["events_published", "payments_decided", "events_taken", "paid_sold"];
    assert_eq!(names(&shop.db, drained()).await, left_over);
}

#[tokio::test]
async fn old_evidence_may_be_forgotten() {
    let shop = Shop::open().await;
    shop.pay_and_deliver().await;
    shop.decline_and_deliver().await;
    let tables =
        [("payments", "settled_at"), ("outbox", "occurred_at"), ("stock_ledger", "at"), ("push_attempts", "at")];
    for (table, column) in tables {
        shop.execute(&format!("UPDATE {table} SET {column} = {column} - interval '8 days'")).await;
    }
    shop.execute("DELETE FROM outbox; DELETE FROM inbox").await;
    assert_eq!(names(&shop.db, all()).await, [""; 0]);
}

#[tokio::test]
async fn no_more_than_twenty_offenders_are_named_and_all_are_counted() {
    let shop = Shop::open().await;
    shop.execute(
        "INSERT INTO dead_letters (id, source, data, reason)
        SELECT gen_random_uuid(), 'checkout-stock', '', 'test' FROM generate_series(1, 25)",
    )
    .await;
    let violations = check(&shop.db, drained(), CONSUMERS).await.unwrap();
    assert_eq!((violations[0].total, violations[0].examples.len()), (25, 20));
    assert_eq!(violations[0].examples[0].detail, "from checkout-stock: test");
}

#[tokio::test]
async fn what_happened_long_ago_is_not_looked_at_every_minute() {
    let shop = Shop::open().await;
    shop.pay_and_deliver().await;
    shop.execute("UPDATE push_attempts SET attempts = 0").await;
    assert_eq!(names_since(&shop.db, TimeDelta::minutes(1)).await, ["push_counted"]);
    assert_eq!(names_since(&shop.db, TimeDelta::hours(-1)).await, [""; 0]);
    // Old, and something has happened to it again.
    shop.execute("UPDATE order_log SET at = now() + interval '2 hours' WHERE to_status = 'paid'").await;
    assert_eq!(names_since(&shop.db, TimeDelta::hours(-1)).await, ["push_counted"]);
}

/// An oracle that nobody has seen failing proves nothing: what to spoil, and who must notice (and nobody else).
const CORRUPTIONS: &[(&[&str], &str)] = &[
    (
        &["stock_counts", "stock_ledger"],
        "ALTER TABLE stock DROP CONSTRAINT stock_on_hand_not_negative, DROP CONSTRAINT stock_reserved_within_on_hand;
        UPDATE stock SET on_hand = -1",
    ),
    (
        &["stock_counts", "stock_reserved"],
        "ALTER TABLE stock DROP CONSTRAINT stock_reserved_within_on_hand; UPDATE stock SET reserved = on_hand + 1",
    ),
    (&["stock_ledger"], "UPDATE stock SET on_hand = on_hand + 1"),
    (&["stock_ledger"], "INSERT INTO stock_ledger (product_id, kind, quantity) SELECT product_id, 'received', 1 FROM stock"),
    (&["stock_reserved"], "UPDATE stock SET reserved = reserved + 1"),
    (&["stock_reserved"], "UPDATE stock SET reserved = 0"),
    (&["order_total"], "UPDATE order_lines SET unit_price = unit_price + 1 WHERE order_id = (SELECT id FROM orders WHERE status = 'pending' LIMIT 1)"),
    (&["order_total"], "DELETE FROM order_lines WHERE order_id = (SELECT id FROM orders WHERE status = 'pending' LIMIT 1)"),
    // Said to be paid, and nobody paid.
    (
        &["order_paid", "paid_announced", "paid_sold", "stock_reserved", "order_state"],
        "UPDATE orders SET status = 'paid', paid_at = now(), payment_key = 'free' WHERE id = (SELECT id FROM orders WHERE status = 'pending' LIMIT 1)",
    ),
    // Paid for less than it costs.
    (&["announced_as_is", "order_attempts", "order_paid"], "UPDATE payments SET amount = amount - 1 WHERE status = 'done'"),
    (&["announced_as_is", "order_paid"], "UPDATE payments SET payment_key = 'another' WHERE status = 'done'"),
    (&["order_paid"], "UPDATE orders SET paid_at = paid_at + interval '1 hour' WHERE status = 'paid'"),
    // The money came and the order does not know it.
    (
        &["order_paid", "paid_announced", "push_explained", "sold_paid", "order_state"],
        "UPDATE orders SET status = 'pending', paid_at = NULL, payment_key = NULL WHERE status = 'paid'",
    ),
    // Charged twice.
    (
        &["order_attempts", "order_paid", "paid_announced"],
        "DROP INDEX payments_one_live;
        INSERT INTO payments (id, order_id, attempt, payment_key, payment_type, amount, status, approved_at, settled_at)
        SELECT gen_random_uuid(), order_id, 2, 'second', 'NORMAL', amount, 'done', approved_at, now() FROM payments WHERE status = 'done'",
    ),
    // Confirming for ever: nobody would ask about it.
    (
        &["decline_announced", "order_being_paid"],
        "UPDATE payments SET status = 'declined', decline_code = 'X', next_check_at = NULL, settled_at = now() WHERE status = 'confirming'",
    ),
    (&["order_being_paid", "order_state"], "UPDATE orders SET status = 'confirming' WHERE status = 'awaiting_deposit'"),
    (&["order_being_paid", "stock_reserved", "order_state"], "UPDATE orders SET status = 'pending', payment_key = NULL WHERE status = 'confirming'"),
    (&["order_attempts"], "UPDATE orders SET attempts = attempts + 1 WHERE status = 'paid'"),
    // The log was tampered with, or a change of state forgot it.
    (&["order_state", "order_steps"], "UPDATE order_log SET to_status = 'refunding' WHERE to_status = 'paid'"),
    (&["order_state", "order_steps"], "DELETE FROM order_log WHERE to_status = 'confirming'"),
    (&["order_state"], "INSERT INTO order_log (order_id, from_status, to_status, cause) VALUES (gen_random_uuid(), 'pending', 'expired', 'overdue')"),
    (
        &["order_steps", "told_paid"],
        "INSERT INTO order_log (order_id, from_status, to_status, cause)
        SELECT order_id, 'paid', step, 'test' FROM order_log, unnest(ARRAY['pending', 'paid']) AS step WHERE to_status = 'paid'",
    ),
    // Buyers were told what was not so.
    (
        &["told_placed"],
        "ALTER TABLE idempotency_keys DROP CONSTRAINT idempotency_keys_order_id_fkey;
        UPDATE idempotency_keys SET order_id = gen_random_uuid() WHERE key = '0'",
    ),
    (&["told_placed"], "UPDATE orders SET created_at = created_at + interval '1 hour' WHERE status = 'pending'"),
    (
        &["told_paid"],
        "UPDATE order_log l SET payment_id = p.id FROM payments p WHERE l.to_status = 'paid' AND p.status = 'confirming'",
    ),
    (&["told_declined"], "UPDATE order_log SET payment_id = NULL WHERE from_status = 'confirming' AND to_status = 'pending'"),
    // The announcement got lost.
    (&["paid_announced", "push_explained", "events_known"], "DELETE FROM outbox WHERE type = 'checkout-success'"),
    (&["decline_announced", "push_explained", "events_known"], "DELETE FROM outbox WHERE type = 'checkout-failed'"),
    // The bank took a deposit back, and nobody was told.
    (&["decline_announced"], "UPDATE payments SET reversals = reversals + 1 WHERE status = 'awaiting_deposit'"),
    (
        &["events_published", "events_taken", "paid_announced"],
        "INSERT INTO outbox (id, type, order_id, payment_id, data)
        SELECT gen_random_uuid(), type, order_id, payment_id, data FROM outbox WHERE type = 'checkout-success'",
    ),
    (
        &["events_published", "events_taken", "decline_announced"],
        "INSERT INTO outbox (id, type, order_id, payment_id, data)
        SELECT gen_random_uuid(), type, order_id, payment_id, data FROM outbox WHERE type = 'checkout-failed'",
    ),
    // Announced, and not so.
    (
        &["announced_as_is", "events_published", "events_taken", "paid_announced"],
        "INSERT INTO outbox (id, type, order_id, payment_id, data)
        SELECT gen_random_uuid(), 'checkout-success', order_id, id, '{}' FROM payments WHERE status = 'confirming'",
    ),
    // The message says something else than the books.
    (&["announced_as_is"], "UPDATE outbox SET data = replace(data, '63000', '36000') WHERE type = 'checkout-success'"),
    (&["announced_as_is"], "UPDATE outbox SET data = jsonb_set(data::jsonb, '{code}', '\"FINE\"') WHERE type = 'checkout-failed'"),
    (&["announced_as_is"], "UPDATE outbox SET data = replace(data, order_id::text, gen_random_uuid()::text)"),
    (&["events_known"], "INSERT INTO inbox VALUES ('checkout-push', gen_random_uuid())"),
    // Half an order is sold.
    (
        &["sold_whole", "stock_ledger", "stock_reserved"],
        "DELETE FROM stock_ledger WHERE id = (SELECT min(id) FROM stock_ledger WHERE kind = 'sold')",
    ),
    (&["sold_whole", "stock_ledger"], "UPDATE stock_ledger SET quantity = quantity - 1 WHERE kind = 'sold'"),
    (
        &["sold_once_by_event", "sold_paid", "stock_ledger", "stock_reserved"],
        "INSERT INTO stock_ledger (product_id, kind, quantity, order_id, event_id)
        SELECT l.product_id, 'sold', -l.quantity, l.order_id, gen_random_uuid()
        FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.status = 'confirming'",
    ),
    (&["sold_once_by_event", "events_taken"], "DELETE FROM inbox WHERE consumer = 'checkout-stock'"),
    (&["sold_once_by_event", "events_known"], "INSERT INTO inbox VALUES ('checkout-stock', gen_random_uuid())"),
    (&["push_explained"], "UPDATE push_attempts SET event_id = gen_random_uuid()"),
    (&["push_explained"], "UPDATE push_attempts SET order_id = (SELECT id FROM orders WHERE status = 'pending' LIMIT 1)"),
    (&["push_explained", "events_published"], "UPDATE outbox SET published_at = NULL, claimed_until = NULL"),
    (&["events_published"], "UPDATE outbox SET published_at = NULL, claimed_until = now()"),
    (&["events_taken"], "DELETE FROM inbox WHERE consumer = 'checkout-push'"),
    (&["messages_delivered"], "INSERT INTO deliveries (id, subscription, dedup_key, data) VALUES (gen_random_uuid(), 'checkout-push', 'x', '')"),
    (&["payments_undisputed"], "UPDATE payments SET attention = 'the amounts differ' WHERE status = 'confirming'"),
    (&["pushes_sent"], "UPDATE push_attempts SET status = 'pending', due_at = now()"),
    (&["push_counted"], "UPDATE push_attempts SET attempts = 0"),
    (&["push_counted"], "UPDATE push_attempts SET unknowns = attempts + 1"),
    (
        &["dead_letters_decided"],
        "INSERT INTO dead_letters (id, source, data, reason, status, resolved_at) VALUES (gen_random_uuid(), 'checkout-push', '', 'x', 'replayed', now())",
    ),
    (&["dead_letters_resolved"], "INSERT INTO dead_letters (id, source, data, reason) VALUES (gen_random_uuid(), 'checkout-push', '\\x00', 'no event id')"),
    (&["webhooks_looked_into"], "INSERT INTO webhook_inbox (id, body) VALUES (gen_random_uuid(), '{}')"),
    (
        &["order_paid", "order_being_paid", "paid_announced", "paid_sold", "order_state"],
        "UPDATE orders SET status = 'paid', paid_at = now() WHERE status = 'confirming'",
    ),
];

#[tokio::test]
async fn every_corruption_is_caught_by_name() {
    let mut missed = Vec::new();
    for (caught, sql) in CORRUPTIONS {
        let shop = Shop::open().await;
        shop.pay_and_deliver().await;
        shop.decline_and_deliver().await;
        shop.place(2).await;
        shop.begin_payment().await;
        shop.await_deposit().await;
        // What spoils an open payment needs one, and that is all that has not drained.
        assert_eq!(names(&shop.db, all()).await, ["payments_decided"]);
        shop.execute(sql).await;
        let mut noticed: BTreeSet<_> = names(&shop.db, all()).await.into_iter().collect();
        let lately: BTreeSet<_> = names_since(&shop.db, TimeDelta::hours(1)).await.into_iter().collect();
        let found_lately = |name: &&'static str| all().any(|it| it.name == *name && it.scope != Scope::History);
        // A claim of an event that nobody knows has nothing to do with any order.
        if lately != noticed.iter().copied().filter(found_lately).collect() && !sql.starts_with("INSERT INTO inbox") {
            missed.push(format!("{sql}\n  noticed {noticed:?}\n  but of late {lately:?}"));
        }
        noticed.remove("payments_decided");
        if noticed != caught.iter().copied().collect() {
            missed.push(format!("{sql}\n  expected {caught:?}\n  noticed {noticed:?}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let seen: BTreeSet<_> = CORRUPTIONS
        .iter()
        .chain(money_back::CORRUPTIONS)
        .flat_map(|(caught, _)| *caught)
        .copied()
        .chain(["payments_decided"])
        .collect();
    assert_eq!(seen, all().map(|invariant| invariant.name).collect(), "an invariant that nobody saw failing");
}

#[tokio::test]
async fn a_discarded_dead_letter_explains_why_nobody_acted() {
    let shop = Shop::open().await;
    shop.pay_and_deliver().await;
    shop.execute("DELETE FROM inbox WHERE consumer = 'checkout-push'").await;
    assert_eq!(names(&shop.db, drained()).await, ["events_taken"]);
    shop.execute(
        "INSERT INTO dead_letters (id, event_id, source, data, reason, status, resolved_at)
        SELECT gen_random_uuid(), id, 'checkout-push', '', 'test', 'discarded', now() FROM outbox",
    )
    .await;
    assert_eq!(names(&shop.db, drained()).await, [""; 0]);
}
