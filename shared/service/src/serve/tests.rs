//! Slow, silent and too many clients, on real sockets, with small limits so that the tests are quick.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::ApiBytes;

const SHORT: Duration = Duration::from_millis(200);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const LONG: Duration = Duration::from_hours(1);

/// No limit is near unless a test says so.
fn patient() -> Limits {
    Limits { header_timeout: LONG, body_timeout: LONG, idle_timeout: LONG, drain: LONG, ..Limits::default() }
}

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

impl Served {
    async fn start(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Self { address, shutdown, ended }
    }

    async fn hello(limits: Limits) -> Self {
        let router = Router::new().route("/", get(async || "hello")).route("/", post(async |ApiBytes(body)| body));
        Self::start(router, limits).await
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Everything until the server closes. Fails the test if it does not.
async fn until_closed(client: &mut TcpStream) -> String {
    let mut told = Vec::new();
    let read = client.read_to_end(&mut told);
    // A cut connection may end in a reset as well as in an end of stream.
    let closed = timeout(Duration::from_secs(10), read).await;
    drop(closed.expect("the server should have closed the connection"));
    String::from_utf8(told).unwrap()
}

/// One answer of a connection that stays open.
async fn answer(client: &mut TcpStream) -> String {
    let mut told = vec![0; 4096];
    let read = timeout(Duration::from_secs(10), client.read(&mut told));
    let length = read.await.expect("an answer in time").unwrap();
    told.truncate(length);
    String::from_utf8(told).unwrap()
}

#[tokio::test]
async fn a_head_that_drips_is_cut_and_so_is_silence() {
    let served = Served::hello(Limits { header_timeout: SHORT, ..patient() }).await;
    let mut silent = served.client().await;
    let mut dripping = served.client().await;
    let started = Instant::now();
    assert_eq!(until_closed(&mut silent).await, "");
    assert!(started.elapsed() >= SHORT / 2);

    // Keeps sending until the server hangs up: each byte is well within the limit.
    let drip = async {
        while dripping.write_all(b"P").await.is_ok() {
            sleep(SHORT / 10).await;
        }
    };
    timeout(Duration::from_secs(10), drip).await.unwrap();
}

#[tokio::test]
async fn a_half_head_on_a_kept_connection_is_cut_before_it_would_be_idle() {
    let served = Served::hello(Limits { header_timeout: SHORT, ..patient() }).await;
    let mut client = served.client().await;
    client.write_all(GET).await.unwrap();
    assert!(answer(&mut client).await.ends_with("hello"));
    // Longer than the header limit: an idle connection is not a slow head.
    sleep(SHORT * 2).await;
    client.write_all(GET).await.unwrap();
    assert!(answer(&mut client).await.ends_with("hello"));
    client.write_all(&GET[..9]).await.unwrap();
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let served =
        Served::hello(Limits { idle_timeout: SHORT, header_timeout: Duration::from_secs(5), ..patient() }).await;
    let mut client = served.client().await;
    client.write_all(GET).await.unwrap();
    assert!(answer(&mut client).await.ends_with("hello"));
    assert_eq!(until_closed(&mut client).await, "");
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let served = Served::hello(Limits { body_timeout: SHORT, ..patient() }).await;
    let mut client = served.client().await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc";
    client.write_all(head).await.unwrap();
    let told = until_closed(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let served = Served::hello(Limits { header_bytes: 8 * 1024, ..patient() }).await;
    let mut client = served.client().await;
    let head = format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {}", "x".repeat(9 * 1024));
    client.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let served = Served::hello(Limits { connections: 1, ..patient() }).await;
    let mut first = served.client().await;
    first.write_all(GET).await.unwrap();
    assert!(answer(&mut first).await.ends_with("hello"));

    let mut second = served.client().await;
    second.write_all(GET).await.unwrap();
    let early = timeout(SHORT, second.readable()).await;
    assert!(early.is_err(), "the second connection was served beside the first");
    drop(first);
    assert!(answer(&mut second).await.ends_with("hello"));
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_work_and_closes_what_is_idle() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go));
    let slow = move || async move {
        begins.notify_one();
        waits.notified().await;
        "done"
    };
    let router = Router::new().route("/", get(slow));
    let served = Served::start(router, patient()).await;
    let mut busy = served.client().await;
    busy.write_all(GET).await.unwrap();
    begun.notified().await;

    served.shutdown.cancel();
    // The door is closed at once.
    while TcpStream::connect(served.address).await.is_ok() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!served.ended.is_finished());
    go.notify_one();
    let told = until_closed(&mut busy).await;
    assert!(told.ends_with("done"), "{told}");
    timeout(Duration::from_secs(10), served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_stuck_clients_beyond_its_deadline() {
    let router = Router::new().route("/", get(std::future::pending::<()>));
    let served = Served::start(router, Limits { drain: SHORT, ..patient() }).await;
    let mut half = served.client().await;
    half.write_all(&GET[..20]).await.unwrap();
    let mut stuck = served.client().await;
    stuck.write_all(GET).await.unwrap();
    let _silent = served.client().await;

    served.shutdown.cancel();
    timeout(Duration::from_secs(10), served.ended).await.unwrap().unwrap();
    assert_eq!(until_closed(&mut half).await, "");
    assert_eq!(until_closed(&mut stuck).await, "");
}

#[tokio::test]
async fn run_waits_for_tasks_whose_clients_have_left() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let finished = Arc::new(AtomicBool::new(false));
    let (done, stop) = (Arc::clone(&finished), shutdown.clone());
    tasks.spawn(async move {
        stop.cancelled().await;
        sleep(SHORT).await;
        done.store(true, Ordering::SeqCst);
    });
    let running = run("test", listener, Router::new(), patient(), tasks, shutdown.clone());
    let running = tokio::spawn(running);
    shutdown.cancel();
    timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn whoever_does_not_read_is_cut() {
    let large = Router::new().route("/", get(async || vec![b'x'; 64 * 1024 * 1024]));
    let served = Served::start(large, Limits { idle_timeout: SHORT, header_timeout: SHORT, ..patient() }).await;
    let mut reader = served.client().await;
    reader.write_all(GET).await.unwrap();
    let mut slow = 0;
    while slow < 1024 * 1024 {
        slow += reader.read(&mut [0; 8 * 1024]).await.unwrap();
        sleep(SHORT / 64).await; // though not as fast as it could be
    }
    sleep(SHORT * 5).await;
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(10), reader.read_to_end(&mut rest)).await.expect("it waits for ever");
    assert!(ended.is_err() || slow + rest.len() < 64 * 1024 * 1024, "all of it was kept for nobody");
}

#[tokio::test]
async fn http2_is_not_spoken() {
    let served = Served::hello(patient()).await;
    let mut client = served.client().await;
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let told = until_closed(&mut client).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{told}");
}

#[tokio::test]
async fn a_signal_is_a_token() {
    let shutdown = shutdown_signal().unwrap();
    let kill = format!("kill -TERM {}", std::process::id());
    let mut shell = tokio::process::Command::new("sh");
    assert!(shell.args(["-c", &kill]).status().await.unwrap().success());
    timeout(Duration::from_secs(10), shutdown.cancelled()).await.unwrap();
}

/// A body without an end, until `stop`.
fn lasting(stop: &CancellationToken) -> Router {
    let stop = stop.clone();
    Router::new().route("/", get(async || "hello")).route(
        "/news",
        get(async move || {
            let first = futures_util::stream::iter([Ok::<_, Infallible>("news")]);
            let rest = futures_util::stream::once(async move {
                stop.cancelled().await;
                Ok("the end")
            });
            (axum::Extension(Lasting), Body::from_stream(futures_util::StreamExt::chain(first, rest)))
        }),
    )
}

#[tokio::test]
async fn a_lasting_answer_leaves_its_place_to_others_and_is_finished_at_shutdown() {
    let stop = CancellationToken::new();
    let limits = Limits { connections: 1, idle_timeout: SHORT, header_timeout: SHORT, ..patient() };
    let served = Served::start(lasting(&stop), limits).await;
    let mut reader = served.client().await;
    reader.write_all(b"GET /news HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut reader).await.contains("connection: close"));

    let mut buyer = served.client().await;
    buyer.write_all(GET).await.unwrap();
    assert!(answer(&mut buyer).await.ends_with("hello"), "though there is room for one connection only");
    sleep(SHORT * 3).await;

    served.shutdown.cancel();
    stop.cancel();
    assert!(until_closed(&mut reader).await.contains("the end"), "no limit on time has cut it");
    timeout(Duration::from_secs(10), served.ended).await.expect("shutdown does not wait for ever").unwrap();
}
