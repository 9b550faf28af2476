use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a loop that was not woken rests before it looks by itself: for what another process put there, and for what
/// falls due. Looking costs an index probe; this is twenty a second.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How far apart a loop's rounds begin at least: a few full batches cost the database less than many small ones, and
/// a loop that was at rest still begins at once.
const PACE: Duration = Duration::from_millis(5);

/// Rests until there is work, or it is time to look for some, or to stop.
pub(crate) async fn until_woken(shutdown: &CancellationToken, wake: &Notify) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = wake.notified() => {}
        () = tokio::time::sleep(POLL) => {}
    }
}

/// Rests until the next round may begin, or it is time to stop.
pub(crate) async fn pace(shutdown: &CancellationToken, begun: Instant) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep_until(begun + PACE) => {}
    }
}

/// Rests for a time, or until it is time to stop.
pub(crate) async fn rest(shutdown: &CancellationToken, time: Duration) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// How long to leave a database alone that failed this many times in a row: 100 ms, doubling to 5 s.
pub(crate) fn after_failures(failures: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(5))
}
