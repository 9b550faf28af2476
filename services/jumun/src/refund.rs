//! `jumun refund`: a person gives money back.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use checkout_api::{Checkout, RefundRequest};
use clap::ArgAction;
use database::Role;
use database::refunds::{RefundDetails, just_asked};
use domain::{OrderId, RefundAccount, RefundAsk, RefundId, Settlement, Won};
use sqlx::PgPool;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::home::Home;
use crate::output::{say, won};
use crate::provider::{self, Provider};
use crate::store::Store;
use crate::variables::Variables;

/// What is to go back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The order.
    order: OrderId,
    /// Won to give back (default: all that is left).
    #[arg(long, value_parser = parse_won)]
    amount: Option<Won>,
    /// Reason. Shown to the buyer.
    #[arg(long)]
    reason: String,
    /// The goods go back into stock. Only with a refund of all that is left.
    #[arg(long, action = ArgAction::SetTrue)]
    restock: bool,
    /// Which payment of the order, counted from 1 (default: the one that paid).
    #[arg(long)]
    attempt: Option<i16>,
    /// Who decided it (default: the user of this machine).
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Account that a deposit goes back to (default: the one that the buyer gave in the payment window).
    #[arg(long, value_name = "BANK:NUMBER:HOLDER", value_parser = parse_account)]
    account: Option<RefundAccount>,
    /// Idempotency key: the same command repeated with the same key refunds once.
    #[arg(long, value_parser = parse_key)]
    key: Option<String>,
    /// Refund although the same person refunded the same amount of the order for the same reason within the last hour.
    #[arg(long, conflicts_with = "key")]
    again: bool,
    /// Says what would happen and does nothing.
    #[arg(long)]
    dry_run: bool,
}

fn parse_key(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.chars().count());
    fits.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 255 characters".to_owned())
}

fn parse_won(text: &str) -> Result<Won, String> {
    let number: i64 = text.parse().map_err(|_| "expected a number of won".to_owned())?;
    Won::new(number).map_err(|problem| problem.to_string())
}

fn parse_account(text: &str) -> Result<RefundAccount, String> {
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    let (Some(bank), Some(number), Some(holder)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("expected bank:number:holder".to_owned());
    };
    RefundAccount::new(bank, number, holder).map_err(|problem| problem.to_string())
}

/// The provider may take a minute, and is asked once more after that.
const WAIT: Duration = Duration::from_secs(90);

/// One for each lane of the till, and one to spare.
const CONNECTIONS: u32 = 5;

/// The command.
pub(crate) async fn refund(mut variables: Variables, home: &Home, arguments: Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::find(&variables, home).await?;
    Provider::find(&mut variables, home);
    let db = store.connect(CONNECTIONS, Role::Checkout).await?;
    let tasks = TaskTracker::new();
    let result = ask(&db, &variables, &tasks, arguments).await;
    // Whatever is under way at the provider is written down before the command ends.
    tasks.close();
    tasks.wait().await;
    db.close().await;
    store.close().await?;
    result
}

async fn ask(
    db: &PgPool,
    variables: &Variables,
    tasks: &TaskTracker,
    arguments: Arguments,
) -> anyhow::Result<ExitCode> {
    let settings = provider::settings(variables)?;
    let checkout = Checkout::new(db.clone(), Arc::new(settings.gateway()?), tasks.clone(), WAIT, 1, Arc::default());
    let Arguments { order, amount, reason, restock, attempt, by, account, key, again, dry_run } = arguments;
    let by =
        by.or_else(|| variables.get("USER").map(str::to_owned)).context("cannot tell who decides: add --by <name>")?;
    if let (Some(amount), None, false) = (amount, &key, again)
        && let Some(before) = just_asked(db, order, amount, reason.trim(), &by).await?
    {
        bail!(
            "{by} asked for the same less than an hour ago (refund {before}). Nothing was done. Type --again if as much \
             is to go back once more; see what became of it: jumun order {order}"
        );
    }
    let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let ask = RefundAsk { id: RefundId::new(), amount, reason, restock, account };
    let request = RefundRequest { order, attempt, ask, by, key, traceparent: None };
    if dry_run {
        say(&preview(&checkout.preview_refund(&request).await?))?;
        return Ok(ExitCode::SUCCESS);
    }
    conclude(order, &checkout.refund(request).await?)
}

fn preview(settlement: &Settlement) -> String {
    let asked: Vec<_> = settlement.refunds.iter().map(|refund| format!("₩{}", won(refund.amount.get()))).collect();
    let order = &settlement.order;
    format!(
        "Would give {} back; order {} would be {}. Nothing was done.",
        asked.join(", "),
        order.id,
        order.state.name()
    )
}

fn conclude(order: OrderId, refund: &RefundDetails) -> anyhow::Result<ExitCode> {
    let (id, amount) = (refund.id, won(refund.amount.get()));
    match (refund.status.as_str(), &refund.failure) {
        ("done", _) => say(&format!("₩{amount} of order {order} went back (refund {id})."))?,
        (_, Some((code, message))) => bail!("the provider gave nothing back: {code} {message} (refund {id})"),
        _ => say(&format!(
            "₩{amount} of order {order} are on their way (refund {id}): the provider has not said that it is done. \
             The reconciler of a running shop asks until it does; do not ask for it again."
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_bank_number_and_holder() {
        assert_eq!(parse_account("20:1002123456789:박토스").unwrap().holder, "박토스");
        for bad in ["", "20", "20:100", "020:100:x", "20:1-2:x", "20:1:"] {
            assert!(parse_account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn won_are_whole_and_not_negative() {
        assert_eq!(parse_won("39000").unwrap().get(), 39_000);
        for bad in ["", "-1", "1.5", "1e3", "₩5"] {
            assert!(parse_won(bad).is_err(), "{bad}");
        }
    }
}
