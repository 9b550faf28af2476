//! Serves the sandbox on loopback.

use std::env;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, ensure};
use jumun_sandbox::{Sandbox, Settings};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let host = env::var("SANDBOX_HOST").unwrap_or_else(|_| "127.0.0.1".to_owned());
    let port = env::var("SANDBOX_PORT").unwrap_or_else(|_| "8090".to_owned());
    let host: IpAddr = host.parse().context("SANDBOX_HOST is not an IP address")?;
    let port: u16 = port.parse().context("SANDBOX_PORT is not a port")?;
    ensure!(host.is_loopback(), "the sandbox listens on loopback only, not on {host}");

    let listener = TcpListener::bind(SocketAddr::new(host, port)).await?;
    let settings = Settings { public_url: format!("http://{}", listener.local_addr()?), ..Settings::default() };
    axum::serve(listener, jumun_sandbox::router(Sandbox::new(settings))).await?;
    Ok(())
}
