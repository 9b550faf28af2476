//! `jumun order`: what happened to an order.

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use database::Role;
use database::timeline::{self, Entry, Timeline};
use domain::{OrderId, PaymentKey, ProviderOrderId};
use messaging::topology::SUBSCRIPTIONS;
use serde_json::json;
use sqlx::PgPool;

use crate::command::OrderArguments;
use crate::home::Home;
use crate::output::{column, complain, say, won};
use crate::store::Store;
use crate::variables::Variables;

/// How an order is named on the command line.
#[derive(Debug, Clone)]
pub(crate) enum Sought {
    /// By its id, or by what the provider knows one of its attempts by.
    Order(OrderId),
    /// By the provider's key of one of its payments.
    Payment(PaymentKey),
}

/// Reads what stands on the command line.
pub(crate) fn parse(text: &str) -> Result<Sought, String> {
    if let Ok(ProviderOrderId { order, .. }) = text.parse() {
        return Ok(Sought::Order(order));
    }
    text.parse().map(Sought::Payment).map_err(|_| "neither an order id nor a payment key".to_owned())
}

/// The command.
pub(crate) async fn order(variables: &Variables, home: &Home, arguments: &OrderArguments) -> anyhow::Result<ExitCode> {
    let store = Store::find(variables, home).await?;
    let db = store.connect(1, Role::Checker).await?;
    let found = find(&db, &arguments.order).await;
    db.close().await;
    store.close().await?;
    let Some((id, timeline)) = found? else {
        complain(&match &arguments.order {
            Sought::Order(id) => format!("jumun: there is no order {id}"),
            Sought::Payment(_) => "jumun: there is no order with this id or payment key".to_owned(),
        });
        return Ok(ExitCode::FAILURE);
    };
    say(&if arguments.json { as_json(id, &timeline)? } else { text(id, &timeline) })?;
    Ok(ExitCode::SUCCESS)
}

async fn find(db: &PgPool, sought: &Sought) -> sqlx::Result<Option<(OrderId, Timeline)>> {
    let id = match sought {
        Sought::Order(id) => Some(*id),
        Sought::Payment(key) => timeline::find_by_key(db, key).await?,
    };
    let Some(id) = id else { return Ok(None) };
    let timeline = timeline::read(db, id, &SUBSCRIPTIONS.map(|it| it.name)).await?;
    Ok(timeline.map(|timeline| (id, timeline)))
}

fn text(id: OrderId, timeline: &Timeline) -> String {
    let Timeline { status, name, amount, refunded, entries } = timeline;
    let refunded = if *refunded == 0 { String::new() } else { format!(", {} won given back", won(*refunded)) };
    let mut text = format!("{id}  {status}  {name}  {} won{refunded}\n\n", won(*amount));
    text += &line("KST", "UTC", "", "");
    let mut trace = None;
    for entry in entries {
        // The trace is said where it changes: mostly once.
        if entry.trace.is_some() && entry.trace != trace {
            trace.clone_from(&entry.trace);
            text += &line("", "", "trace", trace.as_deref().unwrap_or_default());
        }
        let Entry { at, what, text: said, .. } = entry;
        text += &line(&in_korea(*at), &at.format("%H:%M:%S%.3f").to_string(), what, said);
    }
    text.truncate(text.trim_end().len());
    text
}

fn line(korea: &str, utc: &str, what: &str, text: &str) -> String {
    format!("{korea:<25}{utc:<15}{}{text}\n", column(what, 13))
}

fn in_korea(at: DateTime<Utc>) -> String {
    (at + TimeDelta::hours(9)).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

fn as_json(id: OrderId, timeline: &Timeline) -> serde_json::Result<String> {
    let Timeline { status, name, amount, refunded, entries } = timeline;
    let entry = |it: &Entry| {
        let korea = format!("{}+09:00", in_korea(it.at).replacen(' ', "T", 1));
        json!({"at": it.at, "korea": korea, "what": it.what, "text": it.text, "traceId": it.trace})
    };
    serde_json::to_string_pretty(&json!({
        "orderId": id,
        "status": status,
        "name": name,
        "amount": amount,
        "refunded": refunded,
        "timeline": entries.iter().map(entry).collect::<Vec<_>>(),
    }))
}
