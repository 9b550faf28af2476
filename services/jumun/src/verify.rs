//! `jumun verify`: the proof that every won, event and unit adds up.

mod report;

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use database::Role;
use database::verify::{self, Scope, audit_provider, check, check_since, unknown_money};
use messaging::topology::{DEAD_LETTER_TOPIC, SUBSCRIPTIONS};
use sqlx::PgPool;

use crate::command::VerifyArguments;
use crate::home::Home;
use crate::output::say;
use crate::provider::Provider;
use crate::store::Store;
use crate::variables::Variables;

pub(crate) use report::Report;

/// Invariants are asked one after the other, on one snapshot; the provider needs a second look now and then.
const CONNECTIONS: u32 = 4;

/// The command.
pub(crate) async fn verify(
    mut variables: Variables,
    home: &Home,
    arguments: &VerifyArguments,
) -> anyhow::Result<ExitCode> {
    let store = Store::find(&variables, home).await?;
    Provider::find(&mut variables, home);
    let db = store.connect(CONNECTIONS, Role::Checker).await?;
    let report = audit(&db, &variables, arguments).await;
    db.close().await;
    store.close().await?;
    let report = report?;
    say(&if arguments.json { report.json()? } else { report.text() })?;
    Ok(ExitCode::from(u8::from(!report.violations.is_empty())))
}

/// Checks what the arguments ask for.
pub(crate) async fn audit(db: &PgPool, variables: &Variables, arguments: &VerifyArguments) -> anyhow::Result<Report> {
    // Before the rows: a payment is on record before the provider is asked for money.
    let provider = if arguments.no_provider { None } else { Some(Provider::open(variables).await?) };
    let invariants = || {
        let all = verify::always().iter().chain(verify::drained().iter().filter(|_| arguments.drained));
        all.filter(|it| arguments.since.is_none() || it.scope != Scope::History)
    };
    let consumers = SUBSCRIPTIONS.iter().filter(|it| it.topic != DEAD_LETTER_TOPIC).map(|it| (it.topic, it.name));
    let consumers: Vec<_> = consumers.collect();
    let violations = match arguments.since {
        Some(since) => check_since(db, invariants(), &consumers, since).await,
        None => check(db, invariants(), &consumers).await,
    };
    let violations = violations.context("cannot read the books")?;
    let checked = invariants().map(|it| (it.name, it.statement)).collect();
    let mut report = Report { checked, violations, money: None };
    if let Some(provider) = provider {
        compare(db, provider, arguments.since, &mut report).await.context("cannot compare the books")?;
    }
    Ok(report)
}

async fn compare(
    db: &PgPool,
    provider: Provider,
    since: Option<DateTime<Utc>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let audit = audit_provider(db, &provider.gateway, since.max(provider.remembers_since())).await?;
    report.checked.extend(verify::PROVIDER);
    report.violations.extend(audit.violations);
    report.money = Some(audit.money);
    if let Some(before) = provider.notifications().await? {
        let after = async || Ok::<_, anyhow::Error>(provider.notifications().await?.unwrap_or_default());
        report.checked.extend(verify::PHONES);
        let since = since.max(provider.remembers_since());
        report.violations.extend(verify::audit_phones(db, &before, since, after).await?);
    }
    if let Some(book) = provider.into_book() {
        report.checked.push(verify::BOOK);
        report.violations.extend(unknown_money(db, &book).await?);
    }
    Ok(())
}
