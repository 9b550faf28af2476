//! Stands in for Toss Payments and FCM, as a process of its own.

use anyhow::Context as _;
use jumun_sandbox::{Serving, run};
use service::{serve, start};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let about = "jumun-sandbox stands in for Toss Payments and FCM, with no money and no phone.";
    let Some((serving, _log)) = start(about, Serving::read)? else { return Ok(()) };
    let shutdown = serve::shutdown_signal()?;
    let bind = serving.bind();
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    let sandbox = serving.open(listener.local_addr()?.port()).context("cannot write SANDBOX_ACCOUNT_FILE")?;
    run(sandbox, listener, shutdown).await;
    Ok(())
}
