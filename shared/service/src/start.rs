//! The first thing that every service's `main` does.

use std::io::{self, Write as _};

use crate::settings::{Env, SettingsError, Variable};
use crate::telemetry::{Logging, Telemetry};

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is not one that it can work in.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// It is told what to do by its environment.
    #[error("unknown argument {0}; there is only --help")]
    Argument(String),
    /// Nobody can read the help.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

/// Reads a service's settings from the environment and starts its log. `None`: the user only asked for `--help`,
/// and has been told what the service is and which variables it reads. The log is written until [`Logging`] is dropped.
///
/// # Errors
/// See [`StartError`].
pub fn start<S>(about: &str, read: impl FnOnce(&mut Env) -> S) -> Result<Option<(S, Logging)>, StartError> {
    let mut env = Env::process();
    let telemetry = Telemetry::read(&mut env);
    let settings = read(&mut env);
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => {
            io::stdout().write_all(help(about, env.documented()).as_bytes())?;
            return Ok(None);
        }
        Some(other) => return Err(StartError::Argument(other.to_owned())),
    }
    env.finish()?;
    Ok(Some((settings, telemetry.init())))
}

fn help(about: &str, variables: &[Variable]) -> String {
    format!("{about}\n\nIt takes no arguments. Environment variables:\n{}", describe(variables))
}

/// A configuration table as a help text shows it.
pub fn describe(variables: &[Variable]) -> String {
    variables.iter().map(paragraph).collect()
}

fn paragraph(Variable { name, default, description, secret, required_in_production }: &Variable) -> String {
    let file = if *secret { format!(" (or {name}_FILE)") } else { String::new() };
    let default = match default {
        Some(_) if *secret => "a stand-in for development",
        Some(default) => default,
        None => "not set",
    };
    let required = if *required_in_production { "; required in production" } else { "" };
    format!("\n  {name}{file}\n      {description}\n      default: {default}{required}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_variable_and_no_secret() {
        let mut env = Env::from_pairs([("PORT", "9000")]);
        env.or("PORT", 8080_u16, "where it listens");
        env.secret("KEY", "test_sk", "the key");
        let help = help("Sells stock.", env.documented());
        assert!(help.starts_with("Sells stock.\n"));
        assert!(help.contains("PORT\n      where it listens\n      default: 8080\n"), "{help}");
        assert!(help.contains("KEY (or KEY_FILE)\n      the key\n") && help.contains("required in production"));
        assert!(!help.contains("test_sk"));
    }
}
