//! Stores what no consumer could take, with its reason.

use anyhow::Context as _;
use jumun_dead_letter_worker::{Settings, run};
use service::{serve, start};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let about = "jumun-dead-letter-worker stores what no consumer could take, with its reason.";
    let Some(settings) = start(about, Settings::read)? else { return Ok(()) };
    let shutdown = serve::shutdown_signal()?;
    let db = database::connect(&settings.worker.pool).await.context("cannot reach the database")?;
    let bind = settings.worker.bind;
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    run(settings, db, listener, shutdown).await;
    Ok(())
}
