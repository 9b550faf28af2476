//! Health: `/healthz` says the process lives, `/readyz` says that it can do its work.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::problem::Problem;

/// A verdict holds this long, so that asking often costs the database nothing.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// The health routes. `check` says whether the service can do its work, or why not; the reason goes
/// to the log, not to the caller. From `shutdown` on the service is not ready.
///
/// The check runs in a task of `tasks`, since it may use the database and its caller may go away.
pub fn routes<C, F>(check: C, tasks: TaskTracker, shutdown: CancellationToken) -> Router
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let readiness = Readiness { check, tasks, shutdown, last: Mutex::new(None) };
    Router::new()
        .route("/healthz", get(async || StatusCode::NO_CONTENT))
        .route("/readyz", get(ready::<C, F>))
        .with_state(Arc::new(readiness))
}

struct Readiness<C> {
    check: C,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    last: Mutex<Option<Verdict>>,
}

#[derive(Clone, Copy)]
struct Verdict {
    ready: bool,
    at: Instant,
}

async fn ready<C, F>(State(readiness): State<Arc<Readiness<C>>>) -> Result<StatusCode, Problem>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let not_ready = Problem::unavailable(FRESH_FOR);
    if readiness.shutdown.is_cancelled() {
        return Err(not_ready.detail("shutting down"));
    }
    let tasks = readiness.tasks.clone();
    match tasks.spawn(async move { readiness.ask().await }).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) | Err(_) => Err(not_ready.detail("not ready")),
    }
}

impl<C, F> Readiness<C>
where
    C: Fn() -> F,
    F: Future<Output = Result<(), String>>,
{
    /// Callers that come together wait for one check.
    async fn ask(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some(verdict) = *last
            && verdict.at.elapsed() < FRESH_FOR
        {
            return verdict.ready;
        }
        let outcome = (self.check)().await;
        if let Err(reason) = &outcome {
            warn!(reason, "Not ready: {reason}");
        }
        let ready = outcome.is_ok();
        *last = Some(Verdict { ready, at: Instant::now() });
        ready
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(routes: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        routes.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_is_asked_for_once_and_renewed() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let check = move || {
            let nth = counter.fetch_add(1, Ordering::SeqCst);
            async move { if nth == 0 { Err("no database".to_owned()) } else { Ok(()) } }
        };
        let shutdown = CancellationToken::new();
        let routes = routes(check, TaskTracker::new(), shutdown.clone());

        for _ in 0..10 {
            assert_eq!(status(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(FRESH_FOR).await;
        assert_eq!(status(&routes, "/readyz").await, StatusCode::NO_CONTENT);
        assert_eq!(asked.load(Ordering::SeqCst), 2);

        shutdown.cancel();
        assert_eq!(status(&routes, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&routes, "/healthz").await, StatusCode::NO_CONTENT);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
