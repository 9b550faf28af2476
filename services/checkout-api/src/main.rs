//! The storefront's API as a process of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    jumun_checkout_api::main().await
}
