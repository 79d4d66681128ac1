//! Keys in a SQLite file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection, SqliteExecutor, SqlitePool};

use crate::error::{BoxError, PolicyError};
use crate::key::IdempotencyKey;
use crate::store::{
    Claim, Fenced, IdempotencyStore, Lease, Recorded, TableName, check_lease, check_retention, random_token,
};

/// A store in a SQLite file, which survives restarts and may be shared by any number of processes
/// of one machine.
///
/// It works on the table `countersign_keys`, which [`open`](SqliteStore::open) makes. Every claim
/// and every write is one statement, and durable before it is answered. Call
/// [`purge`](SqliteStore::purge) from time to time. Clones share the pool. The file must not be on
/// a network file system, whose locks SQLite cannot rely on.
///
/// **In your own transaction**, [`complete_in`](SqliteStore::complete_in) makes the key done together
/// with what the handler wrote: both are there or neither, so that the effect happens once whatever
/// is killed when. [`record_in`](SqliteStore::record_in) is the shorter form for a handler that only
/// enqueues. Begin such a transaction with `BEGIN IMMEDIATE`: one that reads first and writes later
/// fails at once when another has written meanwhile.
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
    sql: Arc<Sql>,
}

/// Why a [`SqliteStore`] could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteStoreError {
    /// Another connection has been writing for longer than the busy timeout.
    #[error("another connection has the SQLite file locked for too long")]
    #[non_exhaustive]
    Locked {
        /// The driver's error.
        source: BoxError,
    },
    /// SQLite or its driver failed: the file is full, broken or absent, or lacks the table.
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
            Self::Locked { .. } => "store_locked",
            Self::Database { .. } | Self::Random { .. } => "store_failed",
            Self::Policy(error) => error.code(),
        }
    }

    /// Always 503: nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }
}

impl From<sqlx::Error> for SqliteStoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_busy(&error) {
            Self::Locked { source: error.into() }
        } else {
            Self::Database { source: error.into() }
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    // The primary result code SQLITE_BUSY is 5; extended codes hold it in their low byte.
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// The statements, for the store's table.
struct Sql {
    migrate: Arc<str>,
    claim: Arc<str>,
    complete: Arc<str>,
    release: Arc<str>,
    renew: Arc<str>,
    forget: Arc<str>,
    purge: Arc<str>,
}

impl Sql {
    fn new(table: &TableName) -> Self {
        let sql = |text| Arc::from(table.in_sql(text));
        Self {
            migrate: sql(include_str!("sqlite.sql")),
            claim: sql("INSERT INTO countersign_keys (key, token, done, expires_at) VALUES (?1, ?2, ?5, ?4)
                 ON CONFLICT (key) DO UPDATE SET
                     token = iif(expires_at > ?3, token, excluded.token),
                     done = iif(expires_at > ?3, done, excluded.done),
                     expires_at = iif(expires_at > ?3, expires_at, excluded.expires_at)
                 RETURNING token = ?2, done, expires_at"),
            complete: sql(
                "UPDATE countersign_keys SET done = 1, expires_at = ?3 WHERE key = ?1 AND token = ?2",
            ),
            release: sql("DELETE FROM countersign_keys WHERE key = ?1 AND token = ?2 AND NOT done"),
            renew: sql(
                "UPDATE countersign_keys SET expires_at = ?3 WHERE key = ?1 AND token = ?2 AND NOT done",
            ),
            forget: sql("DELETE FROM countersign_keys WHERE key = ?1"),
            purge: sql("DELETE FROM countersign_keys WHERE key IN (
                     SELECT key FROM countersign_keys
                     WHERE expires_at <= ?1 AND (done OR expires_at <= ?2)
                     ORDER BY expires_at LIMIT ?3)"),
        }
    }
}

/// One of the statements. The only part that is not this file's own is the table's name, which was checked.
fn safe(sql: &Arc<str>) -> AssertSqlSafe<Arc<str>> {
    AssertSqlSafe(Arc::clone(sql))
}

impl SqliteStore {
    /// How long a statement waits for another process's, before it is [`SqliteStoreError::Locked`].
    const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// How long a lapsed claim can still be completed, if nobody has taken it over.
    const LINGER: Duration = Duration::from_secs(3600);

    /// How many keys [`purge`](SqliteStore::purge) deletes at a time, between which others write.
    const PURGE_BATCH: i64 = 500;

    /// Opens the file, which is made where there is none, and makes the table.
    ///
    /// The file is put into WAL mode with `synchronous = FULL`, so that an acknowledged event
    /// survives a power cut, and read and written over one connection: SQLite has one writer at a
    /// time. A statement waits 5 seconds for another process's.
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
                store.migrate().await.map(|()| store)
            };
            match opened.await {
                Err(SqliteStoreError::Locked { .. }) if tries < 50 => tries += 1,
                opened => return opened,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A store on a pool of yours. Call [`migrate`](SqliteStore::migrate) once before using it, or
    /// put its SQL into a migration of yours, and set a `busy_timeout`; WAL mode is advised.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        let since_epoch = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { pool, clock: Arc::new(since_epoch), sql: Arc::new(Sql::new(&TableName::default())) }
    }

    /// The same store on another table.
    #[must_use]
    pub fn with_table(mut self, table: &TableName) -> Self {
        self.sql = Arc::new(Sql::new(table));
        self
    }

    /// The same store with another clock, for tests: the time since the Unix epoch. All processes
    /// that share a file have to agree on the time. (A key that was claimed by a clock far ahead is
    /// in flight until then: [`forget`](IdempotencyStore::forget) it.)
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Makes the table and its index, unless they are there.
    ///
    /// # Errors
    /// The store's own.
    pub async fn migrate(&self) -> Result<(), SqliteStoreError> {
        sqlx::raw_sql(safe(&self.sql.migrate)).execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes the keys whose retention has ended, and the claims that lapsed an hour ago (until then
    /// they can be completed), a few hundred at a time, and says how many. Call
    /// it every hour or so, from as many processes as you like.
    ///
    /// # Errors
    /// The store's own.
    pub async fn purge(&self) -> Result<u64, SqliteStoreError> {
        let mut purged = 0;
        loop {
            let now = (self.clock)();
            let batch = sqlx::query(safe(&self.sql.purge))
                .bind(millis(now))
                .bind(millis(now.saturating_sub(Self::LINGER)))
                .bind(Self::PURGE_BATCH);
            let batch = batch.execute(&self.pool).await?.rows_affected();
            purged += batch;
            if batch < Self::PURGE_BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// [`claim`](IdempotencyStore::claim) in a transaction of yours. It locks the file until the
    /// transaction ends.
    ///
    /// # Errors
    /// As for a claim; roll back then.
    pub async fn claim_in(
        &self,
        connection: &mut SqliteConnection,
        key: &IdempotencyKey,
        lease: Duration,
    ) -> Result<Claim, SqliteStoreError> {
        self.claim_on(connection, key, lease).await
    }

    /// [`complete`](IdempotencyStore::complete) in a transaction of yours, in which the handler has
    /// written its effect: if it is [`Fenced::Lost`], roll back; if it is applied, commit, and key
    /// and effect are there together.
    ///
    /// # Errors
    /// As for `complete`; roll back then.
    pub async fn complete_in(
        &self,
        connection: &mut SqliteConnection,
        lease: &Lease,
        retain: Duration,
    ) -> Result<Fenced, SqliteStoreError> {
        self.complete_on(connection, lease, retain).await
    }

    /// Records a key as done in a transaction of yours, and says whether it was new: the inbox form.
    /// There is no lease; a second delivery waits for the first one's transaction.
    ///
    /// # Errors
    /// The store's own; roll back then.
    pub async fn record_in(
        &self,
        connection: &mut SqliteConnection,
        key: &IdempotencyKey,
        retain: Duration,
    ) -> Result<Recorded, SqliteStoreError> {
        check_retention(retain)?;
        Ok(match self.insert(connection, key, retain, true).await? {
            Claim::Acquired(_) => Recorded::New,
            Claim::Done => Recorded::Done,
            Claim::InFlight { retry_after } => Recorded::InFlight { retry_after },
        })
    }

    async fn claim_on(
        &self,
        executor: impl SqliteExecutor<'_>,
        key: &IdempotencyKey,
        lease: Duration,
    ) -> Result<Claim, SqliteStoreError> {
        check_lease(lease)?;
        self.insert(executor, key, lease, false).await
    }

    /// Inserts a key, claimed or done, unless a live one is there.
    async fn insert(
        &self,
        executor: impl SqliteExecutor<'_>,
        key: &IdempotencyKey,
        time: Duration,
        done: bool,
    ) -> Result<Claim, SqliteStoreError> {
        let token = random_token().map_err(|source| SqliteStoreError::Random { source })?;
        let (now, end) = self.now_and(time);
        let rows: Vec<(bool, bool, i64)> = sqlx::query_as(safe(&self.sql.claim))
            .bind(key.as_str())
            .bind(&token[..])
            .bind(now)
            .bind(end)
            .bind(done)
            // Not `fetch_one`, which stops at the row: the commit, which can fail, comes after it.
            .fetch_all(executor)
            .await?;
        let &(inserted, done, expires_at) = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(if inserted {
            Claim::Acquired(Lease::new(key.clone(), token))
        } else if done {
            Claim::Done
        } else {
            // By the clock after the wait for the lock, in which the other may have begun its lease.
            let left = expires_at.saturating_sub(millis((self.clock)()));
            let left = u64::try_from(left).unwrap_or(0);
            Claim::InFlight { retry_after: Duration::from_millis(left.max(1)) }
        })
    }

    async fn complete_on(
        &self,
        executor: impl SqliteExecutor<'_>,
        lease: &Lease,
        retain: Duration,
    ) -> Result<Fenced, SqliteStoreError> {
        check_retention(retain)?;
        let (_, end) = self.now_and(retain);
        write(executor, fenced(&self.sql.complete, lease).bind(end)).await.map(Fenced::applied_if)
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

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A statement on the lease's key and token, which are its first two parameters.
fn fenced<'q>(sql: &Arc<str>, lease: &'q Lease) -> Query<'q> {
    sqlx::query(safe(sql)).bind(lease.key().as_str()).bind(&lease.token()[..])
}

/// Runs a statement on one key, and says whether it changed anything.
async fn write(executor: impl SqliteExecutor<'_>, query: Query<'_>) -> Result<bool, SqliteStoreError> {
    Ok(query.execute(executor).await?.rows_affected() > 0)
}

impl IdempotencyStore for SqliteStore {
    type Error = SqliteStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, SqliteStoreError> {
        self.claim_on(&self.pool, key, lease).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, SqliteStoreError> {
        self.complete_on(&self.pool, lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, SqliteStoreError> {
        write(&self.pool, fenced(&self.sql.release, lease)).await.map(Fenced::applied_if)
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, SqliteStoreError> {
        check_lease(lease_for)?;
        let (_, end) = self.now_and(lease_for);
        write(&self.pool, fenced(&self.sql.renew, lease).bind(end)).await.map(Fenced::applied_if)
    }

    async fn forget(&self, key: &str) -> Result<bool, SqliteStoreError> {
        write(&self.pool, sqlx::query(safe(&self.sql.forget)).bind(key)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
