//! `jumun statement`: a day's list of transactions at the provider against our book.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::Utc;
use database::{Role, statements};
use domain::{Day, Difference, Statement};
use serde_json::json;
use sqlx::PgPool;

use crate::command::StatementArguments;
use crate::home::Home;
use crate::output::{say, won};
use crate::provider::Provider;
use crate::store::Store;
use crate::variables::Variables;

/// The command.
pub(crate) async fn statement(
    mut variables: Variables,
    home: &Home,
    arguments: &StatementArguments,
) -> anyhow::Result<ExitCode> {
    let day = arguments.date.map_or_else(|| Day::yesterday(Utc::now()), Day);
    let store = Store::find(&variables, home).await?;
    Provider::find(&mut variables, home);
    let db = store.connect(1, Role::Checker).await?;
    let result = compare(&db, &variables, day).await;
    db.close().await;
    store.close().await?;
    let statement = result?;
    say(&if arguments.json { as_json(day, &statement)? } else { text(day, &statement) })?;
    Ok(ExitCode::from(u8::from(!statement.differences.is_empty())))
}

/// What a sandbox does not remember is not compared.
pub(crate) async fn compare(db: &PgPool, variables: &Variables, day: Day) -> anyhow::Result<Statement> {
    let provider = Provider::open(variables).await?;
    let theirs = provider.gateway.movements(day.with_margin()).await.context("the provider gives no list")?;
    let since = provider.remembers_since();
    Ok(statements::compare(db, day, &theirs, since).await?)
}

fn text(Day(day): Day, statement: &Statement) -> String {
    let Statement { ours, theirs, in_flight, movements, differences } = statement;
    let mut text = format!(
        "{day} (KST): {movements} transactions, {} won at the provider, {} won here, {} won in flight\n",
        won(*theirs),
        won(*ours),
        won(*in_flight)
    );
    for Difference { order_id, ours, theirs } in differences {
        let sums = |sums: &[i64]| match sums {
            [] => "nothing".to_owned(),
            sums => sums.iter().map(|it| won(*it)).collect::<Vec<_>>().join(", "),
        };
        // Writing to a text does not fail.
        writeln!(text, "  {order_id}: only at the provider {}, only here {}", sums(theirs), sums(ours)).ok();
    }
    text + &match differences.len() {
        0 => "The two agree.".to_owned(),
        count => format!("{count} payments differ."),
    }
}

fn as_json(Day(day): Day, statement: &Statement) -> serde_json::Result<String> {
    let difference = |it: &Difference| json!({"orderId": it.order_id, "onlyHere": it.ours, "onlyThere": it.theirs});
    serde_json::to_string_pretty(&json!({
        "ok": statement.differences.is_empty(),
        "day": day,
        "transactions": statement.movements,
        "ours": statement.ours,
        "theirs": statement.theirs,
        "inFlight": statement.in_flight,
        "differences": statement.differences.iter().map(difference).collect::<Vec<_>>(),
    }))
}
