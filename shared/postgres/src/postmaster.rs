//! `postmaster.pid`: what a running server says about itself.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// A server that may be running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: Pid,
    pub(crate) port: u16,
}

impl Postmaster {
    /// Reads the file in a data directory. `None` when there is none, or none that is complete.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.parse().ok()?)?;
        Some(Self { pid, port: lines.nth(2)?.parse().ok()? })
    }

    /// Whether it takes connections, by its own word: the last of the file's eight lines.
    pub(crate) fn is_ready(self, data: &Path) -> bool {
        let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        Self::parse(&text) == Some(self) && text.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    /// Whether that process is still a server of `data`: its id may long belong to another program, and
    /// a server that nobody has waited for is dead although its id is taken.
    pub(crate) fn runs(self, data: &Path) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.pid.as_raw_nonzero())).unwrap_or_default();
        command.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_encoded_bytes())
    }

    /// Asks for a fast shutdown: transactions are rolled back, everything committed is kept.
    pub(crate) fn interrupt(self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::INT)?)
    }
}
