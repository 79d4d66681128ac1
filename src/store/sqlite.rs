//! Keys in a SQLite file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqlitePool};

use crate::error::{BoxError, PolicyError};
use crate::key::IdempotencyKey;
use crate::store::{Claim, Fenced, IdempotencyStore, Lease, check_lease, check_retention};

/// A store in a SQLite file, which survives restarts and may be shared by any number of processes
/// of one machine.
///
/// It works on the table `countersign_keys`, which [`open`](SqliteStore::open) makes. Every claim
/// and every write is one statement, and durable before it is answered. Call
/// [`purge`](SqliteStore::purge) from time to time. Clones share the pool. The file must not be on
/// a network file system, whose locks SQLite cannot rely on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, SqliteStore, Webhook, provider::Quote3d};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("webhooks.db");
/// let store = SqliteStore::open(path).await?;
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    clock: Arc<dyn Fn() -> Duration + Send + Sync>,
}

/// Why a [`SqliteStore`] could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteStoreError {
    /// SQLite or its driver failed: the file is locked for too long, full, broken or absent.
    #[error("the SQLite store failed")]
    #[non_exhaustive]
    Database {
        /// The driver's error.
        source: BoxError,
    },
    /// The operating system has no random bytes to give.
    #[error("no random token for a claim")]
    #[non_exhaustive]
    Random {
        /// The operating system's error.
        source: BoxError,
    },
    /// A lease or a retention of no time.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl SqliteStoreError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } | Self::Random { .. } => "store_failed",
            Self::Policy(error) => error.code(),
        }
    }

    /// Always 503: nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }

    fn database(error: sqlx::Error) -> Self {
        Self::Database { source: error.into() }
    }
}

impl SqliteStore {
    /// How long a statement waits for another process's, before it fails.
    const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// How long a lapsed claim can still be completed, if nobody has taken it over.
    const LINGER: Duration = Duration::from_secs(3600);

    /// How many keys [`purge`](SqliteStore::purge) deletes at a time, between which others write.
    const PURGE_BATCH: i64 = 500;

    /// Opens the file, which is made where there is none, and makes the table.
    ///
    /// The file is put into WAL mode with `synchronous = FULL`, so that an acknowledged event
    /// survives a power cut, and read and written over one connection: SQLite has one writer at a
    /// time.
    ///
    /// # Errors
    /// [`SqliteStoreError::Database`], when the file cannot be opened or is no database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqliteStoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Self::BUSY_TIMEOUT);
        let pool_options = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(2 * Self::BUSY_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None);
        // SQLite does not wait where two processes switch a new file to WAL at once: so wait here.
        let mut tries = 0;
        loop {
            let opened = async {
                let store = Self::new(pool_options.clone().connect_with(options.clone()).await?);
                store.make_table().await.map(|()| store)
            };
            match opened.await {
                Err(error) if tries < 50 && is_busy(&error) => tries += 1,
                opened => return opened.map_err(SqliteStoreError::database),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A store on a pool of yours. Call [`migrate`](SqliteStore::migrate) once before using it, and
    /// set a `busy_timeout`; WAL mode is advised.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        let since_epoch = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { pool, clock: Arc::new(since_epoch) }
    }

    /// The same store with another clock, for tests: the time since the Unix epoch. All processes
    /// that share a file have to agree on the time. (A key that was claimed by a clock far ahead is
    /// in flight until then: [`forget`](IdempotencyStore::forget) it.)
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the table `countersign_keys` and its index, unless they are there.
    ///
    /// # Errors
    /// [`SqliteStoreError::Database`].
    pub async fn migrate(&self) -> Result<(), SqliteStoreError> {
        self.make_table().await.map_err(SqliteStoreError::database)
    }

    async fn make_table(&self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(include_str!("sqlite.sql")).execute(&self.pool).await.map(drop)
    }

    /// Deletes the keys whose retention has ended, a few hundred at a time, and says how many. Call
    /// it every hour or so, from as many processes as you like.
    ///
    /// # Errors
    /// [`SqliteStoreError::Database`].
    pub async fn purge(&self) -> Result<u64, SqliteStoreError> {
        let mut purged = 0;
        loop {
            let now = (self.clock)();
            let batch = sqlx::query(
                "DELETE FROM countersign_keys WHERE key IN (
                     SELECT key FROM countersign_keys
                     WHERE expires_at <= ?1 AND (done OR expires_at <= ?2)
                     ORDER BY expires_at LIMIT ?3)",
            )
            .bind(millis(now))
            .bind(millis(now.saturating_sub(Self::LINGER)))
            .bind(Self::PURGE_BATCH)
            .execute(&self.pool)
            .await
            .map_err(SqliteStoreError::database)?
            .rows_affected();
            purged += batch;
            if batch == 0 {
                return Ok(purged);
            }
        }
    }

    /// Runs a statement on one key, and says whether it changed anything.
    async fn write(&self, query: Query<'_>) -> Result<bool, SqliteStoreError> {
        let result = query.execute(&self.pool).await.map_err(SqliteStoreError::database)?;
        Ok(result.rows_affected() > 0)
    }

    /// The time, and the time after a while, in milliseconds.
    fn now_and(&self, after: Duration) -> (i64, i64) {
        let now = (self.clock)();
        // No time becomes none, and none becomes longer than it was asked to be.
        (millis(now), millis(now.saturating_add(after)).max(millis(now).saturating_add(1)))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The primary result code SQLITE_BUSY is 5; extended codes hold it in their low byte.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

impl IdempotencyStore for SqliteStore {
    type Error = SqliteStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, SqliteStoreError> {
        check_lease(lease)?;
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| SqliteStoreError::Random { source: error.into() })?;
        let (now, end) = self.now_and(lease);
        let rows: Vec<(bool, bool, i64)> = sqlx::query_as(
            "INSERT INTO countersign_keys (key, token, done, expires_at) VALUES (?1, ?2, 0, ?4)
             ON CONFLICT (key) DO UPDATE SET
                 token = iif(expires_at > ?3, token, excluded.token),
                 done = iif(expires_at > ?3, done, 0),
                 expires_at = iif(expires_at > ?3, expires_at, excluded.expires_at)
             RETURNING token = ?2, done, expires_at",
        )
        .bind(key.as_str())
        .bind(&token[..])
        .bind(now)
        .bind(end)
        // Not `fetch_one`, which stops at the row: the commit, which can fail, comes after it.
        .fetch_all(&self.pool)
        .await
        .map_err(SqliteStoreError::database)?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound);
        let &(acquired, done, expires_at) = row.map_err(SqliteStoreError::database)?;
        Ok(if acquired {
            Claim::Acquired(Lease::new(key.clone(), token))
        } else if done {
            Claim::Done
        } else {
            let left = u64::try_from(expires_at.saturating_sub(now)).unwrap_or(0);
            Claim::InFlight { retry_after: Duration::from_millis(left.max(1)) }
        })
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, SqliteStoreError> {
        check_retention(retain)?;
        let (_, end) = self.now_and(retain);
        let update = "UPDATE countersign_keys SET done = 1, expires_at = ?3 WHERE key = ?1 AND token = ?2";
        self.write(fenced(update, lease).bind(end)).await.map(Fenced::applied_if)
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, SqliteStoreError> {
        let delete = "DELETE FROM countersign_keys WHERE key = ?1 AND token = ?2 AND NOT done";
        self.write(fenced(delete, lease)).await.map(Fenced::applied_if)
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, SqliteStoreError> {
        check_lease(lease_for)?;
        let (_, end) = self.now_and(lease_for);
        let update = "UPDATE countersign_keys SET expires_at = ?3 WHERE key = ?1 AND token = ?2 AND NOT done";
        self.write(fenced(update, lease).bind(end)).await.map(Fenced::applied_if)
    }

    async fn forget(&self, key: &str) -> Result<bool, SqliteStoreError> {
        self.write(sqlx::query("DELETE FROM countersign_keys WHERE key = ?1").bind(key)).await
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A statement on the lease's key and token, which are its first two parameters.
fn fenced<'q>(sql: &'static str, lease: &'q Lease) -> Query<'q> {
    sqlx::query(sql).bind(lease.key().as_str()).bind(&lease.token()[..])
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
