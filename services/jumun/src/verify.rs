//! `jumun verify`: the proof that every won, event and unit adds up.

mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use database::verify::{self, BookEntry, audit_provider, check, unknown_money};
use messaging::topology::{DEAD_LETTER_TOPIC, SUBSCRIPTIONS};
use serde::Deserialize;
use sqlx::PgPool;

use crate::command::VerifyArguments;
use crate::home::Home;
use crate::output::say;
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
    if let Some(addresses) = home.noted() {
        variables.set_default("TOSS_BASE_URL", format!("{}/toss", addresses.sandbox));
    }
    let db = store.connect(CONNECTIONS).await?;
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
    let invariants = || verify::always().iter().chain(verify::drained().iter().filter(|_| arguments.drained));
    let consumers = SUBSCRIPTIONS.iter().filter(|it| it.topic != DEAD_LETTER_TOPIC).map(|it| (it.topic, it.name));
    let violations = check(db, invariants(), &consumers.collect::<Vec<_>>()).await.context("cannot read the books")?;
    let checked = invariants().map(|it| (it.name, it.statement)).collect();
    let mut report = Report { checked, violations, money: None };
    if let Some(provider) = provider {
        provider.compare(db, arguments.since, &mut report).await.context("cannot compare the books")?;
    }
    Ok(report)
}

/// Whom to ask about payments.
struct Provider {
    gateway: toss::Toss,
    /// The sandbox shows its whole book, which no real provider does.
    book: Option<Book>,
}

/// The sandbox's book.
#[derive(Deserialize)]
struct Book {
    since: DateTime<Utc>,
    payments: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    payment_key: String,
    order_id: String,
    kept: i64,
}

impl Provider {
    async fn open(variables: &Variables) -> anyhow::Result<Self> {
        let mut env = variables.env();
        let settings = checkout_api::Settings::read(&mut env);
        env.finish()?;
        let book =
            match sandbox_of(&settings.toss_base_url) {
                Some(sandbox) => Some(read_book(sandbox).await.with_context(|| {
                    format!("the sandbox at {sandbox} shows no book; without it, use --no-provider")
                })?),
                None => None,
            };
        Ok(Self { gateway: settings.gateway()?, book })
    }

    async fn compare(self, db: &PgPool, since: Option<DateTime<Utc>>, report: &mut Report) -> sqlx::Result<()> {
        // A sandbox's memory ends with its process; the books it is compared with do not.
        let since = since.max(self.book.as_ref().map(|book| book.since));
        let audit = audit_provider(db, &self.gateway, since).await?;
        report.checked.extend(verify::PROVIDER);
        report.violations.extend(audit.violations);
        report.money = Some(audit.money);
        if let Some(book) = self.book {
            let entry = |it: Entry| BookEntry { order_id: it.order_id, payment_key: it.payment_key, kept: it.kept };
            let book: Vec<_> = book.payments.into_iter().map(entry).collect();
            report.checked.push(verify::BOOK);
            report.violations.extend(unknown_money(db, &book).await?);
        }
        Ok(())
    }
}

/// The sandbox whose Toss this is: on this machine, at the sandbox's path.
fn sandbox_of(toss: &str) -> Option<&str> {
    let sandbox = toss.strip_suffix("/toss")?;
    let host = sandbox.strip_prefix("http://")?;
    ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|it| host.starts_with(it)).then_some(sandbox)
}

async fn read_book(sandbox: &str) -> reqwest::Result<Book> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    client.get(format!("{sandbox}/sandbox/book")).send().await?.error_for_status()?.json().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sandbox_on_this_machine_is_asked_for_its_book() {
        assert_eq!(sandbox_of("http://127.0.0.1:8090/toss"), Some("http://127.0.0.1:8090"));
        for other in ["https://api.tosspayments.com", "https://toss.example/toss", "http://127.0.0.1.example:80/toss"] {
            assert_eq!(sandbox_of(other), None, "{other}");
        }
    }
}
