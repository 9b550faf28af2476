//! Services as processes, for tests that kill them.

use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{Buyer, OpenShop};

/// The storefront's API in a process of its own, with all its loops, beside the shop's other services.
pub struct ApiProcess {
    shop: OpenShop,
    url: String,
    child: Child,
}

impl ApiProcess {
    /// Starts the process. `program` is the test's `env!("CARGO_BIN_EXE_service-process")`.
    pub async fn start(shop: &OpenShop, program: &str) -> Self {
        let (listener, url) = crate::listen().await;
        drop(listener); // the process takes the port over
        let child = Command::new(program)
            .env_clear()
            .envs(shop.settings(&url))
            .env("LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let process = Self { shop: shop.clone(), url, child };
        let address = process.url.trim_start_matches("http://");
        shop.eventually("the process to listen", async || TcpStream::connect(address).await.is_ok()).await;
        process
    }

    /// A buyer who has just opened the first page of this process.
    pub async fn visitor(&self) -> Buyer {
        let buyer = self.shop.nobody().at(&self.url);
        buyer.page("/").await;
        buyer
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }
}
