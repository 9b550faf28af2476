//! Serving: our own accept loop, because `axum::serve` waits for slow and silent clients forever.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio::{join, select};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::{debug, info, warn};

use crate::connection::{Activity, AnswerBody, TimedBody, Verdict, Watched};
use crate::limits::Limits;
use crate::places::{Place, Places};
use crate::streams::Lasting;

/// A pause after the system refused a connection, commonly for want of file descriptors: asking
/// again at once would only burn the processor that should finish what is open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// What handlers left behind by their clients still get once every connection is gone.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Runs a service from an open listener until `shutdown`, then waits for its `tasks` as well.
///
/// Returns at most [`Limits::drain`] and a second after `shutdown`, whoever is stuck.
pub async fn run(
    name: &str,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    match listener.local_addr() {
        Ok(address) => info!(%address, "{name} listens on http://{address}"),
        Err(error) => warn!(%error, "{name} listens, on an unknown address"),
    }
    allow_open_files();
    let patience = limits.drain + LAST_TASKS;
    let stopping = shutdown.clone();
    let deadline = async move {
        stopping.cancelled().await;
        Instant::now() + patience
    };
    let (deadline, ()) = join!(deadline, serve(listener, router, limits, shutdown));
    tasks.close();
    if timeout_at(deadline, tasks.wait()).await.is_err() {
        warn!(tasks = tasks.len(), "{name} ends with tasks unfinished");
    }
    info!("{name} has stopped");
}

/// Lets the process open as many files as the system permits: each connection is one, and the usual allowance of 1,024
/// dates from programs that could not count further.
fn allow_open_files() {
    let now = getrlimit(Resource::Nofile);
    let all = Rlimit { current: now.maximum, ..now };
    if let Err(error) = setrlimit(Resource::Nofile, all) {
        warn!(%error, "Cannot raise the number of open files");
    }
}

/// Accepts and serves connections until `shutdown`, then finishes requests in work, for no longer
/// than [`Limits::drain`]. Dropping the future drops all connections.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let protocol = protocol(&limits);
    let drain = limits.drain;
    let (limits, places) = (Arc::new(limits), Arc::new(Places::default()));

    while let Some((stream, peer, slot)) = next(&listener, &slots, &shutdown).await {
        while connections.try_join_next().is_some() {}
        let Some(place) = places.take(peer.ip(), &limits) else {
            debug!(%peer, "Closed a connection of an address that has too many");
            continue;
        };
        let (protocol, router) = (protocol.clone(), router.clone());
        // Each waits on a token of its own: one that all share would be locked at every wake-up.
        let (limits, shutdown) = (Arc::clone(&limits), shutdown.child_token());
        connections.spawn(async move {
            converse(stream, peer, (slot, place), &protocol, router, &limits, &shutdown).await;
        });
    }

    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, finish).await.is_err() {
        warn!(connections = connections.len(), "Cut connections that would not finish");
        connections.shutdown().await;
    }
}

/// The next connection, where it comes from, and its slot, or `None` on shutdown.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepted = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) if of_one_connection(&error) => debug!(%error, "Lost a connection"),
                Err(error) => {
                    warn!(%error, "Cannot accept connections, pausing");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    select! {
        accepted = accepted => accepted,
        () = shutdown.cancelled() => None,
    }
}

/// The client gave up while it was queued; the listener is fine.
fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// HTTP/1.1 alone. Behind a proxy nothing is lost by it, and a client of HTTP/2 could keep a connection busy for ever by
/// not reading what it asked for, which no limit of ours would see.
fn protocol(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    // A head must fit the read buffer, which hyper does not allow to be smaller than this.
    builder.max_buf_size(header_bytes.max(8 * 1024));
    builder
}

/// Serves one connection until it closes, breaks a limit, or is drained by `shutdown`. It keeps its `room` until then,
/// or until it is given a [`Lasting`] answer.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    room: (OwnedSemaphorePermit, Place),
    protocol: &http1::Builder,
    router: Router,
    limits: &Limits,
    shutdown: &CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "Lost a connection");
        return;
    }
    let activity = Activity::new(Instant::now());
    let body_timeout = limits.body_timeout;
    let room = Arc::new(Mutex::new(Some(room)));
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let busy = activity.begin();
        let answer = router.clone().call(request.map(|incoming| {
            if incoming.is_end_stream() { Body::empty() } else { Body::new(TimedBody::new(incoming, body_timeout)) }
        }));
        let room = Arc::clone(&room);
        async move {
            let mut answer = answer.await?;
            if answer.extensions().get::<Lasting>().is_some() {
                room.lock().unwrap_or_else(PoisonError::into_inner).take();
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer.map(|body| AnswerBody::new(body, busy)))
        }
    });
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(protocol.serve_connection(io, service));
    let mut look = pin!(sleep(limits.shortest_wait()));
    let mut closing = false;
    loop {
        select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "A connection ended early");
                }
                return;
            }
            () = shutdown.cancelled(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => match activity.judge(Instant::now(), limits) {
                Verdict::LookAgain(then) => look.as_mut().reset(then),
                Verdict::Idle if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                    look.as_mut().reset(Instant::now() + limits.header_timeout);
                }
                Verdict::Idle | Verdict::SlowHead | Verdict::Unread => {
                    debug!("Cut a connection that took too long");
                    return;
                }
            },
        }
    }
}

/// Resolves SIGTERM and SIGINT into a token, so that `main` has one thing to pass around.
///
/// # Errors
///
/// When the signals cannot be listened to.
pub fn shutdown_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    // The one task that no tracker waits for: it ends with the first signal or with the process.
    tokio::spawn(async move {
        select! {
            _ = terminate.recv() => info!("SIGTERM: shutting down"),
            _ = interrupt.recv() => info!("SIGINT: shutting down"),
        }
        token.cancel();
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests;
