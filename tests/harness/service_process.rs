//! A service in a process of its own, so that a test can kill it: the same program as the service's `main`. `ROLE` says
//! which; `jumun` is the command.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match std::env::var("ROLE")?.as_str() {
        "checkout-api" => checkout_api::main().await,
        "stock-worker" => stock_worker::main().await,
        "push-worker" => push_worker::main().await,
        "dead-letter-worker" => dead_letter_worker::main().await,
        "jumun" => return Ok(jumun::main().await),
        other => anyhow::bail!("there is no role {other}"),
    }
    .map(|()| ExitCode::SUCCESS)
}
