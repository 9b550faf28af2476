//! The output of `jumun dead-letters`, as text and as JSON.

use chrono::{DateTime, SecondsFormat, Utc};
use database::dead_letters::{Action, Summary};
use serde_json::{Value, json};
use uuid::Uuid;

use super::content::Shown;
use crate::output::column;

/// What became of letters that somebody decided about.
pub(super) struct Verdicts {
    pub(super) done: Vec<Uuid>,
    pub(super) refused: Vec<(Uuid, String)>,
}

impl Verdicts {
    pub(super) fn text(&self, what: &str, dry_run: bool) -> String {
        let what = if dry_run { format!("would be {what}") } else { what.to_owned() };
        let done = self.done.iter().map(|id| format!("{id}  {what}\n"));
        let refused = self.refused.iter().map(|(id, why)| format!("{id}  refused: {why}\n"));
        let counts = format!("{} {what}, {} refused", self.done.len(), self.refused.len());
        done.chain(refused).chain([counts]).collect()
    }

    pub(super) fn json(&self, what: &str, dry_run: bool) -> serde_json::Result<String> {
        let refused: Vec<_> = self.refused.iter().map(|(id, why)| json!({"id": id, "why": why})).collect();
        serde_json::to_string_pretty(&json!({"dryRun": dry_run, what: self.done, "refused": refused}))
    }
}

/// A line for each letter. `full`: the limit may have cut some off.
pub(super) fn list(letters: &[Summary], full: bool) -> String {
    let row = |id: &str, at: &str, status: &str, source: &str, reason: &str| {
        format!("{id:<36}  {at:<20}  {status:<9}  {}  {reason}\n", column(source, 22))
    };
    let mut text = row("LETTER", "RECEIVED", "STATUS", "SOURCE", "REASON");
    for letter in letters {
        let at = time(letter.received_at);
        let (source, reason) = (line(&letter.source), line(&letter.reason));
        text += &row(&letter.id.to_string(), &at, letter.status.name(), &source, &reason);
    }
    let more = if full { "; there may be more, see --limit" } else { "" };
    format!("{text}{} listed{more}", letters.len())
}

/// The same for programs.
pub(super) fn list_json(letters: &[Summary]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&json!({"letters": letters.iter().map(summary).collect::<Vec<_>>()}))
}

/// One letter and its history.
pub(super) fn letter(letter: &Summary, content: &Shown, actions: &[Action]) -> serde_json::Result<String> {
    let or = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.to_owned());
    let fields = [
        ("letter", letter.id.to_string()),
        ("status", letter.status.name().to_owned()),
        ("received", time(letter.received_at)),
        ("source", line(&letter.source)),
        ("reason", line(&letter.reason)),
        ("delivery attempts", or(letter.delivery_attempts.map(|it| it.to_string()), "not said")),
        ("event id", or(letter.event.map(|it| it.to_string()), "none that can be read: it cannot be replayed")),
        ("event type", or(letter.event_type.as_deref().map(line), "not said")),
        ("message id", or(content.message_id.as_deref().map(line), "not said")),
        ("attributes", lines(&serde_json::to_string_pretty(&content.attributes)?)),
        ("body", lines(&content.text()?)),
    ];
    let fields = fields.into_iter().map(|(name, value)| format!("{name:<20}{value}"));
    let history = actions.iter().map(|Action { action, actor, reason, at }| {
        let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{:<20}{}", time(*at), line(&format!("{action} by {actor}{reason}")))
    });
    Ok(fields.chain(history).collect::<Vec<_>>().join("\n"))
}

/// The same for programs.
pub(super) fn letter_json(letter: &Summary, content: &Shown, actions: &[Action]) -> serde_json::Result<String> {
    let mut value = summary(letter);
    value["messageId"] = json!(content.message_id);
    value["attributes"] = content.attributes.clone();
    value["length"] = json!(content.length);
    value["body"] = json!(content.body);
    if let Some(raw) = content.base64() {
        value["base64"] = json!(raw);
    }
    let action = |it: &Action| json!({"action": it.action, "by": it.actor, "reason": it.reason, "at": time(it.at)});
    value["actions"] = actions.iter().map(action).collect();
    serde_json::to_string_pretty(&value)
}

fn summary(letter: &Summary) -> Value {
    json!({
        "id": letter.id,
        "status": letter.status.name(),
        "receivedAt": time(letter.received_at),
        "source": letter.source,
        "reason": letter.reason,
        "deliveryAttempts": letter.delivery_attempts,
        "eventId": letter.event,
        "eventType": letter.event_type,
    })
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Letters are other people's words: they must not command the terminal, nor add lines of their own.
fn line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The same for what has lines.
fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join(&format!("\n{:20}", ""))
}

#[cfg(test)]
mod tests {
    use database::dead_letters::Status;

    use super::*;

    #[test]
    fn a_letter_does_not_command_the_terminal() {
        let letter = Summary {
            id: Uuid::nil(),
            event: None,
            event_type: None,
            source: "\u{1b}[2J\u{9b}1m".to_owned(),
            reason: "bell\u{7}\r\nforged".to_owned(),
            delivery_attempts: None,
            received_at: DateTime::UNIX_EPOCH,
            status: Status::Open,
        };
        let told = list(&[letter], true);
        assert!(!told.chars().any(|c| c.is_control() && c != '\n'), "{told:?}");
        assert_eq!(told.lines().count(), 3);
        assert!(told.ends_with("1 listed; there may be more, see --limit"));
    }
}
