//! What the roles may do is tried on the schema as the migrations leave it, and written down in `docs/database-roles.md`. To
//! write it anew:
//!
//! ```sh
//! JUMUN_WRITE_DOCS=1 cargo test -p jumun-database roles
//! ```

mod logins;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use chrono::Utc;
use domain::OrderId;
use sqlx::{AssertSqlSafe, PgPool};

use super::Role;
use crate::{PoolSettings, connect, verify};

async fn as_role(url: &str, role: Role) -> PgPool {
    let settings = PoolSettings {
        url: url.into(),
        max_connections: 1,
        application_name: role.name().to_owned(),
        role: Some(role),
    };
    connect(&settings).await.unwrap()
}

/// Whether the database lets somebody do that. Asking for the plan checks privileges and does nothing.
async fn may(db: &PgPool, statement: &str) -> bool {
    match sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN {statement}"))).execute(db).await {
        Ok(_) => true,
        Err(error) => {
            let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
            assert_eq!(code, "42501", "{statement}: {error}");
            false
        }
    }
}

const MAY: &[(Role, &[&str])] = &[
    (
        Role::Checkout,
        &[
            "INSERT INTO orders (id) VALUES (gen_random_uuid())",
            "UPDATE payments SET status = 'done'",
            "UPDATE stock SET reserved = reserved + 1",
            "INSERT INTO order_log (order_id, to_status, cause) VALUES (gen_random_uuid(), 'paid', 'x')",
            "SELECT token_hash FROM sessions",
            "DELETE FROM outbox WHERE published_at < now()",
            "DELETE FROM deliveries",
        ],
    ),
    (
        Role::Stock,
        &[
            "UPDATE stock SET on_hand = 0, reserved = 0",
            "SELECT id, paid_at FROM orders",
            "INSERT INTO stock_ledger (product_id, kind, quantity) VALUES (gen_random_uuid(), 'sold', -1)",
            "INSERT INTO inbox (consumer, event_id) VALUES ('x', gen_random_uuid()) RETURNING event_id",
        ],
    ),
    (
        Role::Push,
        &[
            "SELECT t.token FROM messaging_tokens t JOIN orders o ON o.customer_id = t.customer_id",
            "SELECT decline_message FROM payments",
            "UPDATE push_attempts SET status = 'sent'",
            "DELETE FROM messaging_tokens",
        ],
    ),
    (
        Role::DeadLetter,
        &["INSERT INTO dead_letters (id, source, data, reason) VALUES (gen_random_uuid(), 'x', '', 'x')"],
    ),
    (Role::Desk, &["SELECT * FROM dead_letters", "UPDATE outbox SET published_at = now()"]),
    (Role::Checker, &["SELECT * FROM outbox", "SELECT attention FROM payments", "SELECT reason FROM webhook_inbox"]),
];

const MAY_NOT: &[(Role, &[&str])] = &[
    (
        Role::Checkout,
        &[
            "UPDATE stock_ledger SET quantity = 1",
            "DELETE FROM stock_ledger",
            "UPDATE order_log SET to_status = 'paid'",
            "DELETE FROM order_log",
            "UPDATE inbox SET at = now()",
            "DELETE FROM orders",
            "DELETE FROM payments",
            "DELETE FROM refunds",
            "UPDATE products SET price = 1",
            "UPDATE order_lines SET unit_price = 1",
            "INSERT INTO stock (product_id, on_hand) VALUES (gen_random_uuid(), 1)",
            "UPDATE dead_letters SET status = 'discarded'",
        ],
    ),
    (
        Role::Stock,
        &[
            "UPDATE orders SET status = 'paid'",
            "SELECT amount FROM orders",
            "SELECT * FROM payments",
            "SELECT data FROM outbox",
            "INSERT INTO outbox (id) VALUES (gen_random_uuid())",
            "DELETE FROM inbox",
            "DELETE FROM stock",
            "SELECT quantity FROM stock_ledger",
            "SELECT reason FROM dead_letters",
            "UPDATE dead_letters SET status = 'replayed'",
        ],
    ),
    (
        Role::Push,
        &[
            "UPDATE orders SET name = 'x'",
            "SELECT payment_key FROM payments",
            "UPDATE payments SET status = 'done'",
            "UPDATE stock SET on_hand = 0",
            "UPDATE messaging_tokens SET customer_id = gen_random_uuid()",
            "INSERT INTO messaging_tokens (id) VALUES (gen_random_uuid())",
            "SELECT * FROM refunds",
        ],
    ),
    (
        Role::DeadLetter,
        &[
            "SELECT id FROM outbox",
            "SELECT id FROM orders",
            "DELETE FROM dead_letters",
            "INSERT INTO inbox VALUES ('x')",
        ],
    ),
    (Role::Desk, &["SELECT id FROM orders", "DELETE FROM dead_letters", "UPDATE outbox SET data = '{}'"]),
    (
        Role::Checker,
        &[
            "INSERT INTO order_log VALUES (gen_random_uuid())",
            "UPDATE payments SET attention = NULL",
            "DELETE FROM outbox",
        ],
    ),
];

#[tokio::test]
async fn each_program_may_do_its_work_and_no_more() {
    let (_owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
    for (expected, table) in [(true, MAY), (false, MAY_NOT)] {
        assert!(Role::ALL.iter().all(|role| table.iter().any(|(of, _)| of == role)));
        for (role, statements) in table {
            let db = as_role(&url, *role).await;
            for statement in *statements {
                assert_eq!(may(&db, statement).await, expected, "{}: {statement}", role.name());
            }
            let own = sqlx::raw_sql("CREATE TABLE own ()").execute(&db).await;
            assert!(own.is_err(), "{} changes the schema", role.name());
        }
    }
}

/// The steps of loops and commands that no purchase takes.
#[tokio::test]
async fn what_is_done_now_and_then_is_granted_too() {
    let (_owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
    let (db, age) = (as_role(&url, Role::Checkout).await, Duration::from_hours(1));
    crate::outbox::prune(&db, age, 1).await.unwrap();
    crate::inbox::prune(&db, age, 1).await.unwrap();
    crate::webhook_inbox::prune(&db, age, 1).await.unwrap();
    crate::customers::prune_sessions(&db, 1).await.unwrap();
    crate::customers::prune_guests(&db, crate::customers::GuestsFrom::default(), 1).await.unwrap();
    crate::payments::disputed(&db, 1).await.unwrap();
    crate::orders::prune_idempotency_keys(&db, age, 1).await.unwrap();
    crate::orders::expire(&db, 500).await.unwrap();
    crate::watchdog::look(&db, age, &[], 1).await.unwrap();
    crate::statements::claim(&db, 0).await.unwrap().unwrap();

    let db = as_role(&url, Role::Checker).await;
    let invariants = || verify::always().iter().chain(verify::drained());
    verify::check(&db, invariants(), &[]).await.unwrap();
    verify::check_since(&db, invariants(), &[], Utc::now()).await.unwrap();
    verify::unknown_money(&db, &[]).await.unwrap();
    verify::audit_phones(&db, &[], None, async || Ok::<_, sqlx::Error>(Vec::new())).await.unwrap();
    crate::timeline::read(&db, OrderId::new(), &[]).await.unwrap();
    crate::attention::list(&db).await.unwrap();
}

/// Who a person is, what opens a door, and where money would go.
const SECRETS: [(&str, &[&str]); 6] = [
    ("sessions", &["token_hash"]),
    ("customers", &["customer_key"]),
    ("orders", &["customer_email", "return_token"]),
    ("payments", &["deposit_secret", "deposit_account", "refund_account", "refund_holder"]),
    ("refunds", &["account_number", "account_holder"]),
    ("webhook_inbox", &["body", "signature", "source"]),
];

#[tokio::test]
async fn secrets_and_persons_are_the_storefront_s_alone() {
    let (_owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
    for role in Role::ALL {
        let db = as_role(&url, role).await;
        for (table, columns) in SECRETS {
            for column in columns {
                let reads = may(&db, &format!("SELECT {column} FROM {table}")).await;
                assert_eq!(reads, role == Role::Checkout, "{} and {table}.{column}", role.name());
            }
        }
        let tokens = may(&db, "SELECT token FROM messaging_tokens").await;
        assert_eq!(tokens, [Role::Checkout, Role::Push].contains(&role), "{}", role.name());
    }
}

#[tokio::test]
async fn every_session_is_bounded_whatever_the_login() {
    let (_owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
    for role in Role::ALL {
        let db = as_role(&url, role).await;
        for (setting, expected) in [
            ("role", role.name()),
            ("search_path", "public"),
            ("statement_timeout", "5s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "10s"),
            ("TimeZone", "UTC"),
        ] {
            let is: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&db).await.unwrap();
            assert_eq!(is, expected, "{setting} of {}", role.name());
        }
    }
}

/// What a role may do with a table: the word for it, and the columns if it is not all of them.
async fn granted(owner: &PgPool) -> BTreeMap<(String, String), Vec<String>> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "
        SELECT r.name, c.relname::text, CASE
            WHEN has_table_privilege(r.name, c.oid, p.name) THEN p.word
            ELSE p.word || ' ' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) END
        FROM pg_class c
        CROSS JOIN unnest($1::text[]) WITH ORDINALITY AS r (name, rank)
        CROSS JOIN (VALUES (1, 'SELECT', 'read'), (2, 'INSERT', 'add'), (3, 'UPDATE', 'change'), (4, 'DELETE', 'delete'),
            (5, 'TRUNCATE', 'truncate'), (6, 'REFERENCES', 'reference'), (7, 'TRIGGER', 'trigger')) AS p (rank, name, word)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND CASE
            WHEN p.rank IN (4, 5, 7) THEN has_table_privilege(r.name, c.oid, p.name)
            ELSE has_column_privilege(r.name, c.oid, a.attnum, p.name) END
        GROUP BY r.name, r.rank, c.oid, c.relname, p.rank, p.name, p.word ORDER BY r.rank, c.relname, p.rank",
    )
    .bind(Role::ALL.map(Role::name).as_slice())
    .fetch_all(owner)
    .await
    .unwrap();
    let mut granted = BTreeMap::<_, Vec<_>>::new();
    for (role, table, may) in rows {
        granted.entry((role, table)).or_default().push(may);
    }
    granted
}

#[tokio::test]
async fn what_is_granted_is_written_down_and_no_table_is_forgotten() {
    let owner = postgres::fresh(&crate::MIGRATOR).await;
    let granted = granted(&owner).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND relname <> '_sqlx_migrations' ORDER BY relname",
    )
    .fetch_all(&owner)
    .await
    .unwrap();
    for table in tables {
        let decided = granted.keys().any(|(_, of)| *of == table);
        assert!(decided, "nobody may use {table}: its migration has to GRANT it to the roles that need it");
    }
    let mut text = "\
# What each program may do in the database

Made from the schema by a test (`shared/database/src/roles/tests.rs`). Columns are named where it is not all of them. How to
make the logins: [operations](operations.md#database-roles).
"
    .to_owned();
    for role in Role::ALL.map(Role::name) {
        write!(text, "\n## `{role}`\n\n| Table | May |\n|---|---|\n").unwrap();
        for ((_, table), may) in granted.iter().filter(|((of, _), _)| of == role) {
            writeln!(text, "| `{table}` | {} |", may.join("; ")).unwrap();
        }
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/database-roles.md");
    if std::env::var_os("JUMUN_WRITE_DOCS").is_some() {
        fs::write(path, text).unwrap();
        return;
    }
    let is = fs::read_to_string(path).unwrap_or_default();
    assert!(is == text, "docs/database-roles.md is not what the migrations grant: look at it, then write it anew");
}
