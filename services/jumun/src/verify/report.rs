//! What was checked and what was found, for people and for programs.

use std::fmt::Write as _;

use database::verify::{Money, Violation};
use serde_json::json;

use crate::output::won;

/// The outcome of one check.
pub(crate) struct Report {
    /// Name and statement of every invariant.
    pub(crate) checked: Vec<(&'static str, &'static str)>,
    /// Those that do not hold.
    pub(crate) violations: Vec<Violation>,
    /// What was compared with the provider, if it was asked.
    pub(crate) money: Option<Money>,
}

impl Report {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, statement) in &self.checked {
            let broken = self.violations.iter().find(|violation| violation.name == *name);
            let verdict = if broken.is_some() { "BROKEN" } else { "ok" };
            line(&mut text, format_args!("{verdict:<8}{name:<24}{statement}"));
            if let Some(violation) = broken {
                for offender in &violation.examples {
                    line(&mut text, format_args!("          {}: {}", offender.subject, offender.detail));
                }
                let named = violation.examples.len() as u64;
                if violation.total > named {
                    line(&mut text, format_args!("          and {} more", violation.total - named));
                }
            }
        }
        if let Some(Money { payments, ours, theirs, in_flight }) = self.money {
            let (ours, theirs, in_flight) = (won(ours), won(theirs), won(in_flight));
            line(
                &mut text,
                format_args!(
                    "\n{payments} payments: {ours} won here, {theirs} won at the provider, of which {in_flight} in flight"
                ),
            );
        }
        match (self.violations.len(), self.checked.len()) {
            (0, all) => line(&mut text, format_args!("\nAll {all} invariants hold.")),
            (broken, all) => line(&mut text, format_args!("\n{broken} of {all} invariants are broken.")),
        }
        text.truncate(text.trim_end().len());
        text
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let violation = |it: &Violation| {
            let examples: Vec<_> =
                it.examples.iter().map(|it| json!({"subject": it.subject, "detail": it.detail})).collect();
            json!({"name": it.name, "statement": it.statement, "total": it.total, "examples": examples})
        };
        serde_json::to_string_pretty(&json!({
            "ok": self.violations.is_empty(),
            "checked": self.checked.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "violations": self.violations.iter().map(violation).collect::<Vec<_>>(),
            "money": self.money.map(|it| json!({
                "payments": it.payments, "ours": it.ours, "theirs": it.theirs, "inFlight": it.in_flight,
            })),
        }))
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text does not fail.
    writeln!(text, "{line}").ok();
}
