//! The command `jumun`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    jumun::main().await
}
