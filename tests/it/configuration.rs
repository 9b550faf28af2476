//! .env.example and docs/configuration.md list every variable that the programs read, and README those that everybody must
//! know. To write them anew:
//!
//! ```sh
//! JUMUN_WRITE_DOCS=1 cargo test -p jumun-tests --test it configuration
//! ```

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use service::settings::Variable;

use crate::programs::{PROGRAMS, setup_variables};

const BEGIN: &str = "<!-- configuration -->\n";
const END: &str = "<!-- /configuration -->";

/// README's table: what somebody who goes live has to decide.
const ESSENTIAL: [&str; 14] = [
    "JUMUN_ENV",
    "DATABASE_URL",
    "PUBLIC_URL",
    "TRUSTED_PROXIES",
    "TOSS_CLIENT_KEY",
    "TOSS_SECRET_KEY",
    "TOSS_BASE_URL",
    "TOSS_SDK_URL",
    "ADMIN_TOKEN",
    "JUMUN_MESSAGING",
    "PUSH_KEY",
    "FCM_BASE_URL",
    "FCM_SERVICE_ACCOUNT",
    "OIDC_ISSUER",
];

/// A variable and the programs that read it.
struct Row {
    variable: Variable,
    roles: Vec<&'static str>,
}

impl Row {
    /// For the command, which runs all the others, "jumun" only stands where nobody else does.
    fn readers(&self) -> String {
        let others: Vec<_> = self.roles.iter().copied().filter(|role| *role != "jumun").collect();
        if others.is_empty() { "jumun".to_owned() } else { others.join(", ") }
    }

    fn default(&self) -> String {
        let Variable { default, secret, required_in_production, .. } = &self.variable;
        let default = match default {
            Some(_) if *secret => "a stand-in".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "not set".to_owned(),
        };
        if *required_in_production { format!("{default}; production: none") } else { default }
    }
}

fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for program in &PROGRAMS {
        for variable in program.documented() {
            match rows.iter_mut().find(|row| row.variable.name == variable.name) {
                None => rows.push(Row { variable, roles: vec![program.role] }),
                Some(row) => {
                    assert_eq!(row.variable, variable, "{} means one thing, whoever reads it", variable.name);
                    row.roles.push(program.role);
                }
            }
        }
    }
    for (name, _) in setup_variables() {
        let row = rows.iter_mut().find(|row| row.variable.name == name);
        row.unwrap_or_else(|| panic!("only pubsub-setup reads {name}")).roles.push("setup");
    }
    rows
}

fn table(rows: &[Row]) -> String {
    let mut table = "| Variable | Default | Read by | What it is |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let Variable { name, description, secret, .. } = &row.variable;
        let secret = if *secret { " (secret)" } else { "" };
        writeln!(table, "| `{name}`{secret} | {} | {} | {description} |", row.default(), row.readers()).unwrap();
    }
    table
}

fn example() -> String {
    let mut example = "\
# Every variable that Jumun reads, with its default. None has to be set for `jumun up`. A secret may be read from a file
# instead: NAME_FILE names it. Who reads what: api, stock, push and letters are the four services, setup is pubsub-setup.
"
    .to_owned();
    for row in rows() {
        let Variable { name, default, description, secret, required_in_production } = &row.variable;
        let secret_note = if *secret { format!(" Secret, or in {name}_FILE.") } else { String::new() };
        let required = if *required_in_production { " Required in production." } else { "" };
        let value = default.as_deref().filter(|_| !secret).unwrap_or_default();
        writeln!(example, "\n# {description}\n# ({}){secret_note}{required}\n#{name}={value}", row.readers()).unwrap();
    }
    example
}

/// Insists that the file is as it should be, or makes it so.
fn is_or_becomes(file: &str, should_be: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::var_os("JUMUN_WRITE_DOCS").is_some() {
        fs::write(path, should_be).unwrap();
        return;
    }
    let is = fs::read_to_string(path).unwrap_or_default();
    assert!(is == should_be, "{file} is not what the programs read: write it anew, as tests/it/configuration.rs says");
}

#[test]
fn the_example_is_complete() {
    is_or_becomes(".env.example", &example());
}

/// The same for the table in a document.
fn holds_or_gets(file: &str, rows: &[Row]) {
    let text = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    is_or_becomes(file, &format!("{before}{BEGIN}{}{END}{after}", table(rows)));
}

#[test]
fn the_table_of_all_settings_is_complete() {
    holds_or_gets("docs/configuration.md", &rows());
}

#[test]
fn the_readme_lists_what_everybody_must_know() {
    let mut rows = rows();
    let essential = ESSENTIAL.map(|name| {
        let at = rows.iter().position(|row| row.variable.name == name);
        rows.swap_remove(at.unwrap_or_else(|| panic!("nobody reads {name}")))
    });
    holds_or_gets("README.md", &essential);
}

#[test]
fn no_secret_is_written_down() {
    for row in rows().iter().filter(|row| row.variable.secret) {
        if let Some(default) = &row.variable.default {
            assert!(!table(&rows()).contains(default) && !example().contains(default), "{}", row.variable.name);
        }
    }
}
