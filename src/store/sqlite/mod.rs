//! The SQLite body of the store: opening the file safely, one writer, a few readers.

mod contacts;

mod conversations;

mod documents;

mod erasure;

mod failure;

mod incoming;

mod tickets;

mod writer;

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use sqlx::{
    Connection, Row, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::sync::broadcast;
use uuid::Uuid;

use self::{failure::Failure, writer::Writer};
use super::{StoreOptions, Sync};
use crate::{
    error::{Error, Result},
    safety::contact::ContactKey,
};

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// Marks the file as ours in SQLite's header (`Desk` in ASCII), so that no other program's database is touched.
const APPLICATION_ID: i64 = 0x4465_736b;

/// A full check reads the whole file; above this size it would delay a start by seconds.
const CHECKED_SIZE_BYTES: u64 = 64 << 20;

/// Readers do not block each other in WAL mode; more than the cores of a small machine only cost memory.
const READERS: u32 = 4;

/// The setting that says that erased bytes may still stand in the files.
const SCRUB_DUE: &str = "scrub_due";

/// How many changes a slow listener may lag behind before it has to read again.
const CHANGES: usize = 1024;

/// One SQLite file, its writer and its readers.
#[derive(Clone)]
pub struct Sqlite {
    path: Arc<PathBuf>,
    writer: Arc<Writer>,
    readers: SqlitePool,
    changes: broadcast::Sender<Uuid>,
    contact_key: Option<Arc<ContactKey>>,
}

impl Sqlite {
    /// Opens or creates the database. See [`super::Store::open`].
    pub(super) async fn open(path: &Path, options: &StoreOptions) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::file("creating", folder))?;
        }
        create_private(path)?;
        refuse_foreign_file(path)?;

        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(options.busy_timeout)
            // What is deleted or overwritten is zeroed; see `writer::scrub` for what that leaves.
            .pragma("secure_delete", "on")
            .synchronous(match options.sync {
                Sync::Normal => SqliteSynchronous::Normal,
                Sync::Full => SqliteSynchronous::Full,
            });
        let open = async {
            let mut connection = SqliteConnection::connect_with(&connect).await?;
            prepare(&mut connection, path).await?;
            let is_scrub_due = get_setting(&mut connection, SCRUB_DUE).await?.is_some();
            Ok((connection, is_scrub_due))
        };
        let (connection, is_scrub_due) = open.await.map_err(|failure: Failure| failure.into_error("opening", path))?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(options.busy_timeout)
            // A file does not hang up; asking it each time would double the cost of a short read.
            .test_before_acquire(false)
            // Writes belong to the writer; a read that tries one is a bug and must fail.
            .connect_lazy_with(connect.pragma("query_only", "on"));
        let path = Arc::new(path.to_owned());
        let (changes, _) = broadcast::channel(CHANGES);
        let writer = Arc::new(Writer::start(connection, path.clone(), is_scrub_due));
        Ok(Sqlite { writer, path, readers, changes, contact_key: options.contact_key.clone() })
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Uuid> {
        self.changes.subscribe()
    }

    /// Runs `work` inside the writer's next transaction and returns after the commit. `touched` is told to
    /// listeners then. The work runs to its end even if the caller goes away.
    async fn write<T, W>(&self, act: &'static str, touched: Option<Uuid>, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, Failure>> + Send + 'static,
    {
        let changes = self.changes.clone();
        let told = move || {
            if let Some(conversation) = touched {
                // No listener is no fault.
                let _ = changes.send(conversation);
            }
        };
        self.writer.run(act, told, work).await
    }

    /// A connection for reading.
    async fn reader(&self, act: &'static str) -> Result<PoolConnection<sqlx::Sqlite>> {
        self.readers.acquire().await.map_err(|cause| Failure::from(cause).into_error(act, &self.path))
    }

    /// For `map_err` on a read.
    fn failed<F: Into<Failure>>(&self, act: &'static str) -> impl FnOnce(F) -> Error {
        let path = self.path.clone();
        move |failure| failure.into().into_error(act, &path)
    }

    /// Takes erased bytes out of the files, if there may be any. See [`super::Store::scrub`].
    pub(super) async fn scrub(&self) -> Result<bool> {
        if self.setting(SCRUB_DUE).await?.is_none() {
            return Ok(true);
        }
        self.writer.scrub().await
    }

    pub(super) async fn setting(&self, key: &str) -> Result<Option<String>> {
        let act = "reading a setting from";
        get_setting(&mut *self.reader(act).await?, key).await.map_err(self.failed(act))
    }

    pub(super) async fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()> {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.write("writing a setting to", None, move |connection| {
            Box::pin(async move {
                match value {
                    Some(value) => put_setting(connection, &key, &value).await,
                    None => {
                        sqlx::query("DELETE FROM settings WHERE key = ?1").bind(key).execute(connection).await?;
                        Ok(())
                    }
                }
            })
        })
        .await
    }
}

async fn get_setting(connection: &mut SqliteConnection, key: &str) -> Result<Option<String>, Failure> {
    let row = sqlx::query("SELECT value FROM settings WHERE key = ?1").bind(key).fetch_optional(connection).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn put_setting(connection: &mut SqliteConnection, key: &str, value: &str) -> Result<(), Failure> {
    sqlx::query("INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that erased bytes may stand in the files until the next scrub. Each time another value, so that a scrub under way
/// in another process does not take this one for done. Inside a write only.
async fn put_scrub_due(connection: &mut SqliteConnection) -> Result<(), Failure> {
    put_setting(connection, SCRUB_DUE, &Uuid::now_v7().to_string()).await
}

/// Adds 1 to a counter kept in the settings and returns it. Inside a write only.
async fn next_number(connection: &mut SqliteConnection, key: &str) -> Result<i64, Failure> {
    let row = sqlx::query(
        "INSERT INTO settings (key, value) VALUES (?1, '1')
         ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)
         RETURNING CAST(value AS INTEGER)",
    )
    .bind(key)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get(0)?)
}

/// A column that holds one of our lowercase words.
fn word<T: std::str::FromStr<Err = Error>>(row: &SqliteRow, column: &str) -> Result<T, Failure> {
    Ok(row.try_get::<&str, _>(column)?.parse()?)
}

/// A column that holds JSON, or nothing.
fn json_or_none(row: &SqliteRow, column: &str) -> Result<Option<serde_json::Value>, Failure> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(serde_json::from_str).transpose().map_err(Failure::unreadable)
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Creates the file if it is missing. It holds customers' words: only its owner may read it. SQLite gives its
/// side files (`-wal`, `-shm`) the same rights.
fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path).map_err(Error::file("opening", path))?;
        let rights = file.metadata().map_err(Error::file("reading the rights of", path))?.permissions();
        if rights.mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
                .map_err(Error::file("taking others' rights from", path))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path).map_err(Error::file("opening", path))?;
    Ok(())
}

/// Refuses what is no SQLite database before SQLite sees it.
fn refuse_foreign_file(path: &Path) -> Result<()> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::file("opening", path))?;
    file.take(MAGIC.len() as u64).read_to_end(&mut head).map_err(Error::file("reading", path))?;
    if head.is_empty() || head == MAGIC { Ok(()) } else { Err(failure::damaged(path, "it is no SQLite file")) }
}

/// Checks that the database is ours and sound, and brings it to this program's schema, in one transaction.
async fn prepare(connection: &mut SqliteConnection, path: &Path) -> Result<(), Failure> {
    let application: i64 = number(connection, "PRAGMA application_id").await?;
    let tables: i64 = number(connection, "SELECT count(*) FROM sqlite_schema").await?;
    if application != APPLICATION_ID && (application != 0 || tables != 0) {
        return Err(failure::damaged(path, "another program made it").into());
    }
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if tables != 0 && size <= CHECKED_SIZE_BYTES {
        let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut *connection).await?;
        let said: String = row.try_get(0)?;
        if said != "ok" {
            return Err(failure::damaged(path, &said).into());
        }
    }
    sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await?;

    // IMMEDIATE: of two processes that start together one waits and then finds the work done.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    if application != APPLICATION_ID {
        sqlx::query("PRAGMA application_id = 1147499371").execute(&mut *transaction).await?;
    }
    match MIGRATIONS.run(&mut *transaction).await {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(version)) => {
            let found = format!("schema version {version}");
            let what = format!("the database {}", path.display());
            return Err(Error::invalid(what, found, "a version that this program knows: use the newer program").into());
        }
        Err(cause) => return Err(Failure::unreadable(cause)),
    }
    transaction.commit().await?;
    Ok(())
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query(sql).fetch_one(connection).await?.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::chain,
        safety::mask,
        store::{NewConversation, NewMessage, Role, StoreOptions},
    };

    #[tokio::test]
    async fn a_full_disk_refuses_the_write_and_the_next_one_works_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskhand.db");
        let store = Sqlite::open(&path, &StoreOptions::default()).await.unwrap();
        let conversation = store.start_conversation(NewConversation::default()).await.unwrap().id;
        let message =
            |text: &str| NewMessage { conversation, role: Role::Customer, text: mask(text), details: None, key: None };

        // SQLite treats its page limit as it treats a full disk: SQLITE_FULL, and the transaction is gone.
        pages_limit(&store, "PRAGMA max_page_count = 1").await;
        let mut failed = 0;
        for _ in 0..20 {
            let many = (0..8).map(|_| store.add_message(message(&"x".repeat(4000)), vec![]));
            for outcome in futures_util::future::join_all(many).await {
                if let Err(error) = outcome {
                    failed += 1;
                    let said = chain(&error);
                    assert!(matches!(error, Error::File { .. }), "{said}");
                    assert!(said.contains("deskhand.db") && said.contains("disk is full"), "{said}");
                }
            }
        }
        assert!(failed > 0);
        pages_limit(&store, "PRAGMA max_page_count = 100000").await;
        store.add_message(message("after"), vec![]).await.unwrap();
        let messages = store.messages(conversation, 0).await.unwrap();
        let numbers: Vec<_> = messages.iter().map(|message| message.seq).collect();
        assert_eq!(numbers, (1..=messages.len() as i64).collect::<Vec<_>>());
        assert_eq!(messages.len(), 8 * 20 - failed + 1, "what was refused is not there, what was acknowledged is");
    }

    async fn pages_limit(store: &Sqlite, sql: &'static str) {
        store.write("limiting", None, move |connection| Box::pin(number(connection, sql))).await.unwrap();
    }

    #[tokio::test]
    async fn a_database_of_a_newer_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deskhand.db");
        let store = Sqlite::open(&path, &StoreOptions::default()).await.unwrap();
        let grown = store.write("growing", None, |connection| {
            Box::pin(async move {
                let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                           VALUES (9999, 'later', 1, x'00', 0)";
                Ok(sqlx::query(sql).execute(connection).await?)
            })
        });
        grown.await.unwrap();
        store.close().await;
        let error = Sqlite::open(&path, &StoreOptions::default()).await.err().unwrap();
        assert!(error.to_string().contains("9999") && error.to_string().contains("newer program"), "{error}");
    }

    #[test]
    fn the_mark_in_the_file_is_the_constant() {
        assert_eq!(APPLICATION_ID, 1_147_499_371);
    }
}
