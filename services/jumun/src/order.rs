//! `jumun order`: what happened to an order.

use std::process::ExitCode;

use chrono::{DateTime, TimeDelta, Utc};
use database::Role;
use database::timeline::{self, Entry, Timeline};
use domain::OrderId;
use messaging::topology::SUBSCRIPTIONS;
use serde_json::json;

use crate::command::OrderArguments;
use crate::home::Home;
use crate::output::{column, complain, say, won};
use crate::store::Store;
use crate::variables::Variables;

/// The command.
pub(crate) async fn order(variables: &Variables, home: &Home, arguments: &OrderArguments) -> anyhow::Result<ExitCode> {
    let store = Store::find(variables, home).await?;
    let db = store.connect(1, Role::Checker).await?;
    let timeline = timeline::read(&db, arguments.id, &SUBSCRIPTIONS.map(|it| it.name)).await;
    db.close().await;
    store.close().await?;
    let Some(timeline) = timeline? else {
        complain(&format!("jumun: there is no order {}", arguments.id));
        return Ok(ExitCode::FAILURE);
    };
    say(&if arguments.json { as_json(arguments.id, &timeline)? } else { text(arguments.id, &timeline) })?;
    Ok(ExitCode::SUCCESS)
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
