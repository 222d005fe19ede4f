//! One task owns the only writing connection. Writes that wait together share one commit ("group commit"), each in
//! its own savepoint, so that one that fails takes nothing with it; all are told after the commit.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::failure::Failure;
use crate::error::{Error, Result};

/// More waiting writes than this are refused: the disk cannot keep up, and waiting longer would hide it.
const QUEUE: usize = 1024;

/// Enough to make a commit cheap for each, few enough that the first one does not wait long.
const BATCH: usize = 128;

/// The way to the writing task.
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    path: Arc<PathBuf>,
}

enum Job {
    Write(Work),
    Close(oneshot::Sender<()>),
}

/// Without a connection it does nothing but tell its caller why.
type Work = Box<dyn for<'c> FnOnce(Option<&'c mut SqliteConnection>) -> BoxFuture<'c, Done> + Send>;

/// A write that has run and waits for its commit.
struct Done {
    /// False: its savepoint is rolled back.
    worked: bool,
    /// What the database said, if that is why it did not work.
    cause: Option<Arc<sqlx::Error>>,
    /// Tells the caller how the commit went.
    tell: Box<dyn FnOnce(Result<()>) + Send>,
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection, path: Arc<PathBuf>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write_batches(connection, jobs, path.clone()));
        Writer { queue, path }
    }

    /// Queues `work` and waits for its commit; `told` runs right after a commit that holds it.
    pub(super) async fn run<T, W>(&self, act: &'static str, told: impl FnOnce() + Send + 'static, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let work: Work = Box::new(move |connection| {
            Box::pin(async move {
                let outcome = match connection {
                    Some(connection) => Some(work(connection).await),
                    None => None,
                };
                let worked = matches!(outcome, Some(Ok(_)));
                let cause = match &outcome {
                    Some(Err(Failure::Database(cause))) => Some(cause.clone()),
                    _ => None,
                };
                let tell = move |committed: Result<()>| {
                    let outcome = match (outcome, committed) {
                        (Some(Err(failure)), _) => Err(failure.into_error(act, &path)),
                        (_, Err(error)) => Err(error),
                        (Some(Ok(value)), Ok(())) => Ok(value),
                        (None, Ok(())) => Err(Error::Stopped("the store")),
                    };
                    if outcome.is_ok() {
                        told();
                    }
                    // The caller may have gone away; the write stands.
                    let _ = answer.send(outcome);
                };
                Done { worked, cause, tell: Box::new(tell) }
            })
        });
        self.queue.try_send(Job::Write(work)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::Busy { what: "the store's writing queue", limit: QUEUE },
            mpsc::error::TrySendError::Closed(_) => Error::Stopped("the store"),
        })?;
        answered.await.unwrap_or(Err(Error::Stopped("the store")))
    }

    /// Waits for the writes that were queued before, then closes the file.
    pub(super) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(Job::Close(answer)).await.is_ok() {
            let _ = answered.await;
        }
    }
}

async fn write_batches(mut connection: SqliteConnection, mut jobs: mpsc::Receiver<Job>, path: Arc<PathBuf>) {
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.recv_many(&mut batch, BATCH).await > 0 {
        let mut works = Vec::with_capacity(batch.len());
        let mut closing = Vec::new();
        for job in batch.drain(..) {
            match job {
                Job::Write(work) => works.push(work),
                Job::Close(answer) => closing.push(answer),
            }
        }
        if !works.is_empty() {
            write_batch(&mut connection, works, &path).await;
        }
        if !closing.is_empty() {
            jobs.close();
            if let Err(cause) = connection.close().await {
                tracing::warn!(error = %cause, "closing the store's file failed; its log is replayed at the next start");
            }
            for answer in closing {
                let _ = answer.send(());
            }
            return;
        }
    }
}

async fn write_batch(connection: &mut SqliteConnection, works: Vec<Work>, path: &Path) {
    let mut works = works.into_iter();
    let mut done = Vec::with_capacity(works.len());
    match run_and_commit(connection, &mut works, &mut done).await {
        Ok(()) => done.into_iter().for_each(|one| (one.tell)(Ok(()))),
        Err(cause) => {
            // The last write that ran knows better: "disk full" and not "no such savepoint".
            let cause = done.last().and_then(|one| one.cause.clone()).unwrap_or_else(|| Arc::new(cause));
            // Fails where SQLite has rolled back by itself already; then there is nothing left to undo.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
            for work in works {
                done.push(work(None).await);
            }
            for one in done {
                (one.tell)(Err(Failure::Database(cause.clone()).into_error("writing to", path)));
            }
        }
    }
}

/// Plain statements instead of `sqlx::Transaction`: that one counts transactions itself, and its count is wrong for
/// good after SQLite has rolled one back by itself, as it does on a full disk.
async fn run_and_commit(
    connection: &mut SqliteConnection,
    works: &mut std::vec::IntoIter<Work>,
    done: &mut Vec<Done>,
) -> Result<(), sqlx::Error> {
    // IMMEDIATE takes the lock now, so that waiting for another process happens here and nowhere else. Each call is
    // two switches between threads, which cost milliseconds on a busy machine; hence two statements in one.
    sqlx::query("BEGIN IMMEDIATE; SAVEPOINT one").execute(&mut *connection).await?;
    while let Some(work) = works.next() {
        let one = work(Some(&mut *connection)).await;
        let worked = one.worked;
        done.push(one);
        if !worked {
            // The savepoint stays and serves the next write. After such a rollback it is gone, and this fails,
            // which ends the batch.
            sqlx::query("ROLLBACK TO one").execute(&mut *connection).await?;
        } else if works.len() > 0 {
            sqlx::query("RELEASE one; SAVEPOINT one").execute(&mut *connection).await?;
        }
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    Ok(())
}
