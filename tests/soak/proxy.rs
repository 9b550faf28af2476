//! A proxy in front of PostgreSQL that breaks connections where it hurts most: after the server has committed and before
//! the client hears of it.
//!
//! It reads the protocol just far enough to know where a request ends and whether it wrote. An answer is held back until it
//! is complete, so that a client gets all of it or nothing.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A proxy. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    server: SocketAddr,
    port: u16,
    /// A new value cuts every connection.
    cut: watch::Sender<u64>,
    /// So many answers to writes are still to be lost.
    answers_to_lose: AtomicUsize,
    answers_lost: AtomicU64,
    silent_until: Mutex<Instant>,
}

/// What one side tells the other about a connection: for each request under way, whether it writes.
type Requests = Mutex<VecDeque<bool>>;

impl Proxy {
    /// Listens on a free port, for a server on this machine.
    pub(crate) async fn start(server_port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self(Arc::new(Inner {
            server: SocketAddr::from(([127, 0, 0, 1], server_port)),
            port: listener.local_addr()?.port(),
            cut: watch::Sender::new(0),
            answers_to_lose: AtomicUsize::new(0),
            answers_lost: AtomicU64::new(0),
            silent_until: Mutex::new(Instant::now()),
        }));
        let inner = Arc::clone(&proxy.0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&inner).converse(client));
            }
        });
        Ok(proxy)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    /// Cuts every connection, in the middle of whatever.
    pub(crate) fn cut_all(&self) {
        self.0.cut.send_modify(|cut| *cut += 1);
    }

    /// The next so many writes are committed, and whoever asked for them never hears of it.
    pub(crate) fn lose_answers(&self, times: usize) {
        self.0.answers_to_lose.store(times, Ordering::Relaxed);
    }

    /// How many answers were lost so far.
    pub(crate) fn answers_lost(&self) -> u64 {
        self.0.answers_lost.load(Ordering::Relaxed)
    }

    /// Nothing comes back from the server for a while.
    pub(crate) fn fall_silent(&self, time: Duration) {
        *self.0.silent_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }
}

impl Inner {
    async fn converse(self: Arc<Self>, client: TcpStream) {
        let mut cut = self.cut.subscribe();
        let Ok(server) = TcpStream::connect(self.server).await else { return };
        if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
            return;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let requests = Requests::default();
        // Whichever side ends first ends both: dropping the sockets is the cut.
        tokio::select! {
            _ = forward_requests(BufReader::new(from_client), to_server, &requests) => {}
            _ = self.forward_answers(BufReader::new(from_server), to_client, &requests) => {}
            _ = cut.changed() => {}
        }
    }

    async fn forward_answers(
        &self,
        mut server: BufReader<OwnedReadHalf>,
        mut client: OwnedWriteHalf,
        requests: &Requests,
    ) -> io::Result<()> {
        let mut answer = Vec::new();
        loop {
            let ends = read_message(&mut server, &mut answer).await? == READY_FOR_QUERY;
            let writes = {
                let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                if ends { requests.pop_front() } else { requests.front().copied() }
            };
            // Before the first request and between two: the handshake, notices.
            if !ends && writes.is_some() {
                continue;
            }
            let silent_until = *self.silent_until.lock().unwrap_or_else(PoisonError::into_inner);
            sleep_until(silent_until).await;
            if ends && writes == Some(true) && self.takes_one() {
                self.answers_lost.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            client.write_all(&answer).await?;
            answer.clear();
        }
    }

    fn takes_one(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.answers_to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

const READY_FOR_QUERY: u8 = b'Z';

async fn forward_requests(
    mut client: BufReader<OwnedReadHalf>,
    mut server: OwnedWriteHalf,
    requests: &Requests,
) -> io::Result<()> {
    let mut messages = vec![0; 4];
    client.read_exact(&mut messages).await?; // the first message has no type
    read_rest(&mut client, &mut messages, 0).await?;
    let mut writing_statements: HashMap<Vec<u8>, bool> = HashMap::new();
    let mut writes = false;
    loop {
        // As many at once as have come at once.
        if client.buffer().is_empty() {
            server.write_all(&messages).await?;
            messages.clear();
        }
        let begin = messages.len();
        let kind = read_message(&mut client, &mut messages).await?;
        let mut texts = messages[begin + 5..].split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match kind {
            b'P' => drop(writing_statements.insert(first.to_vec(), is_write(second))), // Parse: name, text
            b'B' => writes |= writing_statements.get(second).copied().unwrap_or(false), // Bind: portal, statement
            b'S' | b'Q' => {
                // Sync, or a simple query such as COMMIT: an answer will end with "ready for query".
                let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                requests.push_back(std::mem::take(&mut writes) || first.starts_with(b"COMMIT"));
            }
            _ => {}
        }
    }
}

fn is_write(sql: &[u8]) -> bool {
    let sql = String::from_utf8_lossy(sql);
    ["INSERT INTO", "DELETE FROM", "UPDATE "].iter().any(|word| sql.contains(word))
}

/// Appends one message, and returns its type.
async fn read_message(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>) -> io::Result<u8> {
    let begin = into.len();
    into.resize(begin + 5, 0);
    from.read_exact(&mut into[begin..]).await?;
    let kind = into[begin];
    read_rest(from, into, begin + 1).await?;
    Ok(kind)
}

/// Reads on to the end of the message whose length, which counts itself, stands at `at` and was read last.
async fn read_rest(from: &mut (impl AsyncRead + Unpin), into: &mut Vec<u8>, at: usize) -> io::Result<()> {
    let length = into[at..at + 4].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let begin = into.len();
    into.resize(begin + length.saturating_sub(4), 0);
    from.read_exact(&mut into[begin..]).await.map(drop)
}
