//! The types that a setting can have: how each is parsed and shown.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::Mode;

/// A value that can be read from, and shown as, an environment variable.
pub trait Setting: Sized {
    /// Completes the sentence "expected ...".
    const EXPECTED: &'static str;

    /// `None` if the text is not what is expected.
    fn parse(text: &str) -> Option<Self>;

    /// The text that [`Setting::parse`] would turn into this value.
    fn show(&self) -> String;
}

macro_rules! setting {
    ($($type:ty: $expected:literal),* $(,)?) => {$(
        impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

setting! {
    bool: "true or false",
    u16: "a whole number from 0 to 65535",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number, not negative",
    usize: "a whole number, not negative",
    i64: "a whole number",
    String: "text",
    IpAddr: "an IP address",
    SocketAddr: "an IP address and a port, such as 127.0.0.1:8080",
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        Some(Self::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a time such as 500ms, 30s, 5m or 1h";

    fn parse(text: &str) -> Option<Self> {
        let unit = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit);
        let number: u64 = number.parse().ok()?;
        let seconds = match unit {
            "ms" => return Some(Self::from_millis(number)),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        number.checked_mul(seconds).map(Self::from_secs)
    }

    fn show(&self) -> String {
        match self.as_millis() {
            whole if whole % 3_600_000 == 0 => format!("{}h", whole / 3_600_000),
            whole if whole % 60_000 == 0 => format!("{}m", whole / 60_000),
            whole if whole % 1_000 == 0 => format!("{}s", whole / 1_000),
            rest => format!("{rest}ms"),
        }
    }
}

impl Setting for Mode {
    const EXPECTED: &'static str = "development or production";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "development" => Some(Self::Development),
            "production" => Some(Self::Production),
            _ => None,
        }
    }

    fn show(&self) -> String {
        let word = match self {
            Self::Development => "development",
            Self::Production => "production",
        };
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_it_is_read() {
        for text in ["1ms", "1500ms", "30s", "5m", "2h", "90m", "61s"] {
            assert_eq!(Duration::parse(text).unwrap().show(), text);
        }
        for text in ["", "5", "s", "-1s", "1.5s", "1 s", "1d", "99999999999999999999s"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
        assert_eq!(Duration::parse("18446744073709551615h"), None);
    }
}
