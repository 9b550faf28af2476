use std::collections::HashMap;

use anyhow::ensure;
use clap::Parser;
use messaging::google::Access;
use messaging::topology::Worker;

use crate::wanted::Wanted;

/// Creates or updates topics and push subscriptions on Google Cloud Pub/Sub. Running it again changes nothing.
///
/// Google's emulator forgets everything when it stops: run it after every start.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Google Cloud project
    #[arg(long, env = "PUBSUB_PROJECT_ID")]
    project: String,
    /// Base address of the stock worker
    #[arg(long, env = "STOCK_WORKER_URL")]
    stock_url: String,
    /// Base address of the push worker
    #[arg(long, env = "PUSH_WORKER_URL")]
    push_url: String,
    /// Base address of the dead-letter worker
    #[arg(long, env = "DEAD_LETTER_WORKER_URL")]
    dead_letter_url: String,
    /// Service account that the pushes come from
    #[arg(long, env = "PUSH_SERVICE_ACCOUNT")]
    service_account: Option<String>,
    /// host:port of Google's emulator
    #[arg(long, env = "PUBSUB_EMULATOR_HOST")]
    emulator: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Like --dry-run, but exit with 1 if anything would change
    #[arg(long, conflicts_with = "dry_run")]
    pub check: bool,
}

impl Options {
    /// What they ask for.
    ///
    /// # Errors
    /// When Pub/Sub, or a worker, would refuse it.
    pub fn wanted(&self) -> anyhow::Result<Wanted> {
        // Compose files pass `${UNSET:-}` on as an empty string, which means "not set".
        let set = |option: &Option<String>| option.clone().filter(|it| !it.is_empty());
        let (emulator, service_account) = (set(&self.emulator), set(&self.service_account));
        let workers = HashMap::from([
            (Worker::Stock, self.stock_url.clone()),
            (Worker::Push, self.push_url.clone()),
            (Worker::DeadLetter, self.dead_letter_url.clone()),
        ]);
        if emulator.is_none() {
            ensure!(service_account.is_some(), "--service-account is required: workers refuse pushes without a token");
            for url in workers.values() {
                ensure!(url.starts_with("https://"), "{url}: Pub/Sub pushes to https:// only");
            }
        }
        Ok(Wanted {
            access: Access { project: self.project.clone(), emulator },
            workers,
            service_account,
            policy: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(scheme: &str, more: &[&str]) -> anyhow::Result<Wanted> {
        let urls = ["--stock-url", "--push-url", "--dead-letter-url"].map(|name| format!("{name}={scheme}://{name}"));
        let arguments = ["jumun-pubsub-setup", "--project=shop"].into_iter().chain(urls.iter().map(String::as_str));
        Options::try_parse_from(arguments.chain(more.iter().copied()))?.wanted()
    }

    #[test]
    fn the_real_service_wants_an_identity_and_https() {
        let account = "--service-account=pusher@shop.iam.gserviceaccount.com";
        assert!(wanted("https", &[account]).is_ok());
        assert!(wanted("https", &[]).unwrap_err().to_string().contains("--service-account"));
        assert!(wanted("https", &["--service-account="]).is_err());
        assert!(wanted("http", &[account]).unwrap_err().to_string().contains("https"));
        assert!(wanted("http", &["--emulator=127.0.0.1:8085"]).unwrap().service_account.is_none());
        assert!(wanted("https", &[account, "--check", "--dry-run"]).is_err());
    }
}
