//! The payment provider that a command asks: Toss, or the sandbox on this machine.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use database::verify::BookEntry;
use domain::EventId;
use serde::Deserialize;

use crate::home::Home;
use crate::variables::Variables;

/// Whom to ask about payments.
pub(crate) struct Provider {
    pub(crate) gateway: toss::Toss,
    /// The sandbox shows its whole book, which no real provider does.
    book: Option<Book>,
    /// Where the sandbox shows its phones, if they are those that the shop sends to.
    phones: Option<String>,
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

/// The sandbox's phones.
#[derive(Deserialize)]
struct Phones {
    notifications: Vec<Notification>,
}

#[derive(Deserialize)]
struct Notification {
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    /// Somebody else may send to the sandbox's phones, too.
    event_id: Option<EventId>,
}

impl Provider {
    /// A shop that runs on this machine may have brought its sandbox.
    pub(crate) fn find(variables: &mut Variables, home: &Home) {
        if let Some(sandbox) = home.noted().and_then(|addresses| addresses.sandbox) {
            variables.set_default("TOSS_BASE_URL", format!("{sandbox}/toss"));
        }
    }

    pub(crate) async fn open(variables: &Variables) -> anyhow::Result<Self> {
        let settings = settings(variables)?;
        let book =
            match sandbox_of(&settings.toss_base_url) {
                Some(sandbox) => Some(read_book(sandbox).await.with_context(|| {
                    format!("the sandbox at {sandbox} shows no book; without it, use --no-provider")
                })?),
                None => None,
            };
        let phones = sandbox_of(&settings.toss_base_url).map(|sandbox| format!("{sandbox}/sandbox/phone"));
        let elsewhere = |sandbox| variables.get("FCM_BASE_URL").is_some_and(|fcm| fcm != format!("{sandbox}/fcm"));
        let elsewhere = sandbox_of(&settings.toss_base_url).is_some_and(elsewhere);
        Ok(Self { gateway: settings.gateway()?, book, phones: phones.filter(|_| !elsewhere) })
    }

    /// A sandbox's memory ends with its process; the books it is compared with do not.
    pub(crate) fn remembers_since(&self) -> Option<DateTime<Utc>> {
        self.book.as_ref().map(|book| book.since)
    }

    /// The events of all notifications on the sandbox's phones, if it is one.
    pub(crate) async fn notifications(&self) -> anyhow::Result<Option<Vec<EventId>>> {
        let Some(phones) = &self.phones else { return Ok(None) };
        let Phones { notifications } = client()?.get(phones).send().await?.error_for_status()?.json().await?;
        Ok(Some(notifications.into_iter().filter_map(|one| one.data.event_id).collect()))
    }

    /// All payments that the sandbox knows, if it is one.
    pub(crate) fn into_book(self) -> Option<Vec<BookEntry>> {
        let entry = |it: Entry| BookEntry { order_id: it.order_id, payment_key: it.payment_key, kept: it.kept };
        Some(self.book?.payments.into_iter().map(entry).collect())
    }
}

/// What the shop's API is told. Whoever only asks the provider pushes nothing, and so needs neither key nor workers.
pub(crate) fn settings(variables: &Variables) -> anyhow::Result<checkout_api::Settings> {
    let mut variables = variables.clone();
    variables.set_default("CHECKOUT_LOOPS", "false");
    variables.reach_no_worker();
    let mut env = variables.env();
    let settings = checkout_api::Settings::read(&mut env);
    env.finish()?;
    Ok(settings)
}

/// The sandbox whose Toss this is: on this machine, at the sandbox's path.
fn sandbox_of(toss: &str) -> Option<&str> {
    let sandbox = toss.strip_suffix("/toss")?;
    let host = sandbox.strip_prefix("http://")?;
    ["127.0.0.1:", "localhost:", "[::1]:"].iter().any(|it| host.starts_with(it)).then_some(sandbox)
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()
}

async fn read_book(sandbox: &str) -> reqwest::Result<Book> {
    client()?.get(format!("{sandbox}/sandbox/book")).send().await?.error_for_status()?.json().await
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
