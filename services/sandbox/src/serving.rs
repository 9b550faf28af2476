//! The sandbox as a server, on its own or as a part of `jumun up`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use service::{Env, Mode};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio::{join, select};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Sandbox, Settings, router};

/// What a sandbox that runs on its own is told by its environment.
#[derive(Debug, Clone)]
pub struct Serving {
    /// `SANDBOX_PORT`
    pub port: u16,
    /// `SANDBOX_EXPOSED`
    pub exposed: bool,
    /// `SANDBOX_WEBHOOK_URL`
    pub webhook_url: Option<String>,
    /// `SANDBOX_ACCOUNT_FILE`
    pub account_file: Option<PathBuf>,
}

impl Serving {
    /// Reads the settings; what is wrong with them is refused by `env.finish()`.
    pub fn read(env: &mut Env) -> Self {
        if env.mode() == Mode::Production {
            env.refuse("JUMUN_ENV", "the sandbox is for development and does not start in production");
        }
        Self {
            port: env.or("SANDBOX_PORT", 8090, "port of the sandbox, on 127.0.0.1"),
            exposed: env.or(
                "SANDBOX_EXPOSED",
                false,
                "let the sandbox listen on all addresses: for a container whose port is published to loopback only",
            ),
            webhook_url: env.optional(
                "SANDBOX_WEBHOOK_URL",
                "where the sandbox sends Toss's webhooks, such as http://127.0.0.1:8080/api/webhooks/toss; when unset it sends none",
            ),
            account_file: env.optional(
                "SANDBOX_ACCOUNT_FILE",
                "file to which the sandbox writes its FCM service account, for the push worker's FCM_SERVICE_ACCOUNT_FILE",
            ),
        }
    }

    /// Where to listen: anybody who gets here can rewrite the book, so that is this machine unless told otherwise.
    pub fn bind(&self) -> SocketAddr {
        (if self.exposed { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }, self.port).into()
    }

    /// A sandbox that is reached at this port of this machine. Leaves its service account where it is wanted.
    ///
    /// # Errors
    /// When the service account cannot be written.
    pub fn open(&self, port: u16) -> io::Result<Sandbox> {
        let public_url = format!("http://127.0.0.1:{port}");
        let webhook_url = self.webhook_url.clone();
        let sandbox = Sandbox::new(Settings { public_url, webhook_url, ..Settings::default() });
        if let Some(file) = &self.account_file {
            write_private(file, &sandbox.service_account_json())?;
        }
        Ok(sandbox)
    }
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(text.as_bytes())
}

/// How long calls that are under way may take to end.
const DRAIN: Duration = Duration::from_secs(8);

/// Serves a sandbox until `shutdown`. Not as our services are served: FCM speaks HTTP/2, and nobody here means harm.
pub async fn run(sandbox: Sandbox, listener: TcpListener, shutdown: CancellationToken) {
    let stop = shutdown.clone();
    let serving = axum::serve(listener, router(sandbox.clone()))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .into_future();
    let serving = async {
        let overdue = async {
            shutdown.cancelled().await;
            sleep(DRAIN).await;
        };
        select! {
            ended = serving => if let Err(error) = ended {
                warn!(%error, "The sandbox cannot accept connections");
            },
            () = overdue => warn!("Cut connections of the sandbox that would not finish"),
        }
    };
    join!(serving, async {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            select! {
                () = shutdown.cancelled() => break,
                _ = seconds.tick() => sandbox.announce_expired(),
            }
        }
        sandbox.release_hanging_calls();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Serving, String> {
        let mut env = Env::from_pairs(pairs.iter().copied());
        let serving = Serving::read(&mut env);
        env.finish().map(|()| serving).map_err(|refusals| refusals.to_string())
    }

    #[test]
    fn only_this_machine_unless_told_otherwise_and_never_in_production() {
        assert!(read(&[]).unwrap().bind().ip().is_loopback());
        assert_eq!(read(&[("SANDBOX_EXPOSED", "true")]).unwrap().bind().to_string(), "0.0.0.0:8090");
        assert!(read(&[("JUMUN_ENV", "production")]).unwrap_err().contains("does not start in production"));
    }

    #[test]
    fn the_service_account_is_left_for_its_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = std::env::temp_dir().join(format!("jumun-sandbox-account-{}", std::process::id()));
        let serving = Serving { port: 0, exposed: false, webhook_url: None, account_file: Some(file.clone()) };
        let sandbox = serving.open(8090).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), sandbox.service_account_json());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(file).unwrap();
    }
}
