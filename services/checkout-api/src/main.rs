//! The storefront's API as a process of its own.

use jumun_checkout_api::{Settings, run};
use service::{serve, start};
use tokio::net::TcpListener;

const ABOUT: &str =
    "jumun-checkout-api: orders, payments and pages of the shop, and the loops that finish what they began.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(settings) = start(ABOUT, Settings::read)? else {
        return Ok(());
    };
    let shutdown = serve::shutdown_signal()?;
    let listener = if settings.serve { Some(TcpListener::bind(&settings.bind).await?) } else { None };
    let db = database::connect(&settings.pool()).await?;
    run(settings, db, listener, shutdown).await
}
