//! `jumun attention`: what needs a person.

use std::fmt::Write as _;
use std::process::ExitCode;

use chrono::SecondsFormat;
use database::Role;
use database::attention::{self, Kind, Waiting};
use serde_json::json;

use crate::command::AttentionArguments;
use crate::home::Home;
use crate::output::say;
use crate::store::Store;
use crate::variables::Variables;

/// In which order they are shown.
const KINDS: [Kind; 4] = [Kind::Disputed, Kind::Undecided, Kind::Refund, Kind::DeadLetter];

/// The command.
pub(crate) async fn attention(
    variables: &Variables,
    home: &Home,
    arguments: &AttentionArguments,
) -> anyhow::Result<ExitCode> {
    let store = Store::find(variables, home).await?;
    let db = store.connect(1, Role::Checker).await?;
    let waiting = attention::list(&db).await;
    db.close().await;
    store.close().await?;
    let waiting = waiting?;
    say(&if arguments.json { as_json(&waiting)? } else { text(&waiting) })?;
    Ok(ExitCode::from(u8::from(!waiting.is_empty())))
}

/// What it is, and what to do about it.
fn advice(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Disputed => (
            "Orders whose payment differs between the provider and our record",
            "Compare `jumun order <id>` with the provider's console. Refund money there that the shop should not have.\n  \
             The entry disappears by itself once the two agree.",
        ),
        Kind::Undecided => (
            "Orders whose payment the provider has not decided for hours",
            "If the provider is up: `jumun order <id>`, then ask its support. Until then ship nothing, and do not say that it failed.",
        ),
        Kind::Refund => (
            "Orders with a refund that failed, or that the provider has not decided for hours",
            "`jumun order <id>` says why. If it was refused: refund again, or in the provider's console (that is adopted).\n  \
             A deposit goes back to an account of the buyer: ask for one if it was refused.",
        ),
        Kind::DeadLetter => (
            "Messages that no consumer could process (dead letters)",
            "`jumun dead-letters show <id>`; repair the cause, then `jumun dead-letters replay <id>`. Or discard it:\n  \
             `jumun dead-letters discard <id> --reason ...`.",
        ),
    }
}

fn text(waiting: &[Waiting]) -> String {
    let mut text = String::new();
    for kind in KINDS {
        let mut of_kind = waiting.iter().filter(|it| it.kind == kind).peekable();
        if of_kind.peek().is_none() {
            continue;
        }
        let (what, advice) = advice(kind);
        // Writing to a text does not fail.
        writeln!(text, "{what}\n  {advice}\n").ok();
        for Waiting { id, since, why, .. } in of_kind {
            writeln!(text, "  {id}  since {}  {why}", since.to_rfc3339_opts(SecondsFormat::Secs, true)).ok();
        }
        text.push('\n');
    }
    text + &match waiting.len() {
        0 => "Nothing needs a person.".to_owned(),
        count => format!("{count} waiting."),
    }
}

fn as_json(waiting: &[Waiting]) -> serde_json::Result<String> {
    let item = |it: &Waiting| json!({"kind": it.kind.name(), "id": it.id, "since": it.since, "why": it.why});
    serde_json::to_string_pretty(&json!({"waiting": waiting.iter().map(item).collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_shown_under_what_to_do_about_it() {
        let waiting: Vec<_> = KINDS
            .map(|kind| Waiting { kind, id: uuid::Uuid::nil(), since: chrono::Utc::now(), why: kind.name().into() })
            .into();
        let text = text(&waiting);
        for kind in KINDS {
            assert!(text.contains(advice(kind).0) && text.contains(kind.name()), "{text}");
        }
        assert!(text.ends_with("4 waiting."));
        assert_eq!(super::text(&[]), "Nothing needs a person.");
    }
}
