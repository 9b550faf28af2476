//! Logs: one line per event, on standard error.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{error, warn};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use crate::settings::{Env, Setting};

/// How many lines may wait to be written: a few megabytes.
const WAITING_LINES: usize = 16_384;

/// How long the end of a process waits for its last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(2);

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
        if !is_filter(&filter) {
            env.refuse("LOG_LEVEL", "expected error, warn, info, debug, trace, off, or a list such as info,sqlx=warn");
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

    /// Starts logging for the whole process, until the returned [`Logging`] is dropped. A second call changes nothing, so
    /// that tests may each call it.
    pub fn init(&self) -> Logging {
        let filter = EnvFilter::new(&self.filter);
        let (writer, logging) = queue(io::stderr(), WAITING_LINES);
        let lines = fmt::layer().with_writer(writer);
        let lines = match self.format {
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
            LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        };
        if registry().with(filter).with(lines).try_init().is_ok() {
            log_panics();
        }
        logging
    }
}

/// An open log. Dropping it, at the end or in a panic, waits until every line is written, but not for a reader that has
/// stopped reading.
#[must_use = "what is logged later is lost"]
pub struct Logging(Option<WorkerGuard>);

impl Drop for Logging {
    fn drop(&mut self) {
        let guard = self.0.take();
        let (written, wait) = mpsc::channel();
        // On another thread: if nobody reads, the guard prints that to standard output, and may block there.
        thread::spawn(move || {
            drop(guard);
            written.send(()).ok();
        });
        wait.recv_timeout(LAST_LINES).ok();
    }
}

/// A queue of so many lines before `out`, so that a reader that has stopped reading blocks no one who logs.
fn queue(out: impl Write + Send + 'static, lines: usize) -> (NonBlocking, Logging) {
    let dropped = Arc::<OnceLock<ErrorCounter>>::default();
    let outlet = Outlet { out, dropped: Arc::clone(&dropped), unwritten: 0, seen: 0, told: 0 };
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines).finish(outlet);
    dropped.get_or_init(|| writer.error_counter());
    (writer, Logging(Some(guard)))
}

/// The far end of the queue, on a thread of its own. It counts the lines that are lost, and logs how many as soon as
/// lines are written again.
struct Outlet<W> {
    out: W,
    /// Lines that found the queue full.
    dropped: Arc<OnceLock<ErrorCounter>>,
    /// Lines that `out` refused, for instance because the disk is full.
    unwritten: usize,
    /// Lines lost when the last line was written.
    seen: usize,
    /// Lost lines that were logged.
    told: usize,
}

impl<W> Outlet<W> {
    fn lost(&self) -> usize {
        self.dropped.get().map_or(0, ErrorCounter::dropped_lines) + self.unwritten
    }
}

impl<W: Write> Write for Outlet<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = self.lost();
        let more = lost - self.told;
        // While lines are still being lost, this one would be too.
        if more > 0 && lost == self.seen {
            warn!(lines = more, "Lost {more} lines of the log");
            self.told = lost;
        }
        self.seen = lost;
        self.out.write(line).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.unwritten += 1;
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A word that is no level would be taken for the name of a module, and everything else would fall silent.
fn is_filter(text: &str) -> bool {
    let whole = |part: &str| part.contains(['=', '[']) || part.trim().parse::<LevelFilter>().is_ok();
    text.split(',').all(whole) && EnvFilter::try_new(text).is_ok()
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
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_filter_is_checked_before_anything_starts() {
        for bad in ["info,sqlx=loud", "chatty", "info,chatty", "2x"] {
            assert!(Env::refusals_of(&[("RUST_LOG", bad)], Telemetry::read).contains("LOG_LEVEL: expected"), "{bad}");
        }
        for good in ["off", "INFO", "info,sqlx=warn,hyper=off", "info,[http.request]=debug"] {
            assert_eq!(Env::refusals_of(&[("LOG_LEVEL", good)], Telemetry::read), "", "{good}");
        }
    }

    #[test]
    fn starting_twice_is_harmless() {
        let mut env = Env::from_pairs([("LOG_FORMAT", "json"), ("LOG_LEVEL", "off")]);
        let telemetry = Telemetry::read(&mut env);
        env.finish().unwrap();
        drop(telemetry.init());
        drop(telemetry.init());
    }

    /// A log that nobody reads while somebody holds the lock on its text, and that is refused while `full`.
    #[derive(Clone, Default)]
    struct Shelf {
        text: Arc<Mutex<Vec<u8>>>,
        full: Arc<AtomicBool>,
    }

    impl Shelf {
        fn count(&self, text: &str) -> usize {
            String::from_utf8(self.text.lock().unwrap().clone()).unwrap().matches(text).count()
        }
    }

    impl Write for Shelf {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_dropped_and_counted() {
        let shelf = Shelf::default();
        let unread = shelf.text.lock().unwrap();
        let (mut writer, log) = queue(shelf.clone(), 2);
        for _ in 0..10 {
            writer.write_all(b"line").unwrap(); // and does not wait
        }
        let lost = writer.error_counter().dropped_lines();
        assert!((7..=8).contains(&lost), "two wait, and one may be on its way out: {lost}");
        drop(unread);
        drop(log);
        assert_eq!(shelf.count("line"), 10 - lost);
    }

    #[test]
    fn how_many_lines_were_lost_is_logged_once_lines_are_written_again() {
        let (shelf, warnings) = (Shelf::default(), Shelf::default());
        let mut outlet = Outlet { out: shelf.clone(), dropped: Arc::default(), unwritten: 0, seen: 0, told: 0 };
        let log = warnings.clone();
        tracing::subscriber::with_default(fmt().with_writer(move || log.clone()).finish(), || {
            shelf.full.store(true, Ordering::SeqCst);
            for _ in 0..3 {
                outlet.write_all(b"line").unwrap_err();
            }
            assert_eq!(warnings.count("Lost"), 0, "a warning would be lost too");
            shelf.full.store(false, Ordering::SeqCst);
            for _ in 0..3 {
                outlet.write_all(b"line").unwrap();
            }
        });
        assert_eq!((shelf.count("line"), warnings.count("Lost 3 lines"), warnings.count("Lost")), (3, 1, 1));
    }

    /// Who reads it takes their time over each line.
    struct Slow(Shelf);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(20));
            self.0.write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }

    #[test]
    fn a_panic_leaves_no_line_unwritten() {
        let shelf = Shelf::default();
        let (mut writer, log) = queue(Slow(shelf.clone()), 10);
        panic::catch_unwind(panic::AssertUnwindSafe(move || {
            let _log = log;
            for _ in 0..10 {
                writer.write_all(b"line").unwrap();
            }
            panic::resume_unwind(Box::new("a bug"))
        }))
        .unwrap_err();
        assert_eq!(shelf.count("line"), 10);
    }
}
