//! One task owns the only writing connection. Writes that wait together share one commit ("group commit"), each in
//! its own savepoint, so that one that fails takes nothing with it; all are told after the commit.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sqlx::{Connection, Row, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{SCRUB_DUE, failure::Failure, get_setting};
use crate::error::{Error, Result};

/// More waiting writes than this are refused: the disk cannot keep up, and waiting longer would hide it.
const QUEUE: usize = 1024;

/// Enough to make a commit cheap for each, few enough that the first one does not wait long.
const BATCH: usize = 128;

/// A database up to this size is written anew as soon as something was masked in it; writes wait meanwhile, a second or
/// two (466 MB took 10 s on a busy machine). A larger one waits for `Store::scrub`, only its log is emptied at once.
const SCRUBBED_AT_ONCE_BYTES: u64 = 64 << 20;

/// The value of `SCRUB_DUE` once the database is written anew and only its log may hold erased bytes.
const ONLY_LOG: &str = "log";

/// When a scrub that did not work, because another process was reading or the disk was full, is tried again.
const SCRUB_AGAIN: Duration = Duration::from_secs(5);

/// The way to the writing task.
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    path: Arc<PathBuf>,
    scrub_soon: Arc<AtomicBool>,
}

enum Job {
    Write(Work),
    Scrub(oneshot::Sender<bool>),
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
    /// `scrub` begins with a scrub that an earlier process left open.
    pub(super) fn start(connection: SqliteConnection, path: Arc<PathBuf>, scrub: bool) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let scrub_soon = Arc::new(AtomicBool::new(scrub));
        tokio::spawn(write_batches(connection, jobs, path.clone(), scrub_soon.clone()));
        Writer { queue, path, scrub_soon }
    }

    /// A write that takes something out sets this: the files are scrubbed after its commit.
    pub(super) fn scrub_soon(&self) -> Arc<AtomicBool> {
        self.scrub_soon.clone()
    }

    /// Scrubs the files whatever their size; whether that worked.
    pub(super) async fn scrub(&self) -> Result<bool> {
        let (answer, answered) = oneshot::channel();
        let stopped = || Error::Stopped("the store");
        self.queue.send(Job::Scrub(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())
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

async fn write_batches(
    mut connection: SqliteConnection,
    mut jobs: mpsc::Receiver<Job>,
    path: Arc<PathBuf>,
    scrub_soon: Arc<AtomicBool>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let is_small = || std::fs::metadata(&*path).is_ok_and(|file| file.len() <= SCRUBBED_AT_ONCE_BYTES);
        if scrub_soon.swap(false, Ordering::Relaxed) {
            let effort = if is_small() { Effort::Whole } else { Effort::Log };
            let is_done = try_scrub(&mut connection, effort).await;
            scrub_soon.fetch_or(!is_done, Ordering::Relaxed);
        }
        // With a scrub to try again, waiting for work has an end.
        let wait = if scrub_soon.load(Ordering::Relaxed) { SCRUB_AGAIN } else { Duration::MAX };
        match tokio::time::timeout(wait, jobs.recv_many(&mut batch, BATCH)).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => continue,
        }
        let mut works = Vec::with_capacity(batch.len());
        let mut scrubbing = Vec::new();
        let mut closing = Vec::new();
        for job in batch.drain(..) {
            match job {
                Job::Write(work) => works.push(work),
                Job::Scrub(answer) => scrubbing.push(answer),
                Job::Close(answer) => closing.push(answer),
            }
        }
        if !works.is_empty() {
            write_batch(&mut connection, works, &path).await;
        }
        if !scrubbing.is_empty() {
            let worked = try_scrub(&mut connection, Effort::Whole).await;
            scrub_soon.fetch_and(!worked, Ordering::Relaxed);
            for answer in scrubbing {
                let _ = answer.send(worked);
            }
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

/// Scrubs without waiting for anyone, because customers' writes wait behind this one; whether it is done.
async fn try_scrub(connection: &mut SqliteConnection, effort: Effort) -> bool {
    match scrub_impatiently(connection, effort).await {
        Ok(is_done) => is_done,
        Err(failure) => {
            let told = "erased bytes may still stand in the store's files; they are scrubbed later";
            tracing::warn!(error = ?failure, "{told}");
            false
        }
    }
}

async fn scrub_impatiently(connection: &mut SqliteConnection, effort: Effort) -> Result<bool, Failure> {
    let row = sqlx::query("PRAGMA busy_timeout").fetch_one(&mut *connection).await?;
    let usual_ms: i64 = row.try_get(0)?;
    sqlx::query("PRAGMA busy_timeout = 100").execute(&mut *connection).await?;
    let scrubbed = scrub(connection, effort).await;
    let usual = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {usual_ms}"));
    sqlx::query(usual).execute(&mut *connection).await?;
    scrubbed
}

/// What a scrub may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effort {
    /// Only the log: what was overwritten is zeroed in the database too.
    Log,
    /// Also writing the database anew.
    Whole,
}

/// Takes bytes that were deleted or overwritten out of the database and its log, as far as `effort` allows; false while a
/// reader, of this process or another, holds the log.
///
/// `secure_delete` zeroes a deleted row where it stands. But when SQLite splits a full page, copies of the rows that moved
/// stay behind in the free part of the old page, and no later delete finds them: of 3,000 rows in an experiment (SQLite
/// 3.40, `secure_delete` on) about 9 could still be read after all had been overwritten. So the file is written anew.
async fn scrub(connection: &mut SqliteConnection, effort: Effort) -> Result<bool, Failure> {
    // First, because while a reader holds the log, it would only grow by the whole database.
    if !truncate_log(connection).await? {
        return Ok(false);
    }
    let Some(due) = get_setting(connection, SCRUB_DUE).await? else { return Ok(true) };
    if due != ONLY_LOG {
        if effort == Effort::Log {
            return Ok(true);
        }
        sqlx::query("VACUUM").execute(&mut *connection).await?;
        // Should the log be held now, the next try need not write everything once more. What became due meanwhile stays.
        sqlx::query("UPDATE settings SET value = ?3 WHERE key = ?1 AND value = ?2")
            .bind(SCRUB_DUE)
            .bind(due)
            .bind(ONLY_LOG)
            .execute(&mut *connection)
            .await?;
        if !truncate_log(connection).await? {
            return Ok(false);
        }
    }
    sqlx::query("DELETE FROM settings WHERE key = ?1 AND value = ?2")
        .bind(SCRUB_DUE)
        .bind(ONLY_LOG)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Moves the log into the database and empties its file; false while a reader holds it.
async fn truncate_log(connection: &mut SqliteConnection) -> Result<bool, Failure> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? == 0)
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
