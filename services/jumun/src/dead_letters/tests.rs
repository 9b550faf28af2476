use std::collections::BTreeMap;

use clap::Parser;
use database::dead_letters::{Filter, Letter};
use domain::EventId;
use service::Env;
use sqlx::postgres::PgPool;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

struct Desk {
    db: PgPool,
    variables: Variables,
}

impl Desk {
    /// A shop whose events are all published, with two letters: one of an event, one of nothing that can be read.
    async fn open() -> Self {
        let (db, url) = postgres::fresh_url(&database::MIGRATOR).await;
        let script = include_str!("../../../../shared/database/fixtures/announced_payments.sql");
        sqlx::raw_sql(script).execute(&db).await.unwrap();
        sqlx::query("UPDATE outbox SET published_at = now()").execute(&db).await.unwrap();
        let event: EventId = "00000000-0000-0000-0000-000000000007".parse().unwrap();
        let none = BTreeMap::new();
        for (event, source) in [(Some(event), "checkout-stock"), (None, "checkout-push")] {
            let letter = Letter {
                event,
                source,
                message_id: None,
                data: b"{}",
                attributes: &none,
                reason: "test",
                delivery_attempts: None,
            };
            dead_letters::park(&db, letter).await.unwrap();
        }
        let mut variables = Variables::default();
        variables.set_default("DATABASE_URL", url);
        Self { db, variables }
    }

    async fn run(&self, line: &str) -> anyhow::Result<ExitCode> {
        let line = Line::try_parse_from(std::iter::once("dead-letters").chain(line.split(' ')))?;
        let home = Home::read(&mut Env::from_pairs([("JUMUN_DATA_DIR", "nowhere")]));
        super::run(&self.variables, &home, line.command).await
    }

    async fn letters(&self) -> Vec<Summary> {
        dead_letters::list(&self.db, Filter::default(), 10).await.unwrap()
    }

    async fn statuses(&self) -> Vec<Status> {
        self.letters().await.iter().map(|it| it.status).collect()
    }

    async fn deliveries(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM deliveries").fetch_one(&self.db).await.unwrap()
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let desk = Desk::open().await;
    for line in ["replay --all --by mina --dry-run", "discard --all --by mina --reason test --dry-run"] {
        desk.run(line).await.unwrap();
    }
    assert_eq!((desk.statuses().await, desk.deliveries().await), (vec![Status::Open; 2], 0));
}

#[tokio::test]
async fn what_can_be_replayed_is_and_the_rest_makes_it_fail() {
    let desk = Desk::open().await;
    assert_eq!(desk.run("replay --all --source checkout-stock --by mina").await.unwrap(), ExitCode::SUCCESS);
    assert_eq!((desk.statuses().await, desk.deliveries().await), (vec![Status::Replayed, Status::Open], 2));
    assert_eq!(desk.run("replay --all --by mina --json").await.unwrap(), ExitCode::from(1));
    assert_eq!(desk.statuses().await, [Status::Replayed, Status::Open]);

    let first = desk.letters().await[0].id;
    assert_eq!(desk.run(&format!("replay {first} --by mina")).await.unwrap(), ExitCode::SUCCESS, "named, so again");
    assert_eq!(desk.deliveries().await, 2, "it is still on its way");
    assert_eq!(dead_letters::actions(&desk.db, first).await.unwrap().len(), 2);
    assert_eq!(desk.run(&format!("replay {} --by mina", Uuid::nil())).await.unwrap(), ExitCode::from(1));
}

#[tokio::test]
async fn to_discard_takes_a_name_and_a_reason() {
    let mut desk = Desk::open().await;
    assert!(desk.run("discard --all --by mina").await.unwrap_err().to_string().contains("--reason"));
    assert!(desk.run("discard --all --reason test").await.unwrap_err().to_string().contains("--by"));
    assert!(desk.run("discard --by mina --reason test").await.unwrap_err().to_string().contains("IDS"));
    assert_eq!(desk.statuses().await, [Status::Open; 2]);

    desk.variables.set_default("USER", "mina");
    assert_eq!(desk.run("discard --all --reason test").await.unwrap(), ExitCode::SUCCESS);
    assert_eq!(desk.statuses().await, [Status::Discarded; 2]);
    let first = desk.letters().await[0].id;
    assert_eq!(desk.run(&format!("discard {first} --reason test")).await.unwrap(), ExitCode::from(1), "decided before");
    let action = dead_letters::actions(&desk.db, first).await.unwrap().remove(0);
    assert_eq!((action.actor.as_str(), action.reason.as_deref()), ("mina", Some("test")));
}

#[tokio::test]
async fn letters_are_listed_and_shown() {
    let desk = Desk::open().await;
    let first = desk.letters().await[0].id;
    for line in ["list", "list --json --status any --reason-contains TEST --event-type checkout-success"] {
        assert_eq!(desk.run(line).await.unwrap(), ExitCode::SUCCESS);
    }
    for line in [format!("show {first}"), format!("show {first} --raw --json")] {
        assert_eq!(desk.run(&line).await.unwrap(), ExitCode::SUCCESS);
    }
    assert!(desk.run(&format!("show {}", Uuid::nil())).await.is_err());
}
