//! Time limits of one connection: for a request's head, for its body, and without any request.
//!
//! hyper's own header timeout also runs while a kept-alive connection is idle, which would cut
//! honest clients after the short time meant for slow ones; it does not run before the protocol
//! version is known; and it sets a timer per request. Here the socket and the requests write down
//! what happens, and one timer per connection looks from time to time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::Limits;

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// A request's head is awaited and may have begun.
    Head { since: Instant },
    /// Requests are in work, or their answers are being read.
    Busy { requests: usize },
    /// Nothing is asked. The next byte begins a head.
    Idle { since: Instant },
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    phase: Mutex<Phase>,
    /// Since when the client reads nothing of what is written.
    stalled: Mutex<Option<Instant>>,
}

/// What is to be done about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing, and nothing can be due before this time.
    LookAgain(Instant),
    /// Close it once what is in work is done.
    Idle,
    /// Cut it: a head takes too long.
    SlowHead,
    /// Cut it: nobody reads the answer.
    Unread,
}

impl Activity {
    /// A connection that was just accepted: its first request is due.
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self { phase: Mutex::new(Phase::Head { since: now }), stalled: Mutex::default() })
    }

    /// A request's head is complete. The connection is busy until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut phase = self.phase();
        *phase = match *phase {
            Phase::Busy { requests } => Phase::Busy { requests: requests + 1 },
            Phase::Head { .. } | Phase::Idle { .. } => Phase::Busy { requests: 1 },
        };
        Busy(Arc::clone(self))
    }

    pub(crate) fn judge(&self, now: Instant, limits: &Limits) -> Verdict {
        let soonest = now + limits.shortest_wait();
        let (due, verdict) = match (*self.phase(), *self.stalled()) {
            (_, Some(since)) => (since + limits.idle_timeout, Verdict::Unread),
            (Phase::Head { since }, None) => (since + limits.header_timeout, Verdict::SlowHead),
            (Phase::Idle { since }, None) => (since + limits.idle_timeout, Verdict::Idle),
            (Phase::Busy { .. }, None) => return Verdict::LookAgain(soonest),
        };
        if due <= now {
            return verdict;
        }
        Verdict::LookAgain(due.min(soonest))
    }

    fn bytes_arrived(&self) {
        let mut phase = self.phase();
        if let Phase::Idle { .. } = *phase {
            *phase = Phase::Head { since: Instant::now() };
        }
    }

    fn end(&self) {
        let mut phase = self.phase();
        *phase = match *phase {
            Phase::Busy { requests } if requests > 1 => Phase::Busy { requests: requests - 1 },
            _ => Phase::Idle { since: Instant::now() },
        };
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stalled(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stalled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in work, until its answer has been handed over.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// An answer's body, which keeps its connection busy.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    body: axum::body::Body,
    _busy: Busy,
}

impl AnswerBody {
    pub(crate) fn new(body: axum::body::Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the request's body took too long")]
pub(crate) struct BodyTooSlow;

pin_project! {
    /// A request's body that must be complete by a deadline.
    pub(crate) struct TimedBody {
        incoming: Incoming,
        #[pin]
        deadline: Sleep,
    }
}

impl TimedBody {
    pub(crate) fn new(incoming: Incoming, within: Duration) -> Self {
        Self { incoming, deadline: sleep_until(Instant::now() + within) }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = Pin::new(this.incoming).poll_frame(cx) {
            return Poll::Ready(frame.map(|it| it.map_err(Into::into)));
        }
        ready!(this.deadline.poll(cx));
        Poll::Ready(Some(Err(BodyTooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A socket that notes when bytes arrive, and when none leave.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
    stalled: bool,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, stalled: false }
    }

    fn note(&mut self, stalled: bool) {
        if self.stalled != stalled {
            self.stalled = stalled;
            *self.activity.stalled() = stalled.then(Instant::now);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.bytes_arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written.is_pending());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn heads_are_hurried_and_idleness_is_allowed() {
        let limits = Limits::default();
        let (head, idle) = (limits.header_timeout, limits.idle_timeout);
        let start = Instant::now();
        let activity = Activity::new(start);
        let judge = |activity: &Activity| activity.judge(Instant::now(), &limits);

        assert_eq!(judge(&activity), Verdict::LookAgain(start + head));
        let first = activity.begin();
        tokio::time::advance(idle * 2).await;
        assert_eq!(judge(&activity), Verdict::LookAgain(Instant::now() + head), "busy is never too long");

        drop(first);
        tokio::time::advance(idle / 2).await;
        assert_eq!(judge(&activity), Verdict::LookAgain(Instant::now() + head));
        tokio::time::advance(idle / 2).await;
        assert_eq!(judge(&activity), Verdict::Idle);

        activity.bytes_arrived();
        tokio::time::advance(head / 2).await;
        activity.bytes_arrived();
        tokio::time::advance(head / 2).await;
        assert_eq!(judge(&activity), Verdict::SlowHead, "dripping does not help");
    }
}
