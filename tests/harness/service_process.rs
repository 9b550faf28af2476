//! A service in a process of its own, so that a test can kill it: the same program as the service's `main`.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    checkout_api::main().await
}
