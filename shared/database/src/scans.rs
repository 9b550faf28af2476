//! What is done now and then is done beside purchases, for years: it must not read whole tables.

use std::time::Duration;

use domain::Day;
use sqlx::PgPool;

use crate::customers::{self, GuestsFrom};
use crate::{PoolSettings, inbox, members, orders, outbox, payments, statements, webhook_inbox};

/// Tables that grow with every purchase, or with every visit.
const LARGE: [&str; 12] = [
    "customers",
    "sessions",
    "sign_ins",
    "orders",
    "order_lines",
    "idempotency_keys",
    "payments",
    "refunds",
    "outbox",
    "inbox",
    "push_attempts",
    "webhook_inbox",
];

/// How often large tables were read from end to end.
async fn full_reads(db: &PgPool) -> Vec<(String, i64)> {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(db).await.unwrap();
    let sql = "SELECT relname::text, coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE relname = ANY($1) ORDER BY 1";
    sqlx::query_as(sql).bind(LARGE).fetch_all(db).await.unwrap()
}

#[tokio::test]
async fn pruning_expiry_and_statements_find_their_rows_by_index() {
    let (_owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
    let settings = PoolSettings { url: url.into(), max_connections: 1, application_name: "test".into(), role: None };
    let db = crate::connect(&settings).await.unwrap();
    let before = full_reads(&db).await;
    assert_eq!(before.len(), LARGE.len());

    let age = Duration::from_hours(1);
    outbox::prune(&db, age, 10).await.unwrap();
    inbox::prune(&db, age, 10).await.unwrap();
    webhook_inbox::prune(&db, age, 10).await.unwrap();
    customers::prune_sessions(&db, 10).await.unwrap();
    customers::prune_guests(&db, GuestsFrom::default(), 10).await.unwrap();
    orders::prune_idempotency_keys(&db, age, 10).await.unwrap();
    members::prune(&db).await.unwrap();
    orders::expire(&db, 10).await.unwrap();
    payments::disputed(&db, 10).await.unwrap();
    statements::compare(&db, Day("2026-01-31".parse().unwrap()), &[], None).await.unwrap();
    assert_eq!(full_reads(&db).await, before);

    for sql in ["SET enable_seqscan = on", "SELECT FROM orders"] {
        sqlx::query(sql).execute(&db).await.unwrap();
    }
    assert_ne!(full_reads(&db).await, before, "it would be seen");
}
