//! What Google's emulator is good for beyond the tests. Both commands need `jumun`, `load` and `service-process` built beside
//! this program, and start everything that they use.
//!
//! `emulator outage` sends purchases through it, kills it now and then, and asks `jumun verify --drained`.
//! `emulator rates` measures publishing and pushing beside a client and an endpoint that do nothing.

mod outage;
mod rates;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

#[derive(Parser)]
enum Command {
    /// Sells through the emulator, kills it meanwhile, and checks that nothing is lost; exits 1 if anything is.
    Outage(outage::Arguments),
    /// Measures publishing and pushing, beside a client and an endpoint that do nothing.
    Rates(rates::Arguments),
    /// The endpoint that does nothing.
    #[command(hide = true)]
    Noop {
        /// Where.
        port: u16,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Outage(arguments) => outage::run(&arguments).await,
        Command::Rates(arguments) => rates::run(&arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Noop { port } => rates::do_nothing(port).await.map(|()| ExitCode::SUCCESS),
    }
}

/// A program that was built with this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(path.exists(), "{} is not built", path.display());
    Ok(path)
}

/// A folder for what a run leaves behind, deleted when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("jumun-emulator-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[expect(clippy::print_stdout, reason = "the report is the program's purpose")]
fn say(text: &str) {
    println!("{text}");
}
