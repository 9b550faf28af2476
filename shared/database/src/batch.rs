use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Turns what concurrent requests ask for into few transactions.
///
/// A task takes whatever waits, up to a limit, and runs it as one statement; while it runs, the next batch gathers, larger
/// the busier it is. Nobody waits for company: a lone request is a batch of one. The work belongs to the task, so a caller
/// that goes away cancels nothing.
pub struct Batcher<T, R> {
    queue: mpsc::Sender<Job<T, R>>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

struct Job<T, R> {
    item: T,
    answer: Answer<R>,
}

type Answer<R> = oneshot::Sender<Result<R, Arc<sqlx::Error>>>;

/// Why a batched call has no result.
#[derive(Debug)]
pub enum BatchError {
    /// The database refused it, alone and not only in company, or could not be reached.
    Database(Arc<sqlx::Error>),
    /// The process is shutting down.
    Stopped,
}

impl std::fmt::Display for BatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Database(_) => f.write_str("the database did not do it"),
            Self::Stopped => f.write_str("shutting down"),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database(error) => Some(error.as_ref()),
            Self::Stopped => None,
        }
    }
}

/// How many calls may wait before callers wait for a place themselves.
const QUEUE: usize = 1_024;

/// PostgreSQL's code for a lock that was waited for in vain.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Its codes for a key that another transaction has just written, and for a deadlock with one.
const TWIN: [&str; 2] = ["23505", "40P01"];

/// How long items wait for a lock that their batch has waited for in vain already.
const IMPATIENT: &str = "SET lock_timeout = '20ms'";

/// The most calls in one statement: past this, larger batches win nothing and hold locks longer.
const MAX_BATCH: usize = 200;

impl<T: Send + Sync + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts the task on `tracker`. It ends when the last clone of the batcher is dropped and the queue is empty.
    ///
    /// `run` gets up to 200 items and answers them in order, in one transaction. It must be safe to repeat: what the
    /// database refuses is tried again item by item, so that one item does not spoil the others, and a connection may
    /// die after the commit. It may not change the connection's `lock_timeout`.
    pub fn start<F>(tracker: &TaskTracker, db: &PgPool, run: F) -> Self
    where
        F: for<'a> Fn(&'a mut PgConnection, &'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>> + Send + Sync + 'static,
    {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tracker.spawn(work(jobs, db.clone(), run));
        Self { queue }
    }

    /// Has one item done, with whatever else is asked for right now.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub async fn submit(&self, item: T) -> Result<R, BatchError> {
        let (answer, result) = oneshot::channel();
        self.queue.send(Job { item, answer }).await.map_err(|_| BatchError::Stopped)?;
        result.await.map_err(|_| BatchError::Stopped)?.map_err(BatchError::Database)
    }
}

async fn work<T, R, F>(mut jobs: mpsc::Receiver<Job<T, R>>, db: PgPool, run: F)
where
    F: for<'a> Fn(&'a mut PgConnection, &'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>>,
{
    let mut connection = None;
    loop {
        if jobs.is_empty() {
            connection = None; // back to the pool, which costs a round trip: not while there is work
        }
        let mut batch = Vec::new();
        if jobs.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let (items, answers): (Vec<T>, Vec<_>) = batch.into_iter().map(|job| (job.item, job.answer)).unzip();
        let mut outcome = attempt(&db, &mut connection, &run, &items).await;
        if outcome.as_ref().is_err_and(is_connection_lost) {
            outcome = attempt(&db, &mut connection, &run, &items).await; // the first one was dead, unnoticed until now
        }
        match outcome {
            Ok(results) => {
                debug_assert_eq!(results.len(), answers.len(), "one result per item");
                for (answer, result) in answers.into_iter().zip(results) {
                    reply(answer, Ok(result));
                }
            }
            Err(error @ sqlx::Error::Database(_)) => {
                tracing::debug!(%error, items = items.len(), "the database refused a batch; trying its items one by one");
                let patient = !has_code(&error, LOCK_NOT_AVAILABLE);
                one_by_one(&db, &mut connection, &run, items.into_iter().zip(answers), patient).await;
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in answers {
                    reply(answer, Err(Arc::clone(&error)));
                }
            }
        }
    }
}

/// Runs each item alone, so that one that the database refuses spoils nobody. When somebody holds a lock for long, those
/// who want the same wait for it no longer: everybody else is behind them.
async fn one_by_one<T, R, F>(
    db: &PgPool,
    connection: &mut Option<PoolConnection<Postgres>>,
    run: &F,
    jobs: impl Iterator<Item = (T, Answer<R>)>,
    patient: bool,
) where
    F: for<'a> Fn(&'a mut PgConnection, &'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>>,
{
    if !patient {
        set(connection, IMPATIENT).await;
    }
    for (item, answer) in jobs {
        let item = std::slice::from_ref(&item);
        let mut result = attempt(db, connection, run, item).await;
        if matches!(&result, Err(error) if TWIN.iter().any(|code| has_code(error, code))) {
            // A twin in another process was in the way; now it is on record.
            result = attempt(db, connection, run, item).await;
        }
        let result = result.and_then(|mut results| results.pop().ok_or(sqlx::Error::RowNotFound));
        reply(answer, result.map_err(Arc::new));
    }
    if !patient {
        set(connection, "RESET lock_timeout").await;
    }
}

/// Changes a setting of the connection at hand. One that fails to is not used again.
async fn set(connection: &mut Option<PoolConnection<Postgres>>, sql: &'static str) {
    if let Some(mut held) = connection.take() {
        match held.execute(sql).await {
            Ok(_) => *connection = Some(held),
            Err(error) => {
                tracing::warn!(%error, "A connection does not obey and is given up");
                drop(held.detach());
            }
        }
    }
}

/// Runs items on the connection at hand, or on one from the pool. Keeps it, unless it proves to be dead.
async fn attempt<T, R, F>(
    db: &PgPool,
    connection: &mut Option<PoolConnection<Postgres>>,
    run: &F,
    items: &[T],
) -> sqlx::Result<Vec<R>>
where
    F: for<'a> Fn(&'a mut PgConnection, &'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>>,
{
    let mut held = match connection.take() {
        Some(held) => held,
        None => db.acquire().await?,
    };
    let outcome = run(&mut held, items).await;
    if !outcome.as_ref().is_err_and(is_connection_lost) {
        *connection = Some(held);
    }
    outcome
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().is_some_and(|error| error.code().is_some_and(|it| it == code))
}

fn is_connection_lost(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
}

fn reply<R>(answer: Answer<R>, result: Result<R, Arc<sqlx::Error>>) {
    if answer.send(result).is_err() {
        tracing::debug!("a caller left before its result was there; the work is done");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;

    use futures_util::future::join_all;

    use super::*;

    /// Doubles numbers, refuses 13, and notes how many came at once.
    fn doubling(
        sizes: Arc<StdMutex<Vec<usize>>>,
    ) -> impl for<'a> Fn(&'a mut PgConnection, &'a [i32]) -> BoxFuture<'a, sqlx::Result<Vec<i32>>> {
        move |_, numbers| {
            sizes.lock().unwrap().push(numbers.len());
            Box::pin(async move {
                tokio::task::yield_now().await; // others queue up meanwhile
                if numbers.contains(&13) { Err(refusal()) } else { Ok(numbers.iter().map(|n| n * 2).collect()) }
            })
        }
    }

    #[derive(Debug)]
    struct Refusal;

    impl std::fmt::Display for Refusal {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }

    impl std::error::Error for Refusal {}

    impl sqlx::error::DatabaseError for Refusal {
        fn message(&self) -> &'static str {
            "refused"
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::CheckViolation
        }
    }

    fn refusal() -> sqlx::Error {
        sqlx::Error::Database(Box::new(Refusal))
    }

    #[tokio::test]
    async fn concurrent_calls_share_statements_and_one_refusal_spoils_nobody() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let sizes = Arc::default();
        let batcher = Batcher::start(&TaskTracker::new(), &db, doubling(Arc::clone(&sizes)));
        let results = join_all((0..100).map(|n| batcher.submit(n))).await;
        for (n, result) in results.into_iter().enumerate() {
            match result {
                Ok(doubled) => assert_eq!(usize::try_from(doubled).unwrap(), n * 2),
                Err(error) => assert!(n == 13 && matches!(error, BatchError::Database(_)), "{n}: {error}"),
            }
        }
        assert!(sizes.lock().unwrap().iter().any(|size| *size > 1));
    }

    #[tokio::test]
    async fn a_row_that_somebody_keeps_locked_holds_up_only_those_who_want_it() {
        let (owner, url) = postgres::fresh_url(&crate::MIGRATOR).await;
        owner.execute("CREATE TABLE shelf AS SELECT n FROM generate_series(0, 99) AS n").await.unwrap();
        let mut somebody = owner.begin().await.unwrap();
        somebody.execute("SELECT FROM shelf WHERE n = 13 FOR UPDATE").await.unwrap();

        let settings =
            crate::PoolSettings { url: url.into(), max_connections: 1, application_name: "test".into(), role: None };
        let db = crate::connect(&settings).await.unwrap();
        let batcher = Batcher::start(&TaskTracker::new(), &db, |db: &mut PgConnection, wanted: &[i32]| {
            Box::pin(async move {
                sqlx::query("SELECT FROM shelf WHERE n = ANY($1) FOR UPDATE").bind(wanted).execute(db).await?;
                Ok(wanted.to_vec())
            })
        });
        let begun = std::time::Instant::now();
        let wanted: Vec<i32> = (0..60).chain([13; 40]).collect();
        let results = join_all(wanted.iter().map(|n| batcher.submit(*n))).await;
        for (n, result) in wanted.into_iter().zip(results) {
            assert_eq!(result.is_ok(), n != 13, "{n}: {result:?}");
        }
        // 2 s for the batch, and 41 times 20 ms; not 41 times 2 s.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());

        somebody.rollback().await.unwrap();
        assert_eq!(batcher.submit(13).await.unwrap(), 13);
        drop(batcher);
        let patience: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&db).await.unwrap();
        assert_eq!(patience, "2s", "as patient as before");
    }

    #[tokio::test]
    async fn a_database_that_is_away_fails_everybody_at_once() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let calls = Arc::new(StdMutex::new(0));
        let counted = Arc::clone(&calls);
        let batcher = Batcher::start(&TaskTracker::new(), &db, move |_: &mut PgConnection, _: &[i32]| {
            *counted.lock().unwrap() += 1;
            Box::pin(async { Err::<Vec<i32>, _>(sqlx::Error::PoolTimedOut) })
        });
        let results = join_all((0..50).map(|n| batcher.submit(n))).await;
        assert!(results.iter().all(Result::is_err));
        assert!(*calls.lock().unwrap() < 50, "not one time-out after another");
    }

    #[tokio::test]
    async fn a_connection_that_died_is_replaced_once() {
        let db = postgres::fresh(&crate::MIGRATOR).await;
        let calls = Arc::new(StdMutex::new(0));
        let counted = Arc::clone(&calls);
        let batcher = Batcher::start(&TaskTracker::new(), &db, move |_: &mut PgConnection, items: &[i32]| {
            let mut calls = counted.lock().unwrap();
            *calls += 1;
            let first = *calls == 1;
            Box::pin(async move {
                if first { Err(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into())) } else { Ok(items.to_vec()) }
            })
        });
        assert_eq!(batcher.submit(7).await.unwrap(), 7);
        assert_eq!(*calls.lock().unwrap(), 2);
    }
}
