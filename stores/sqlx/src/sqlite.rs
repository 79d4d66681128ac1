//! Keys in a SQLite file.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use countersign::store::{Claim, Lease, LeaseStatus, check_lease_duration, check_retention};
use countersign::{IdempotencyKey, IdempotencyStore};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Executor as _, SqlStr, Sqlite, SqliteConnection, SqliteExecutor, SqlitePool};

use crate::call::{Call, Kind};
use crate::claim::{claimed, random_token};
use crate::error::SqlStoreError;
use crate::flush::{Flush, share};
use crate::purge::purge_every;
use crate::recorded::Recorded;
use crate::table::TableName;

mod batch;
mod commit_guard;
mod group;

use commit_guard::remove_hooks;
pub(crate) use commit_guard::{CommitGuard, Hooks};
pub(crate) use group::{Alone, Failure, Group, Open, Place, Returned};

/// A store in a SQLite file, which survives restarts. Any number of processes on one machine may share the file.
///
/// It uses the tables `countersign_keys` and `countersign_keys_versions`, which [`open`](SqliteStore::open) makes. A
/// write is durable when its call returns, unless you passed your own transaction. Spawn
/// [`purge_every`](SqliteStore::purge_every) once: without it, or calls of [`purge`](SqliteStore::purge), the
/// file grows without end. Clones share the pool. Do not put the file on a network file system: SQLite
/// cannot rely on its locks.
///
/// # The pool
///
/// The store makes its own pool, because a plain pool of sqlx 0.9.0 keeps a connection whose `COMMIT` failed,
/// for example on a full disk, and no transaction can begin on it again. The store's pool closes such a connection. Use
/// [`pool`](SqliteStore::pool) for your own tables in that file too, or pass the options of your pool to
/// [`connect_with`](SqliteStore::connect_with).
///
/// # Many at once
///
/// A write waits for the disk. Claims and completions that wait at the same moment share one wait: a task of the
/// Tokio runtime writes up to 128 of them in one transaction, and then answers each. A single call does not wait for
/// others: it runs alone. If the transaction fails, its calls run alone, so only the call at fault fails.
/// [`without_shared_flush`](SqliteStore::without_shared_flush) turns this off.
///
/// A call waits in the queue for as long as the pool's `acquire_timeout`. Then a completion runs alone, and a claim fails as
/// [`SqlStoreError::Locked`]. So does a claim that finds 16,384 others waiting. The task runs on the runtime of the call that began it, so a handler
/// that blocks that runtime's thread delays the others' calls. A call that is dropped leaves the queue; if it
/// is being written, its claim stands until its lease ends, and its completion stays. The task needs a runtime that
/// keeps running: a current-thread runtime stops it between two calls of `block_on`.
///
/// Handlers that wait for [a transaction](crate::SqliteTransaction) at the same moment share a commit: the task begins one,
/// hands it to one handler after another, each in a savepoint, and commits for up to 128 of them. Each delivery is
/// acknowledged after that. A handler that fails, or whose caller hangs up, is undone alone. But what ends the
/// transaction (a full disk, `ON CONFLICT ROLLBACK`, a `COMMIT` that fails) ends it for all, and none is acknowledged; each
/// of the next 128 transactions then has one handler, so that only the event at fault fails again. A handler that takes longer
/// than 5 milliseconds commits at once, and each of the next 32 transactions has one handler. So a delivery waits for a slow
/// handler with which it shares the commit only where slow ones are rare. One that does not end holds those before it up,
/// as it holds up those behind it. A caller that hangs up after its handler has ended does not undo it.
///
/// # Transactions
///
/// **In the store's transaction**, [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction)
/// commits the key together with the handler's writes: both or neither, so the effect happens once, even if the
/// process is killed at any point. [`complete_in`](SqliteStore::complete_in) does this for a handler that works for
/// long under a lease, and [`record_in`](SqliteStore::record_in) for a transaction that your own code begins. Begin such
/// a transaction with `BEGIN IMMEDIATE`: one that reads first and writes later fails at once if another has written
/// meanwhile.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, Webhook, provider::Quote3d};
/// use countersign_sqlx::SqliteStore;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("webhooks.db");
/// let store = SqliteStore::open(path).await?;
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?)?;
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    clock: Arc<dyn Fn() -> Duration + Send + Sync>,
    pub(crate) sql: Arc<Statements>,
    /// What the pool's connection has, if the store made the pool.
    pub(crate) hooks: Option<Hooks>,
    /// The calls that share a flush, unless they do not.
    flush: Option<Arc<Flush>>,
    /// The handlers that share a commit, unless they do not.
    pub(crate) group: Option<Arc<Group>>,
}

/// The store's statements, for its table.
pub(crate) struct Statements {
    migrate: SqlStr,
    live: SqlStr,
    claim: SqlStr,
    /// Reads a live key, or inserts the key: then it is new. Either returns one row.
    pub(crate) record: SqlStr,
    /// The same in a savepoint, and after the release of one.
    pub(crate) record_in_savepoint: [SqlStr; 2],
    pub(crate) undo_savepoint: SqlStr,
    complete: SqlStr,
    release: SqlStr,
    renew: SqlStr,
    forget: SqlStr,
    purges: [Purge; 2],
    pub(crate) advance: SqlStr,
    pub(crate) newest: SqlStr,
    batches: [batch::Statements; 3],
}

/// How what has expired is deleted from a table: a part of its rows at a time, in the order of their keys.
struct Purge {
    /// The last key of the next part, whether any of its rows has expired, and how many rows it has.
    next: SqlStr,
    delete: SqlStr,
}

/// Makes a pool close a connection that is still in a transaction when it returns.
///
/// If a `COMMIT` fails, for example on a full disk, SQLite may have rolled back, but sqlx 0.9.0 counts the transaction as
/// open. If a nested `begin` is dropped or fails, sqlx rolls back the whole transaction, and a savepoint then begins another.
/// No other transaction can begin on such a connection.
///
/// By then, no statement of an abandoned handler is waiting, so the commit guard ends: see [`CommitGuard`].
fn guarded(pool: SqlitePoolOptions, hooks: Option<Hooks>) -> SqlitePoolOptions {
    // A file needs no ping before it is used again.
    pool.test_before_acquire(false).after_release(move |connection, _| {
        let hooks = hooks.clone();
        Box::pin(async move {
            // It runs after the rollback of a transaction that was dropped, fails in a transaction that sqlx does not know
            // of, and locks nothing.
            let is_outside = connection.execute("BEGIN; ROLLBACK").await.is_ok();
            match hooks {
                Some(hooks) => hooks.free(),
                None => remove_hooks(connection).await?,
            }
            Ok(is_outside && !connection.is_in_transaction())
        })
    })
}

/// Makes the statements for this table.
fn statements(table: &TableName) -> Statements {
    let sql = |text: &str| table.in_sql(text);
    let savepoint = "SAVEPOINT countersign_delivery";
    // `AS k`, because a table may have the name `excluded`.
    let record = r#"SELECT token = ?2, done, expires_at FROM "countersign_keys" WHERE key = ?1 AND expires_at > ?3;
             INSERT INTO "countersign_keys" AS k (key, token, done, expires_at) VALUES (?1, ?2, 1, ?4)
             ON CONFLICT (key) DO UPDATE SET
                 token = excluded.token, done = excluded.done, expires_at = excluded.expires_at
             WHERE k.expires_at <= ?3
             RETURNING token = ?2, done, expires_at"#;
    Statements {
        record: sql(record),
        record_in_savepoint: ["", "RELEASE countersign_delivery;"]
            .map(|release| sql(&format!("{release} {savepoint}; {record}"))),
        undo_savepoint: sql("ROLLBACK TO countersign_delivery"),
        migrate: sql(include_str!("sqlite.sql")),
        live: sql(
            r#"SELECT token = ?2, done, expires_at FROM "countersign_keys" WHERE key = ?1 AND expires_at > ?3"#,
        ),
        claim: sql(
            r#"INSERT INTO "countersign_keys" AS k (key, token, done, expires_at) VALUES (?1, ?2, ?5, ?4)
             ON CONFLICT (key) DO UPDATE SET
                 token = iif(k.expires_at > ?3, k.token, excluded.token),
                 done = iif(k.expires_at > ?3, k.done, excluded.done),
                 expires_at = iif(k.expires_at > ?3, k.expires_at, excluded.expires_at)
             RETURNING token = ?2, done, expires_at"#,
        ),
        complete: sql(
            r#"UPDATE "countersign_keys" SET done = 1, expires_at = ?3 WHERE key = ?1 AND token = ?2"#,
        ),
        release: sql(r#"DELETE FROM "countersign_keys" WHERE key = ?1 AND token = ?2 AND NOT done"#),
        renew: sql(
            r#"UPDATE "countersign_keys" SET expires_at = ?3 WHERE key = ?1 AND token = ?2 AND NOT done"#,
        ),
        forget: sql(r#"DELETE FROM "countersign_keys" WHERE key = ?1"#),
        purges: [
            ("countersign_keys", "key", "iif(done, ?1, ?2)"),
            ("countersign_keys_versions", "object", "?1"),
        ]
        .map(|(name, key, end)| Purge {
            next: sql(&format!(
                r#"SELECT max({key}), total(expires_at <= {end}) > 0, count(*) FROM (
                         SELECT * FROM "{name}" WHERE {key} > ?3 ORDER BY {key} LIMIT ?4)"#
            )),
            delete: sql(&format!(
                r#"DELETE FROM "{name}" WHERE {key} > ?3 AND {key} <= ?4 AND expires_at <= {end}"#
            )),
        }),
        advance: sql(
            r#"INSERT INTO "countersign_keys_versions" AS v (object, version, expires_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (object) DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at
             WHERE v.version < excluded.version"#,
        ),
        newest: sql(r#"SELECT version FROM "countersign_keys_versions" WHERE object = ?1"#),
        batches: batch::SIZES.map(|size| batch::statements(table, size)),
    }
}

impl SqliteStore {
    /// How long a statement waits for one of another process, before it is [`SqlStoreError::Locked`].
    const BUSY_TIMEOUT: Duration = Duration::from_millis(2_500);

    /// How long a call waits for the connection, before it is [`SqlStoreError::Locked`]. The sum of both is less
    /// than the 5 seconds that 3QPR waits for an answer.
    const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

    /// How long a lapsed claim can still be completed, if no other claim has taken over.
    const LINGER: Duration = Duration::from_secs(3600);

    /// How many rows a statement of [`purge`](SqliteStore::purge) reads. Others can write in between.
    const PURGE_PART: i64 = 1_000;

    /// Opens the file and makes the tables. If the file does not exist, it is created.
    ///
    /// The file is in WAL mode with `synchronous = FULL`, so that an acknowledged event survives a power cut. The store
    /// uses a single connection, because SQLite has one writer at a time. A call waits up to 2 seconds for this process's
    /// other statements, and then up to 2.5 seconds for another process, before it is [`SqlStoreError::Locked`]. (A completion
    /// that waited in vain for a shared flush waits for the connection once more.) A claim
    /// of a key that is done or in flight only reads, and does not wait for another process. A lease begins with the wait
    /// for another process, so its duration must be much longer.
    ///
    /// # Errors
    /// [`SqlStoreError::NotAFile`] if the path is empty, `:memory:` or a URI (`file:…`), which SQLite may take for
    /// a database without a file. (Write `./:memory:` for a file with such a name.) [`SqlStoreError::Locked`] if another
    /// program writes a new file for longer than 2 seconds. [`SqlStoreError::Database`] if the file cannot be opened or is
    /// not a database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SqlStoreError> {
        let path = path.as_ref();
        let name = path.as_os_str().as_encoded_bytes();
        if matches!(name, b"" | b":memory:") || name.starts_with(b"file:") {
            return Err(SqlStoreError::NotAFile);
        }
        Self::connect(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await
    }

    /// Makes a store in the memory of this process, for tests. The store and its clones share one database, which ends
    /// with the last of them, or if the pool closes its connection because a statement ended the transaction around it. No
    /// other store shares it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign_sqlx::SqliteStore;
    ///
    /// let store = SqliteStore::in_memory().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SqlStoreError::Database`] if SQLite cannot make the database.
    pub async fn in_memory() -> Result<Self, SqlStoreError> {
        Self::connect(SqliteConnectOptions::new().filename(":memory:")).await
    }

    async fn connect(options: SqliteConnectOptions) -> Result<Self, SqlStoreError> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Self::BUSY_TIMEOUT);
        // Wait here, because SQLite does not wait if two processes switch a new file to WAL at the same time.
        let start = Instant::now();
        loop {
            match Self::on_one_connection(options.clone()).await {
                Err(SqlStoreError::Locked { .. }) if start.elapsed() < Self::ACQUIRE_TIMEOUT => {}
                opened => return opened,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn on_one_connection(options: SqliteConnectOptions) -> Result<Self, SqlStoreError> {
        let hooks = Hooks::default();
        let new = hooks.clone();
        let pool = guarded(SqlitePoolOptions::new(), Some(hooks.clone()))
            .max_connections(1)
            .after_connect(move |connection, _| {
                let hooks = new.clone();
                Box::pin(async move { hooks.set(connection).await })
            })
            .acquire_timeout(Self::ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None);
        let mut store = Self::new(pool.connect_with(options).await.map_err(in_the_way)?);
        store.hooks = Some(hooks);
        store.migrate().await?;
        Ok(store)
    }

    /// Opens a file with your options. Call [`migrate`](SqliteStore::migrate) once before you use the
    /// store, or add its SQL to your own migrations. Set a `busy_timeout`, and use WAL mode if you can. Set
    /// `synchronous = FULL` if the store must survive a power cut. The store removes a connection's commit and rollback
    /// hooks whenever it returns to the pool, and a [`SqliteTransaction`](crate::SqliteTransaction) sets its own: set none
    /// of yours. The store's own `after_release` and `test_before_acquire` replace the pool's:
    /// see [the pool](SqliteStore#the-pool).
    ///
    /// # Errors
    /// [`SqlStoreError::Locked`] if another program writes the file for longer than your options wait, and
    /// [`SqlStoreError::Database`] if it cannot be opened or is not a database.
    pub async fn connect_with(
        pool: SqlitePoolOptions,
        options: SqliteConnectOptions,
    ) -> Result<Self, SqlStoreError> {
        Ok(Self::new(guarded(pool, None).connect_with(options).await.map_err(in_the_way)?))
    }

    fn new(pool: SqlitePool) -> Self {
        let since_epoch = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            pool,
            clock: Arc::new(since_epoch),
            sql: Arc::new(statements(&TableName::default())),
            hooks: None,
            flush: Some(Arc::default()),
            group: Some(Arc::default()),
        }
    }

    /// Whether the other is this store or a clone: the same pool, and the same table.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        std::ptr::eq(self.pool.options(), other.pool.options())
            && self.sql.live.as_str() == other.sql.live.as_str()
    }

    /// Sets the table's name. Do so before `migrate`, which makes the table.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign_sqlx::{SqliteStore, TableName};
    ///
    /// let store = SqliteStore::in_memory().await?.with_table(&TableName::new("webhook_keys")?);
    /// store.migrate().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_table(mut self, table: &TableName) -> Self {
        self.sql = Arc::new(statements(table));
        self.flush = self.flush.map(|_| Arc::default());
        self.group = self.group.map(|_| Arc::default());
        self
    }

    /// Lets every claim and completion, and every handler's transaction, wait for a flush of its own: see [many at once](SqliteStore#many-at-once).
    #[must_use]
    pub fn without_shared_flush(mut self) -> Self {
        self.flush = None;
        self.group = None;
        self
    }

    /// Sets the clock, for tests: the time since the Unix epoch. Without it, this is the machine's. All processes that share
    /// a file must agree on the time. A key that was claimed with a clock far ahead is in flight until that time:
    /// [`forget`](IdempotencyStore::forget) it. A done key that was written with a clock far behind, or that a
    /// [`purge`](SqliteStore::purge) with a clock far ahead deletes, is forgotten too early, and a later delivery is handled
    /// again: start the service after the machine has set its clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self.flush = self.flush.map(|_| Arc::default());
        self.group = self.group.map(|_| Arc::default());
        self
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Makes the tables, unless they exist.
    ///
    /// # Errors
    /// The store's own.
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        sqlx::raw_sql(self.sql.migrate.clone()).execute(&self.pool).await?;
        Ok(())
    }

    /// Deletes the keys and the objects' versions whose retention has ended, and the claims that lapsed an hour ago (until
    /// then they can be completed), and returns how many. It reads the whole table, a thousand keys at a time. Call
    /// it about once an hour, as [`purge_every`](SqliteStore::purge_every) does. Any number of processes may call it.
    ///
    /// # Errors
    /// The store's own.
    pub async fn purge(&self) -> Result<u64, SqlStoreError> {
        let mut purged = 0;
        let now = (self.clock)();
        let (now, an_hour_ago) = (millis(now), millis(now.saturating_sub(Self::LINGER)));
        for purge in &self.sql.purges {
            let mut after = String::new();
            loop {
                let next = sqlx::query_as(purge.next.clone()).bind(now).bind(an_hour_ago);
                let next = next.bind(&after).bind(Self::PURGE_PART).fetch_one(&self.pool).await;
                let (last, has_expired, rows): (Option<String>, bool, i64) = next.map_err(in_the_way)?;
                let Some(last) = last else { break };
                if has_expired {
                    let delete = sqlx::query(purge.delete.clone()).bind(now).bind(an_hour_ago);
                    let deleted = delete.bind(&after).bind(&last).execute(&self.pool).await;
                    purged += deleted.map_err(in_the_way)?.rows_affected();
                }
                // Otherwise keys that come in ascending order meanwhile would keep it from ending.
                if rows < Self::PURGE_PART {
                    break;
                }
                after = last;
            }
        }
        Ok(purged)
    }

    /// Calls [`purge`](SqliteStore::purge) every `interval`, without end. Spawn it once, when the service starts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use countersign_sqlx::SqliteStore;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("webhooks.db");
    /// let store = SqliteStore::open(path).await?;
    /// let hour = Duration::from_secs(3600);
    /// tokio::spawn(store.clone().purge_every(hour, |error| eprintln!("not purged: {error}")));
    /// # Ok(()) }
    /// ```
    ///
    /// The first purge comes after a random part of the interval's first minute, so that instances which start
    /// together do not purge at the same moment. An interval shorter than a second counts as a second. A purge that
    /// fails is passed to `on_error`, and the next one comes after the interval as usual.
    pub async fn purge_every(self, interval: Duration, on_error: impl FnMut(SqlStoreError)) -> Infallible {
        purge_every(interval, || self.purge(), on_error).await
    }

    /// Like [`claim`](IdempotencyStore::claim), in your transaction. It locks the file until the
    /// transaction ends.
    ///
    /// # Errors
    /// The errors of a claim. Roll back then.
    pub async fn claim_in(
        &self,
        connection: &mut SqliteConnection,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> Result<Claim, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        self.insert(connection, &Lease::new(key.clone(), random_token()?), lease_duration, false).await
    }

    /// Like [`complete`](IdempotencyStore::complete), in your transaction, in which the handler has
    /// written its effect. If the result is [`LeaseStatus::Lost`], roll back. If it is
    /// [`LeaseStatus::Applied`], commit: this commits the key and the effect together.
    ///
    /// # Errors
    /// The errors of `complete`. Roll back then.
    pub async fn complete_in(
        &self,
        connection: &mut SqliteConnection,
        lease: &Lease,
        retention: Duration,
    ) -> Result<LeaseStatus, SqlStoreError> {
        check_retention(retention)?;
        self.complete_on(connection, lease, retention).await
    }

    /// Records a key as done in your transaction, and returns whether it was new: the inbox form.
    /// There is no lease. A second delivery waits for the first one's transaction. `record_in` sees a claim that
    /// [`claim`](IdempotencyStore::claim) made as in flight, so use one of the two forms for a key.
    ///
    /// # Errors
    /// The store's own. Roll back then.
    pub async fn record_in(
        &self,
        connection: &mut SqliteConnection,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Result<Recorded, SqlStoreError> {
        check_retention(retention)?;
        let record = Lease::new(key.clone(), random_token()?);
        self.insert(connection, &record, retention, true).await.map(Recorded::of)
    }

    /// Acquires the pool's connection.
    async fn connection(&self) -> Result<PoolConnection<Sqlite>, SqlStoreError> {
        self.pool.acquire().await.map_err(in_the_way)
    }

    /// Claims in a statement of its own.
    async fn claim_alone(&self, lease: &Lease, lease_duration: Duration) -> Result<Claim, SqlStoreError> {
        let mut connection = self.connection().await?;
        match self.live(&mut connection, lease).await? {
            Some(claim) => Ok(claim),
            None => self.insert(&mut connection, lease, lease_duration, false).await,
        }
    }

    /// Reads a live key, which writes nothing and does not wait for a writer.
    pub(crate) async fn live(
        &self,
        connection: &mut SqliteConnection,
        lease: &Lease,
    ) -> Result<Option<Claim>, SqlStoreError> {
        let live = sqlx::query_as(self.sql.live.clone())
            .bind(lease.key().as_str())
            .bind(&lease.token()[..])
            .bind(millis((self.clock)()));
        let live: Option<Row> = live.fetch_optional(connection).await?;
        Ok(live.map(|row| self.claimed(lease, row)))
    }

    /// Inserts a key, claimed or done, unless there is a live one.
    pub(crate) async fn insert(
        &self,
        executor: &mut SqliteConnection,
        lease: &Lease,
        time: Duration,
        done: bool,
    ) -> Result<Claim, SqlStoreError> {
        let (now, end) = self.now_and(time);
        let rows: Vec<Row> = sqlx::query_as(self.sql.claim.clone())
            .bind(lease.key().as_str())
            .bind(&lease.token()[..])
            .bind(now)
            .bind(end)
            .bind(done)
            // Not `fetch_one`, which stops at the row: the commit, which can fail, comes after it.
            .fetch_all(executor)
            .await?;
        let &row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(self.claimed(lease, row))
    }

    pub(crate) fn claimed(&self, lease: &Lease, (is_ours, done, expires_at): Row) -> Claim {
        claimed(lease.clone(), is_ours, done, self.left_until(expires_at))
    }

    /// How long a lease still lasts, by the clock after any wait: it may have begun during the wait.
    fn left_until(&self, expires_at: i64) -> Duration {
        let left = expires_at.saturating_sub(millis((self.clock)()));
        Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    async fn complete_on(
        &self,
        executor: impl SqliteExecutor<'_>,
        lease: &Lease,
        retention: Duration,
    ) -> Result<LeaseStatus, SqlStoreError> {
        let (_, end) = self.now_and(retention);
        write(executor, of_lease(&self.sql.complete, lease).bind(end)).await.map(LeaseStatus::applied_if)
    }

    /// Returns the time, and the time after `after`, in milliseconds.
    pub(crate) fn now_and(&self, after: Duration) -> (i64, i64) {
        let now = (self.clock)();
        // A short time does not become zero, and no time becomes longer than requested.
        (millis(now), millis(now.saturating_add(after)).max(millis(now).saturating_add(1)))
    }
}

/// Whether the token is the call's own, whether the key is done, and when that ends.
pub(crate) type Row = (bool, bool, i64);

/// The error of a call that got no connection, or none that could begin. A wait for the connection is a wait for
/// another transaction.
pub(crate) fn in_the_way(error: sqlx::Error) -> SqlStoreError {
    match error {
        sqlx::Error::PoolTimedOut => SqlStoreError::Locked { source: error.into() },
        error => error.into(),
    }
}

pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A statement on the lease's key and token, which are its first two parameters.
fn of_lease<'q>(sql: &SqlStr, lease: &'q Lease) -> Query<'q> {
    sqlx::query(sql.clone()).bind(lease.key().as_str()).bind(&lease.token()[..])
}

/// Runs a statement on one key, and returns whether it changed a row.
async fn write(executor: impl SqliteExecutor<'_>, query: Query<'_>) -> Result<bool, SqlStoreError> {
    Ok(query.execute(executor).await?.rows_affected() > 0)
}

impl IdempotencyStore for SqliteStore {
    type Error = SqlStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        let lease = Lease::new(key.clone(), random_token()?);
        let kind = Kind::Claim;
        let call = || Call { kind, lease: lease.clone(), time: lease_duration };
        let (_turn, answer) = share(self.flush.as_ref(), self, kind, call).await.map_err(in_the_way)?;
        match answer {
            Some(answer) => answer.claim(lease),
            None => self.claim_alone(&lease, lease_duration).await,
        }
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, SqlStoreError> {
        check_retention(retention)?;
        let kind = Kind::Complete;
        let call = || Call { kind, lease: lease.clone(), time: retention };
        let (_turn, answer) = share(self.flush.as_ref(), self, kind, call).await.map_err(in_the_way)?;
        match answer {
            Some(answer) => answer.status(),
            None => self.complete_on(&mut *self.connection().await?, lease, retention).await,
        }
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, SqlStoreError> {
        write(&mut *self.connection().await?, of_lease(&self.sql.release, lease))
            .await
            .map(LeaseStatus::applied_if)
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        let mut connection = self.connection().await?;
        let (_, end) = self.now_and(lease_duration);
        write(&mut *connection, of_lease(&self.sql.renew, lease).bind(end)).await.map(LeaseStatus::applied_if)
    }

    async fn forget(&self, key: &str) -> Result<bool, SqlStoreError> {
        write(&mut *self.connection().await?, sqlx::query(self.sql.forget.clone()).bind(key)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
