//! Creates or updates topics and push subscriptions on Google Cloud Pub/Sub, from the topology table.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use pubsub_setup::{Options, Setup, grants};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let wanted = options.wanted()?;
    let access = wanted.access.clone();
    let service_account = wanted.service_account.clone();
    let setup = Setup::new(wanted).await?;
    let changes = setup.survey().await?;

    let mut out = io::stdout();
    for change in &changes {
        writeln!(out, "{change}")?;
    }
    if options.dry_run || options.check {
        writeln!(out, "{} to change in {}", changes.len(), access.project)?;
        let differs = options.check && !changes.is_empty();
        return Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    setup.apply(&changes).await?;
    writeln!(out, "{} changed in {}", changes.len(), access.project)?;
    let advice = match access.emulator {
        Some(emulator) => format!("The emulator at {emulator} is given no retry policy: it retries every second."),
        None => grants(&access.project, service_account.as_deref()),
    };
    writeln!(out, "\n{advice}")?;
    Ok(ExitCode::SUCCESS)
}
