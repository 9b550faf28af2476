//! The command line: its arguments, and which command runs.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use service::settings::Variable;
use service::telemetry::Telemetry;
use service::{Env, Setting};

use crate::home::Home;
use crate::variables::Variables;
use crate::{attention, dead_letters, migrate, order, output, products, ready, refund, seed, statement, up, verify};

/// 주문 · A checkout backend for Korean shops.
#[derive(Debug, Parser)]
#[command(name = "jumun", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the whole shop on this machine, in one process, until Ctrl-C.
    ///
    /// That is: PostgreSQL (the one of `DATABASE_URL`, else a private one whose data stays), the schema, a demo catalogue
    /// if there is no product, a sandbox that stands in for Toss Payments and FCM, the checkout API with its message
    /// engine, and the workers. Usual ports, or free ones where those are taken.
    Up,
    /// Checks that every won, event and unit adds up; exits 1 and names what does not.
    ///
    /// Checks the database of `DATABASE_URL`, else that of `jumun up` in the same folder (running or not). Then asks the
    /// payment provider about every payment. Exits 2 if it could not check.
    Verify(VerifyArguments),
    /// Compares a day's list of transactions at the payment provider with our book, to the won; exits 1 if they differ.
    Statement(StatementArguments),
    /// Lists what needs a person and what to do about each; exits 1 if there is anything.
    Attention(AttentionArguments),
    /// Shows everything that happened to an order, oldest first. Exits 1 if there is no such order.
    Order(OrderArguments),
    /// Dead letters, the messages that no consumer could process: lists, shows, replays or discards them.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// What the shop sells: lists, adds and changes products, and counts their stock.
    ///
    /// Works on the database of `DATABASE_URL`, else on that of `jumun up` in the same folder, as whoever owns the schema.
    #[command(subcommand)]
    Products(products::Command),
    /// Asks a service whether it can do its work; exits 1 if not. For health checks.
    Ready {
        /// Such as <http://127.0.0.1:8080/readyz>
        url: String,
    },
    /// Gives money back to the buyer of an order.
    ///
    /// Works on the database of `DATABASE_URL`, else on that of `jumun up` in the same folder, and asks the payment
    /// provider. Exits 0 when the money went back or is on its way, 2 if not.
    Refund(refund::Arguments),
    /// Brings the schema up to date. Safe to repeat.
    ///
    /// The database of `DATABASE_URL`, else that of `jumun up` in the same folder. Logs in as whoever owns the schema; the
    /// first time that needs a role that may create roles, or an administrator who has made them.
    Migrate,
    /// Brings the schema up to date and puts the demo catalogue on sale. Safe to repeat.
    Seed,
}

/// How much to check.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArguments {
    /// Also requires that nothing is in progress; for a shop whose traffic has stopped.
    #[arg(long)]
    pub(crate) drained: bool,
    /// Skips the comparison with the payment provider.
    #[arg(long)]
    pub(crate) no_provider: bool,
    /// Checks only orders that changed since then and asks the provider only about payments begun since then. A time such as
    /// 2026-01-01T00:00:00Z, or how long ago: 15m, 3h. Skips the checks that need all of history.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which day.
#[derive(Debug, clap::Args)]
pub(crate) struct StatementArguments {
    /// The day in Korean time, such as 2026-01-31 (default: yesterday).
    #[arg(long)]
    pub(crate) date: Option<NaiveDate>,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How to list what waits.
#[derive(Debug, clap::Args)]
pub(crate) struct AttentionArguments {
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which order.
#[derive(Debug, clap::Args)]
pub(crate) struct OrderArguments {
    /// Its id, with or without the number of an attempt, as Toss's console shows it; or a payment key.
    #[arg(value_name = "ID OR PAYMENT KEY", value_parser = order::parse)]
    pub(crate) order: order::Sought,
    /// Prints one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let ago = |it: Duration| Utc::now().checked_sub_signed(TimeDelta::from_std(it).ok()?);
    let time = <Duration as Setting>::parse(text).and_then(ago);
    time.or_else(|| text.parse().ok()).ok_or_else(|| "neither a time nor a while".to_owned())
}

/// Does what the command line says.
pub async fn main() -> ExitCode {
    let (mut command, environment) = (Cli::command(), environment());
    for name in
        ["up", "verify", "statement", "attention", "order", "dead-letters", "products", "refund", "migrate", "seed"]
    {
        command = command.mut_subcommand(name, |it| it.after_long_help(environment.clone()));
    }
    let cli = match Cli::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("jumun: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let variables = Variables::of_process();
    let mut env = variables.env();
    let (home, telemetry) = (Home::read(&mut env), Telemetry::read(&mut env));
    env.finish()?;
    let _log = telemetry.init();
    match command {
        Command::Up => up::up(variables, &home).await.map(|()| ExitCode::SUCCESS),
        Command::Verify(arguments) => verify::verify(variables, &home, &arguments).await,
        Command::Statement(arguments) => statement::statement(variables, &home, &arguments).await,
        Command::Attention(arguments) => attention::attention(&variables, &home, &arguments).await,
        Command::Order(arguments) => order::order(&variables, &home, &arguments).await,
        Command::DeadLetters(command) => dead_letters::run(&variables, &home, command).await,
        Command::Products(command) => products::run(&variables, &home, command).await,
        Command::Ready { url } => Ok(ready::ready(&url).await),
        Command::Refund(arguments) => refund::refund(variables, &home, arguments).await,
        Command::Migrate => migrate::migrate(&variables, &home).await.map(|()| ExitCode::SUCCESS),
        Command::Seed => seed::seed(&variables, &home).await.map(|()| ExitCode::SUCCESS),
    }
}

/// Every variable that the command or a part of the shop reads.
pub fn documented() -> Vec<Variable> {
    let mut env = Env::from_pairs([] as [(&str, &str); 0]);
    Home::read(&mut env);
    Telemetry::read(&mut env);
    up::Settings::read(&mut env);
    let mut variables = env.documented().to_vec();
    variables.push(Variable {
        name: "PG_BIN",
        default: None,
        description: "folder with PostgreSQL's initdb and postgres; when unset the newest of Debian's, then PATH",
        secret: false,
        required_in_production: false,
    });
    variables
}

/// None of the variables needs to be set.
fn environment() -> String {
    format!(
        "Environment variables. None is needed: `up` sets addresses and keys itself where they are not given, and \
         LOG_LEVEL is warn.\n{}",
        service::describe(&documented())
    )
}
