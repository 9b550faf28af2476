//! Settings: read from the environment once; everything that is wrong with them is reported together.
//!
//! A service has one documented struct with `fn read(env: &mut Env) -> Self`. Each read carries its
//! default and its description, so the configuration table can be checked against the code. A read
//! that fails hands out the default as a stand-in; [`Env::finish`] then refuses to go on.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use http::Uri;
use secrecy::{ExposeSecret, SecretString};

mod setting;

pub use setting::Setting;

/// What the process is for. Production takes nothing for granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// One machine, sandbox defaults.
    #[default]
    Development,
    /// Real money: defaults for secrets and providers are refused.
    Production,
}

/// One row of the configuration table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The variable's name.
    pub name: &'static str,
    /// What applies when it is not set. `None`: nothing does.
    pub default: Option<String>,
    /// What it is, in one line.
    pub description: &'static str,
    /// Its value never appears in output, and `NAME_FILE` may name a file that holds it.
    pub secret: bool,
    /// Production has no default for it.
    pub required_in_production: bool,
}

/// Everything that is wrong with the environment, at once.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used:\n  {}", .0.join("\n  "))]
pub struct SettingsError(Vec<String>);

/// Reads settings, and remembers what was read and what was wrong with it.
#[derive(Debug)]
pub struct Env {
    values: HashMap<String, SecretString>,
    mode: Mode,
    documented: Vec<Variable>,
    refusals: Vec<String>,
}

impl Env {
    /// The environment of this process.
    pub fn process() -> Self {
        Self::from_pairs(std::env::vars_os().map(|(name, value)| {
            let text = value.to_string_lossy().into_owned();
            (name.to_string_lossy().into_owned(), text)
        }))
    }

    /// An environment made of these pairs alone: tests, and services composed in one process.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut env = Self {
            // Compose files pass `${UNSET:-}` on as an empty string, which means "not set".
            values: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, SecretString::from(value)))
                .collect(),
            mode: Mode::default(),
            documented: Vec::new(),
            refusals: Vec::new(),
        };
        env.mode =
            env.or("JUMUN_ENV", Mode::Development, "development or production; production refuses sandbox defaults");
        env
    }

    /// What `JUMUN_ENV` says.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A setting with a default that is good everywhere.
    pub fn or<T: Setting>(&mut self, name: &'static str, default: T, description: &'static str) -> T {
        self.document(name, Some(default.show()), description);
        self.parsed(name).unwrap_or(default)
    }

    /// A whole number of which only some make sense.
    pub fn within<T: Setting + PartialOrd>(
        &mut self,
        name: &'static str,
        default: T,
        range: RangeInclusive<T>,
        description: &'static str,
    ) -> T {
        self.document(name, Some(default.show()), description);
        let Some(text) = self.values.get(name) else { return default };
        let value = T::parse(text.expose_secret().trim()).filter(|value| range.contains(value));
        value.unwrap_or_else(|| {
            let (least, most) = (range.start().show(), range.end().show());
            self.refuse(name, format_args!("expected a whole number from {least} to {most}"));
            default
        })
    }

    /// A setting that may be absent.
    pub fn optional<T: Setting>(&mut self, name: &'static str, description: &'static str) -> Option<T> {
        self.document(name, None, description);
        self.parsed(name)
    }

    /// A setting whose default is good for development only.
    pub fn required_in_production<T: Setting>(
        &mut self,
        name: &'static str,
        development: T,
        description: &'static str,
    ) -> T {
        self.document(name, Some(development.show()), description).required_in_production = true;
        self.refuse_absence_in_production(name);
        self.parsed(name).unwrap_or(development)
    }

    /// The base address of something we call: no query, no trailing slash. Production talks plain
    /// `http` to this machine only.
    pub fn url(&mut self, name: &'static str, development: &str, description: &'static str) -> String {
        let url = self.required_in_production(name, development.to_owned(), description);
        let url = url.trim_end_matches('/');
        if let Some(why) = url_refusal(url, self.mode) {
            self.refuse(name, why);
        }
        url.to_owned()
    }

    /// The address of something that we may be told to call, kept to the letter. Otherwise as [`Env::url`].
    pub fn optional_url(&mut self, name: &'static str, description: &'static str) -> Option<String> {
        let url: String = self.optional(name, description)?;
        if let Some(why) = url_refusal(&url, self.mode) {
            self.refuse(name, why);
        }
        Some(url)
    }

    /// A secret with a stand-in for development, from `NAME` or from the file that `NAME_FILE` names.
    pub fn secret(&mut self, name: &'static str, development: &'static str, description: &'static str) -> SecretString {
        let row = self.document(name, Some(development.to_owned()), description);
        row.secret = true;
        row.required_in_production = true;
        self.refuse_absence_in_production(name);
        self.secret_value(name).unwrap_or_else(|| development.into())
    }

    /// A secret that may be absent, from `NAME` or from the file that `NAME_FILE` names.
    pub fn optional_secret(&mut self, name: &'static str, description: &'static str) -> Option<SecretString> {
        self.document(name, None, description).secret = true;
        self.secret_value(name)
    }

    /// Refuses a value, or a combination of values, for a reason of the caller's.
    pub fn refuse(&mut self, name: &str, why: impl Display) {
        let refusal = format!("{name}: {why}");
        // Services composed in one process read some settings several times.
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    /// The configuration table: every variable read so far, in reading order.
    pub fn documented(&self) -> &[Variable] {
        &self.documented
    }

    /// Refuses the settings if any of them was refused.
    ///
    /// # Errors
    ///
    /// All that is wrong, by variable, without any value.
    pub fn finish(self) -> Result<(), SettingsError> {
        if self.refusals.is_empty() {
            return Ok(());
        }
        Err(SettingsError(self.refusals))
    }

    /// What would be refused if this were the environment: for tests of settings. Empty when nothing is.
    pub fn refusals_of<S>(pairs: &[(&str, &str)], read: impl FnOnce(&mut Self) -> S) -> String {
        let mut env = Self::from_pairs(pairs.iter().copied());
        read(&mut env);
        env.finish().err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn document(&mut self, name: &'static str, default: Option<String>, description: &'static str) -> &mut Variable {
        let known = self.documented.iter().position(|row| row.name == name);
        let index = known.unwrap_or_else(|| {
            self.documented.push(Variable { name, default, description, secret: false, required_in_production: false });
            self.documented.len() - 1
        });
        &mut self.documented[index]
    }

    fn parsed<T: Setting>(&mut self, name: &str) -> Option<T> {
        let text = self.values.get(name)?.expose_secret();
        let value = T::parse(text.trim());
        if value.is_none() {
            self.refuse(name, format_args!("expected {}", T::EXPECTED));
        }
        value
    }

    fn secret_value(&mut self, name: &str) -> Option<SecretString> {
        let file_name = file_variable(name);
        match (self.values.get(name), self.values.get(&file_name)) {
            (None, None) => None,
            (Some(value), None) => Some(value.clone()),
            (Some(_), Some(_)) => {
                self.refuse(name, format_args!("set either this or {file_name}, not both"));
                None
            }
            (None, Some(path)) => match fs::read_to_string(path.expose_secret()) {
                // Editors and `echo` end a file with a newline that is no part of the secret.
                Ok(text) if !text.trim_end().is_empty() => Some(text.trim_end().into()),
                Ok(_) => {
                    self.refuse(&file_name, "the file is empty");
                    None
                }
                Err(error) => {
                    self.refuse(&file_name, error);
                    None
                }
            },
        }
    }

    fn refuse_absence_in_production(&mut self, name: &str) {
        let set = self.values.contains_key(name) || self.values.contains_key(&file_variable(name));
        if self.mode == Mode::Production && !set {
            self.refuse(name, "required in production");
        }
    }
}

fn file_variable(name: &str) -> String {
    format!("{name}_FILE")
}

fn url_refusal(url: &str, mode: Mode) -> Option<&'static str> {
    let Ok(uri) = url.parse::<Uri>() else {
        return Some("expected an address such as https://api.example.com");
    };
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        _ if host.is_empty() || uri.query().is_some() => Some("expected an address with a host and without a query"),
        Some("https") => None,
        Some("http") if mode == Mode::Development || is_loopback(host) => None,
        Some("http") => Some("expected https, since this is production"),
        _ => Some("expected an address that starts with https:// or http://"),
    }
}

/// Whether what is sent there stays on this machine or is encrypted: nothing else is fit for secrets.
pub fn keeps_secrets(url: &str) -> bool {
    let uri = url.parse::<Uri>().ok();
    url.starts_with("https://") || uri.is_some_and(|uri| uri.host().is_some_and(is_loopback))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_set_wins_and_what_is_not_falls_back() {
        let mut env = Env::from_pairs([("PORT", " 9000 "), ("EMPTY", ""), ("WAIT", "1500ms")]);
        assert_eq!(env.or("PORT", 8080_u16, "port"), 9000);
        assert_eq!(env.or("EMPTY", 7_u32, "set to nothing"), 7);
        assert_eq!(env.optional::<String>("ABSENT", "not there"), None);
        let wait = env.or("WAIT", Duration::from_secs(1), "how long");
        assert_eq!(wait, Duration::from_millis(1500));
        env.finish().unwrap();
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_without_values() {
        let mut env =
            Env::from_pairs([("JUMUN_ENV", "staging"), ("PORT", "hunter2"), ("ON", "maybe"), ("BASE", "ftp://x")]);
        env.or("PORT", 1_u16, "port");
        env.or("ON", false, "switch");
        env.url("BASE", "http://127.0.0.1:1", "base");
        env.refuse("KEY", "a live key with a sandbox address");
        let told = env.finish().unwrap_err().to_string();
        assert_eq!(
            told.lines().skip(1).collect::<Vec<_>>(),
            [
                "  JUMUN_ENV: expected development or production",
                "  PORT: expected a whole number from 0 to 65535",
                "  ON: expected true or false",
                "  BASE: expected an address that starts with https:// or http://",
                "  KEY: a live key with a sandbox address",
            ]
        );
    }

    #[test]
    fn a_number_that_makes_no_sense_is_refused_with_those_that_do() {
        for bad in ["0", "11", "-1", "many", "1.5"] {
            let told = Env::refusals_of(&[("ROOM", bad)], |env| env.within("ROOM", 5_u32, 1..=10, "places"));
            assert!(told.contains("ROOM: expected a whole number from 1 to 10"), "{bad}: {told}");
        }
        for good in ["1", " 10 ", ""] {
            assert_eq!(Env::refusals_of(&[("ROOM", good)], |env| env.within("ROOM", 5_u32, 1..=10, "places")), "");
        }
    }

    #[test]
    fn secrets_are_sent_in_the_clear_to_nobody_else() {
        for good in ["https://api.example.com", "http://127.0.0.1:8090/toss", "http://[::1]:1", "http://localhost"] {
            assert!(keeps_secrets(good), "{good}");
        }
        for bad in ["http://toss.example", "http://10.0.0.1", "http://localhost.example", "x"] {
            assert!(!keeps_secrets(bad), "{bad}");
        }
    }

    #[test]
    fn production_has_no_stand_ins() {
        let read = |pairs: &[(&str, &str)]| {
            let mut env = Env::from_pairs(pairs.iter().copied());
            let secret = env.secret("KEY", "test_sk", "key");
            let url = env.url("BASE", "http://127.0.0.1:9/", "base");
            (secret.expose_secret().to_owned(), url, env.finish())
        };
        let (secret, url, verdict) = read(&[]);
        verdict.unwrap();
        assert_eq!((secret.as_str(), url.as_str()), ("test_sk", "http://127.0.0.1:9"));

        let told = read(&[("JUMUN_ENV", "production")]).2.unwrap_err();
        assert_eq!(told.0, ["KEY: required in production", "BASE: required in production"]);

        let production = ("JUMUN_ENV", "production");
        let told = read(&[production, ("KEY", "k"), ("BASE", "http://api.example.com")]);
        assert!(told.2.unwrap_err().to_string().contains("BASE: expected https"));
        for good in ["https://api.example.com", "http://[::1]:80", "http://localhost"] {
            read(&[production, ("KEY", "k"), ("BASE", good)]).2.unwrap();
        }
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_never_shows() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "canary").unwrap();
        let path = file.path().to_str().unwrap();

        let mut env = Env::from_pairs([("KEY_FILE", path), ("OTHER", "canary")]);
        let secret = env.secret("KEY", "stand-in", "key");
        assert_eq!(secret.expose_secret(), "canary");
        assert!(!format!("{env:?} {secret:?}").contains("canary"));

        let mut env = Env::from_pairs([("KEY_FILE", path), ("KEY", "canary")]);
        assert!(env.optional_secret("KEY", "key").is_none());
        let told = env.finish().unwrap_err().to_string();
        assert!(told.contains("KEY: set either this or KEY_FILE, not both"), "{told}");

        let mut env = Env::from_pairs([("JUMUN_ENV", "production"), ("KEY_FILE", "/nowhere")]);
        env.secret("KEY", "stand-in", "key");
        assert_eq!(env.finish().unwrap_err().0.len(), 1);
    }

    #[test]
    fn what_was_read_is_documented_once() {
        let mut env = Env::from_pairs([("PORT", "nonsense")]);
        env.or("PORT", 8080_u16, "port of the storefront");
        env.or("PORT", 8080_u16, "port of the storefront");
        env.secret("KEY", "test_sk", "secret key");
        let rows = env.documented();
        let names: Vec<_> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["JUMUN_ENV", "PORT", "KEY"]);
        assert_eq!(rows[1].default.as_deref(), Some("8080"));
        assert!(rows[2].secret && rows[2].required_in_production);
    }
}
