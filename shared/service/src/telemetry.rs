//! Logs: one line per event, on standard error.

use std::io::{self, IsTerminal};
use std::panic;

use tracing::error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use crate::settings::{Env, Setting};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogFormat {
    /// One JSON object per line, for collectors.
    Json,
    /// Text, colored on a terminal.
    Pretty,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "json or pretty";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "pretty" => Some(Self::Pretty),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let word = match self {
            Self::Json => "json",
            Self::Pretty => "pretty",
        };
        word.to_owned()
    }
}

/// Which log lines are written, and how.
#[derive(Debug, Clone)]
pub struct Telemetry {
    format: LogFormat,
    filter: String,
}

impl Telemetry {
    /// Reads `LOG_FORMAT`, and `RUST_LOG` or else `LOG_LEVEL`.
    pub fn read(env: &mut Env) -> Self {
        let format = env.optional("LOG_FORMAT", "json or pretty; when unset pretty on a terminal, else json");
        let level = env.or(
            "LOG_LEVEL",
            "info".to_owned(),
            "error, warn, info, debug, trace, or a filter such as info,sqlx=warn",
        );
        let filter = env.optional("RUST_LOG", "overrides LOG_LEVEL").unwrap_or(level);
        if EnvFilter::try_new(&filter).is_err() {
            env.refuse("LOG_LEVEL", "expected a level or a list of target=level");
        }
        Self {
            format: format.unwrap_or_else(
                || {
                    if io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json }
                },
            ),
            filter,
        }
    }

    /// Starts logging for the whole process. A second call changes nothing, so that tests and
    /// services composed in one process may each call it.
    pub fn init(&self) {
        let filter = EnvFilter::new(&self.filter);
        let lines = fmt::layer().with_writer(io::stderr);
        let lines = match self.format {
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
            LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        };
        if registry().with(filter).with(lines).try_init().is_ok() {
            log_panics();
        }
    }
}

/// A panic is a log line like any other, with the request it happened in.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        error!(panic.location = place, "Panicked: {message}");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_checked_before_anything_starts() {
        let mut env = Env::from_pairs([("RUST_LOG", "info,sqlx=loud")]);
        Telemetry::read(&mut env);
        assert!(env.finish().is_err());
    }

    #[test]
    fn starting_twice_is_harmless() {
        let mut env = Env::from_pairs([("LOG_FORMAT", "json"), ("LOG_LEVEL", "off")]);
        let telemetry = Telemetry::read(&mut env);
        env.finish().unwrap();
        telemetry.init();
        telemetry.init();
    }
}
