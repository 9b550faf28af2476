//! Tells the buyer's phone, once per device.

use std::sync::Arc;

use anyhow::Context as _;
use jumun_push_worker::{Settings, run};
use service::{serve, start};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let about = "jumun-push-worker tells the buyer's phone, once per device.";
    let Some(settings) = start(about, Settings::read)? else { return Ok(()) };
    let shutdown = serve::shutdown_signal()?;
    let fcm = Arc::new(settings.fcm.client()?);
    let db = database::connect(&settings.worker.pool).await.context("cannot reach the database")?;
    let bind = settings.worker.bind;
    let listener = TcpListener::bind(bind).await.with_context(|| format!("cannot listen on {bind}"))?;
    run(settings, db, fcm, listener, shutdown).await;
    Ok(())
}
