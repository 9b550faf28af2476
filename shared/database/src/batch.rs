use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// Turns what concurrent requests ask for into few transactions.
///
/// A lane takes whatever waits, up to a limit, and runs it as one statement; while it runs, the next batch
/// gathers. Nobody waits for company: a lone request is a batch of one. The work belongs to the lane's task, so
/// a caller that goes away cancels nothing.
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
    answer: oneshot::Sender<sqlx::Result<R>>,
}

/// Why a batched call has no result.
#[derive(Debug)]
pub enum BatchError {
    /// The database refused it, alone and not only in company.
    Database(sqlx::Error),
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
            Self::Database(error) => Some(error),
            Self::Stopped => None,
        }
    }
}

/// How many calls may wait before callers wait for a place themselves.
const QUEUE: usize = 1_024;

/// The most calls in one statement: past this, larger batches win nothing and hold locks longer.
const MAX_BATCH: usize = 200;

impl<T: Send + Sync + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts `lanes` tasks on `tracker`. They end when the last clone of the batcher is dropped and the queue is empty.
    ///
    /// `run` gets up to 200 items and answers them in order, in one transaction. It is called again with
    /// each item alone when it fails, so it must be safe to repeat: a connection may die after the commit.
    pub fn start<F>(tracker: &TaskTracker, lanes: usize, run: F) -> Self
    where
        F: for<'a> Fn(&'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>> + Send + Sync + 'static,
    {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let run = Arc::new(run);
        for _ in 0..lanes {
            tracker.spawn(lane(Arc::clone(&jobs), Arc::clone(&run)));
        }
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

async fn lane<T, R, F>(jobs: Arc<Mutex<mpsc::Receiver<Job<T, R>>>>, run: Arc<F>)
where
    F: for<'a> Fn(&'a [T]) -> BoxFuture<'a, sqlx::Result<Vec<R>>>,
{
    loop {
        let mut batch = Vec::new();
        if jobs.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let (items, answers): (Vec<T>, Vec<_>) = batch.into_iter().map(|job| (job.item, job.answer)).unzip();
        match run(&items).await {
            Ok(results) => {
                debug_assert_eq!(results.len(), answers.len(), "one result per item");
                for (answer, result) in answers.into_iter().zip(results) {
                    reply(answer, Ok(result));
                }
            }
            Err(error) => {
                tracing::debug!(%error, items = items.len(), "a batch failed; trying its items one by one");
                for (item, answer) in items.iter().zip(answers) {
                    let result = run(std::slice::from_ref(item)).await;
                    reply(answer, result.and_then(|mut results| results.pop().ok_or(sqlx::Error::RowNotFound)));
                }
            }
        }
    }
}

fn reply<R>(answer: oneshot::Sender<sqlx::Result<R>>, result: sqlx::Result<R>) {
    if answer.send(result).is_err() {
        tracing::debug!("a caller left before its result was there; the work is done");
    }
}
