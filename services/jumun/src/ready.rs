//! `jumun ready`: asks a service whether it can do its work, for health checks in images that have no other client.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;

use crate::output::complain;

/// Health checks come every few seconds; a service that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// The command. Not ready is 1: to Docker other codes mean nothing.
pub(crate) async fn ready(url: &str) -> ExitCode {
    match ask(url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&format!("not ready: {problem:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let status = client.get(url).send().await?.status();
    ensure!(status.is_success(), "{url} answers {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use service::health;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn only_a_service_that_says_so_is_ready() {
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/readyz", listener.local_addr().unwrap());
        let routes = health::routes(async || Ok(()), tasks.clone(), shutdown.clone());
        tasks.spawn(service::serve::serve(listener, routes, service::Limits::default(), CancellationToken::new()));
        assert_eq!(ready(&url).await, ExitCode::SUCCESS);
        shutdown.cancel();
        assert_eq!(ready(&url).await, ExitCode::FAILURE);
        assert_eq!(ready("http://127.0.0.1:1/readyz").await, ExitCode::FAILURE);
    }
}
