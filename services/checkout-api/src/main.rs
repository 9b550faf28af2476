//! The storefront's API as a process of its own.

use jumun_checkout_api::{Settings, run};
use service::{Limits, serve, start};

const ABOUT: &str =
    "jumun-checkout-api: orders, payments and pages of the shop, and the loops that finish what they began.";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some((settings, limits)) = start(ABOUT, |env| (Settings::read(env), Limits::read(env)))? else {
        return Ok(());
    };
    let db = database::connect(&settings.pool()).await?;
    run(settings, limits, db, serve::shutdown_signal()?).await
}
