//! Programs of others that the tests need: they die with the tests.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use reqwest::Client;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// A cold Java or a browser on a busy machine takes a while.
const START_UP: Duration = Duration::from_mins(1);

/// Starts a program, waits until it answers at `address`, and returns its process id.
///
/// # Errors
/// When it does not start, ends or stays silent.
pub async fn start(program: &Command, address: &str) -> io::Result<u32> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program.get_program()).args(program.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (started, child) = tokio::sync::oneshot::channel();
    // A signal on the parent's death comes when the thread ends that started the child: so that one stays.
    thread::spawn(move || match command.spawn() {
        Ok(mut child) => {
            let _ = started.send(Ok(child.id()));
            let _ = child.wait();
        }
        Err(error) => {
            let _ = started.send(Err(error));
        }
    });
    let pid = child.await.expect("an answer")?;
    let deadline = Instant::now() + START_UP;
    while !answers(address).await {
        if Instant::now() > deadline || !Path::new(&format!("/proc/{pid}/exe")).exists() {
            return Err(io::Error::other("it does not answer"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(pid)
}

/// Whether something answers there.
pub async fn answers(address: &str) -> bool {
    let client = Client::builder().no_proxy().build().expect("a client");
    client.get(address).send().await.is_ok_and(|answer| answer.status().is_success())
}

/// A port that nobody uses, for a program to take over.
pub async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}
