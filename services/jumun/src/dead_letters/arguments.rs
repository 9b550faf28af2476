//! The arguments of `jumun dead-letters`.

use chrono::{DateTime, Utc};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum, value_parser};
use database::dead_letters::{Filter, Status};
use domain::EventType;
use uuid::Uuid;

/// What to do at the desk.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists dead letters, the oldest first.
    List(List),
    /// Shows one dead letter, what it carries and what was decided about it.
    Show(Show),
    /// Publishes the events of dead letters again, under the same event id.
    ///
    /// Every consumer of the event gets it; those that acted upon it see a duplicate, so that replaying twice is harmless.
    /// A letter is marked once the message engine has confirmed its event. Exits 1 if some could not be replayed.
    Replay(Replay),
    /// Discards dead letters: their events will not have that effect. Exits 1 if some are not open.
    Discard(Discard),
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(super) filters: Filters,
    /// Prints one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The letter.
    pub(super) id: Uuid,
    /// Shows the body and the attributes as they came, payment keys and device tokens included.
    #[arg(long)]
    pub(super) raw: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Reason; kept on record.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(super) reason: Option<String>,
}

/// Arguments of `discard`.
#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Reason; kept on record.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(super) reason: String,
}

/// Which letters to decide about, and who does.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The letters.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) ids: Vec<Uuid>,
    /// All letters that the filters leave: open ones, unless --status says otherwise.
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) filters: Filters,
    /// Who decides; kept on record (default: the user's name).
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) by: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which letters.
#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// Only letters so decided. The default is open; letters that are named may be any.
    #[arg(long)]
    status: Option<Decided>,
    /// Only letters of this subscription, such as checkout-stock.
    #[arg(long, value_name = "SUBSCRIPTION")]
    source: Option<String>,
    /// Only letters that announce this, such as checkout-success.
    #[arg(long, value_name = "TYPE", value_parser = event_type)]
    event_type: Option<EventType>,
    /// Only letters that came since then, such as 2026-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Only letters whose reason contains this, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    reason_contains: Option<String>,
    /// At most so many letters, the oldest.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(i64).range(1..=100_000))]
    pub(super) limit: i64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decided {
    Open,
    Replayed,
    Discarded,
    Any,
}

impl Decided {
    fn status(self) -> Option<Status> {
        match self {
            Self::Open => Some(Status::Open),
            Self::Replayed => Some(Status::Replayed),
            Self::Discarded => Some(Status::Discarded),
            Self::Any => None,
        }
    }
}

fn event_type(name: &str) -> Result<EventType, String> {
    EventType::parse(name).ok_or_else(|| format!("it is one of {}", EventType::ALL.map(EventType::name).join(", ")))
}

impl Filters {
    pub(super) fn of_open_letters(&self) -> Filter<'_> {
        self.or_else(Decided::Open)
    }

    fn or_else(&self, status: Decided) -> Filter<'_> {
        Filter {
            ids: None,
            status: self.status.unwrap_or(status).status(),
            source: self.source.as_deref(),
            event_type: self.event_type,
            since: self.since,
            reason: self.reason_contains.as_deref(),
        }
    }
}

impl Selection {
    /// The letters that are meant, and how many at most.
    pub(super) fn filter(&self) -> (Filter<'_>, i64) {
        if self.all {
            return (self.filters.of_open_letters(), self.filters.limit);
        }
        let named = Filter { ids: Some(&self.ids), ..self.filters.or_else(Decided::Any) };
        (named, i64::try_from(self.ids.len()).unwrap_or(i64::MAX))
    }
}
