//! Keys in a PostgreSQL table.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::store::{Claim, Lease, LeaseStatus, check_lease_duration, check_retention};
use countersign::{IdempotencyKey, IdempotencyStore};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgDatabaseError, PgPoolOptions, PgRow, PgSeverity};
use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Postgres, Row, SqlSafeStr, Transaction,
};

use crate::call::{Call, Kind};
use crate::claim::{claimed, random_token};
use crate::error::SqlStoreError;
use crate::flush::{Flush, share};
use crate::purge::purge_every;
use crate::recorded::Recorded;
use crate::table::TableName;

mod batch;
mod statements;

use statements::{Statement, Statements, statements};

pub(crate) use statements::Argument;

/// A store in a PostgreSQL table (version 12 or newer), for any number of instances.
///
/// It uses the tables `countersign_keys` and `countersign_keys_versions`, which [`migrate`](PostgresStore::migrate)
/// makes. A write is committed when its call returns; in your own transaction, when you commit it. All times are the server's,
/// so the instances' clocks do not matter. Spawn [`purge_every`](PostgresStore::purge_every) once: without it, or calls of
/// [`purge`](PostgresStore::purge), the table grows without end. Clones share the pool.
///
/// **TLS.** Add sqlx to your dependencies with one of its TLS features, such as `tls-rustls-ring-native-roots`, and
/// `?sslmode=verify-full` to the URL. Without the feature, a URL without `sslmode` connects unencrypted. With it, only
/// `verify-full` checks certificate and name, and `verify-ca` the certificate. `require` and `prefer` (the default) accept any
/// certificate; `allow` and `disable` do not encrypt.
///
/// **Standbys.** A standby refuses claims (503) until it is promoted. A store that is connected to it then works
/// without a restart. A failover to a standby that is not synchronous loses the keys that it had not received.
///
/// # The pool
///
/// The store makes its own pool, because a plain pool of sqlx 0.9.0 can lose acknowledged events. If a
/// client hangs up while the handler waits for `pool.begin()`, the connection returns to the pool with
/// the transaction still open. Any statement that runs on that connection afterwards is undone when it closes
/// (launchbadge/sqlx#4385). The store's pool checks for an open transaction instead of sending a ping, and
/// closes such a connection. Use [`pool`](PostgresStore::pool) for your own tables too. If you already have a
/// pool, pass its options to [`connect_with`](PostgresStore::connect_with):
///
/// ```no_run
/// # async fn example(yours: countersign_sqlx::sqlx::PgPool) -> Result<(), countersign_sqlx::SqlStoreError> {
/// use countersign_sqlx::PostgresStore;
///
/// let connect = yours.connect_options().as_ref().clone();
/// let store = PostgresStore::connect_with(yours.options().clone(), connect).await?;
/// let pool = store.pool().clone(); // from here on, instead of `yours`
/// # Ok(()) }
/// ```
///
/// **Poolers.** PgBouncer's session mode changes nothing. In its transaction mode, sqlx's prepared
/// statements have the same names as those of other clients, unless PgBouncer keeps them apart (from 1.21 on,
/// with `max_prepared_statements`). A statement without a name may reach another session than the one that prepared it. The store notices this at the first call, and then prepares each statement in a
/// transaction, which takes more round trips. This protects only the statements of stores, of any number of tables: yours
/// need session mode or such a version. Statement mode does not work, because it allows no transactions.
///
/// **Isolation.** The database's default does not matter for the store's own calls: if the server undoes one because of
/// another transaction, the store repeats it in `READ COMMITTED`. Your own transaction has the level that you choose: if
/// it is stricter than `READ COMMITTED`, the losers of a race are [`SqlStoreError::Locked`].
///
/// # Many at once
///
/// A commit waits for the disk. If more than eight claims and completions are under way (or as many as the pool has connections, if it has fewer), those that wait share one
/// commit: a task of the Tokio runtime writes up to 128 of them in one statement, and then answers each. Fewer calls run
/// alone. If the statement fails, its calls run alone, so only the call at fault fails. The statement waits for
/// no transaction that has locked a key: the call for that key runs alone. It holds up to 128 advisory locks until it has
/// committed. The server's lock table has room for 6,400 locks by default (`max_locks_per_transaction` times
/// `max_connections`); where it is full, the calls run alone.
/// [`without_shared_flush`](PostgresStore::without_shared_flush) turns this off.
///
/// A call waits in the queue for as long as the pool's `acquire_timeout`. Then a completion runs alone, and a claim fails as it
/// would without a connection. So does a claim that finds 16,384 others waiting. The task runs on the Tokio runtime of the call that began
/// it, so a handler that blocks that runtime's thread delays the others' calls. A call that is dropped leaves the queue; if it is being
/// written, its claim stands until its lease ends, and its completion stays.
///
/// # Transactions
///
/// **In the store's transaction**, [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction)
/// commits the key together with the handler's writes: both or neither, so the effect happens once, even if the
/// process is killed at any point. [`complete_in`](PostgresStore::complete_in) does this for a handler that works for
/// long under a lease, and [`record_in`](PostgresStore::record_in) for a transaction that your own code begins.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, Webhook, provider::Quote3d};
/// use countersign_sqlx::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://localhost/shop").await?;
/// store.migrate().await?;
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?)?;
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    lock_timeout: Duration,
    pub(crate) sql: Arc<Statements>,
    /// Whether a pooler gave the names of one session's statements to another. Each call then prepares its
    /// statement anew, in a transaction, which is slower. No setting tells this in advance.
    mixes_up: Arc<AtomicBool>,
    /// Whether the table has become large. Each statement is then prepared once more: a connection that prepared it on
    /// an empty table keeps a plan that reads the whole table, until the server's autovacuum has seen it.
    is_large: Arc<AtomicBool>,
    /// The calls that share a flush, unless they do not.
    flush: Option<Arc<Flush>>,
}

tokio::task_local! {
    /// Set while a connection is acquired for [`begin_at_once`](PostgresStore::begin_at_once).
    static IS_CHECKED_LATER: ();
}

/// Makes a pool close a connection that is still in a transaction before it is used again.
///
/// If the future of a `BEGIN` is dropped before the answer, sqlx 0.9.0 leaves the transaction open
/// (launchbadge/sqlx#4385). Any statement that runs on the connection afterwards would be part of that transaction,
/// and undone with it.
fn guarded(pool: PgPoolOptions) -> PgPoolOptions {
    // It replaces the ping, and costs no more.
    pool.test_before_acquire(false).before_acquire(|connection, meta| {
        Box::pin(async move {
            if meta.idle_for < PostgresStore::STAYS_ALIVE && IS_CHECKED_LATER.try_with(|()| ()).is_ok() {
                return Ok(true);
            }
            // By the simple protocol, in which a statement on its own begins its transaction. An error,
            // as in a transaction that has failed, closes the connection as well.
            let alone = connection.fetch_one("SELECT now() = statement_timestamp()").await?;
            alone.try_get(0)
        })
    })
}

impl PostgresStore {
    /// Less than the 5 seconds that 3QPR waits for an answer.
    const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

    /// In how many pages [`purge`](PostgresStore::purge) looks for keys at a time. Others can write in between, and no
    /// snapshot is held for long.
    const PURGE_PAGES: u64 = 1_024;

    /// How many keys it deletes in one statement.
    const PURGE_BATCH: usize = 1_000;

    /// The longest time that is stored: a thousand years, in microseconds.
    const MAX_MICROS: i64 = 1_000 * 365 * 86_400 * 1_000_000;

    /// How often a call is tried if the server did not run it. The second try works in a way that avoids the reason.
    pub(crate) const TRIES: u32 = 4;

    pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    /// How long a handler's transaction may be idle before the server ends it. Without a limit, the transaction of a machine
    /// that has vanished would hold its key until TCP gives up, which takes two hours.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

    /// For how long a connection that has answered is not asked again whether it is alive.
    const STAYS_ALIVE: Duration = Duration::from_millis(500);

    /// How long a call waits for a connection: less than the 5 seconds that 3QPR waits for an answer.
    const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

    /// The options of the store's pool, which you can use for other pools too. They are sqlx's defaults with two
    /// changes: a connection that is still in a transaction is closed instead of used again (see
    /// [the pool](PostgresStore#the-pool)), and a call waits for a connection for 3 seconds instead of 30.
    #[must_use]
    pub fn pool_options() -> PgPoolOptions {
        guarded(PgPoolOptions::new().acquire_timeout(Self::ACQUIRE_TIMEOUT))
    }

    /// Connects to a database, with [`pool_options`](PostgresStore::pool_options). Call
    /// [`migrate`](PostgresStore::migrate) before you use the store, or add its SQL to your own migrations.
    ///
    /// # Errors
    /// [`SqlStoreError::Database`] if the URL is malformed, or the server does not answer.
    pub async fn connect(url: &str) -> Result<Self, SqlStoreError> {
        Self::connect_with(Self::pool_options(), url.parse()?).await
    }

    /// Connects to a database with your options. They keep their `acquire_timeout`; the one of
    /// [`pool_options`](PostgresStore::pool_options) is short. The store's own `before_acquire` and
    /// `test_before_acquire` replace yours: see [the pool](PostgresStore#the-pool).
    ///
    /// # Errors
    /// [`SqlStoreError::Database`] if the server does not answer.
    pub async fn connect_with(pool: PgPoolOptions, options: PgConnectOptions) -> Result<Self, SqlStoreError> {
        Ok(Self::on(guarded(pool).connect_with(options).await?))
    }

    /// Like [`connect_with`](PostgresStore::connect_with), but the first call opens the connection. A
    /// service that starts before its database answers 503 until then.
    #[must_use]
    pub fn connect_lazy_with(pool: PgPoolOptions, options: PgConnectOptions) -> Self {
        Self::on(guarded(pool).connect_lazy_with(options))
    }

    fn on(pool: PgPool) -> Self {
        Self {
            pool,
            lock_timeout: Self::DEFAULT_LOCK_TIMEOUT,
            sql: Arc::new(statements(&TableName::default())),
            mixes_up: Arc::default(),
            is_large: Arc::default(),
            flush: Some(Arc::default()),
        }
    }

    /// Whether the other is this store or a clone: the same pool, and the same table.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        std::ptr::eq(self.pool.options(), other.pool.options())
            && self.sql.is_migrated.as_str() == other.sql.is_migrated.as_str()
    }

    /// Sets the table's name. Do so before `migrate`, which makes the table.
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use countersign_sqlx::{PostgresStore, TableName};
    ///
    /// let store = PostgresStore::connect("postgres://localhost/shop").await?.with_table(&TableName::new("webhook_keys")?);
    /// store.migrate().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_table(mut self, table: &TableName) -> Self {
        self.sql = Arc::new(statements(table));
        self.is_large = Arc::default();
        self.flush = self.flush.map(|_| Arc::default());
        self
    }

    /// Lets every claim and completion wait for a flush of its own: see [many at once](PostgresStore#many-at-once).
    #[must_use]
    pub fn without_shared_flush(mut self) -> Self {
        self.flush = None;
        self
    }

    /// Sets how long a claim and [`migrate`](PostgresStore::migrate) wait for another transaction's lock
    /// before they fail as [`SqlStoreError::Locked`]. The default is 2 seconds. A claim waits only if the
    /// key's lease has lapsed and its holder is just completing it. (If another session locks the whole table, a call may wait
    /// longer: only a `lock_timeout` of the role or the database limits that.) If the
    /// connection or the transaction has its own `lock_timeout`, a claim keeps that one. It is also the only one
    /// for the calls under a lease. A lease begins with the wait, so its duration must be much longer.
    #[must_use]
    pub fn with_lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self.flush = self.flush.map(|_| Arc::default());
        self
    }

    /// The store's pool, for your own statements and transactions too: see
    /// [the pool](PostgresStore#the-pool).
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Makes the tables. If they exist, it changes nothing, does not wait, and needs no right to
    /// create. Several instances may call it at the same time.
    ///
    /// # Errors
    /// [`SqlStoreError::Locked`] if another transaction is in the way for longer than the lock timeout, and
    /// [`SqlStoreError::Database`].
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        let is_there = |row: PgRow| row.try_get::<bool, _>(0);
        if is_there(self.pool.fetch_one(self.sql.is_migrated.clone()).await?)? {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with(Self::BEGIN).await?;
        let timeout = "SELECT set_config('lock_timeout', $1, true)";
        sqlx::query(timeout).persistent(false).bind(self.lock_timeout()).execute(&mut *transaction).await?;
        // `IF NOT EXISTS` alone fails where two make the table at once. Any fixed number will do.
        transaction.execute("SELECT pg_advisory_xact_lock(7205759403792793601)").await?;
        if !is_there(transaction.fetch_one(self.sql.is_migrated.clone()).await?)? {
            transaction.execute(sqlx::raw_sql(self.sql.migrate.clone())).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Deletes the keys and the objects' versions whose retention has ended, and the claims that lapsed an hour ago (until
    /// then they can be completed), a thousand at a time, and returns how many. It reads the tables once, 1,024 pages
    /// (8 MB) a statement. Before PostgreSQL 14, each of these statements reads the whole table. Call it about once an hour,
    /// as [`purge_every`](PostgresStore::purge_every) does. Any number of instances may call it at the same time: each skips the
    /// keys that another is deleting.
    ///
    /// # Errors
    /// [`SqlStoreError::Database`].
    pub async fn purge(&self) -> Result<u64, SqlStoreError> {
        let mut purged = 0;
        for [search, delete] in &self.sql.purges {
            // What is written behind the end meanwhile has not expired.
            let (mut page, mut end) = (0, None);
            while end.is_none_or(|end| page < end) {
                let part = [page, page + Self::PURGE_PAGES].map(|page| format!("({page},0)"));
                let (mut size, mut keys) = (None, Vec::<String>::new());
                for row in self.ask_for_rows(None, search, &[&part[0], &part[1]]).await? {
                    match row.try_get::<Option<i64>, _>("pages")? {
                        Some(pages) => size = Some(pages.unsigned_abs()),
                        None => keys.push(row.try_get("key")?),
                    }
                }
                for keys in keys.chunks(Self::PURGE_BATCH) {
                    let row = self.ask(None, delete, &[&keys]).await?.ok_or(sqlx::Error::RowNotFound)?;
                    purged += row.try_get::<i64, _>(1)?.unsigned_abs();
                }
                end = end.or(size);
                page += Self::PURGE_PAGES;
            }
        }
        Ok(purged)
    }

    /// Calls [`purge`](PostgresStore::purge) every `interval`, without end. Spawn it once, when the service starts.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use countersign_sqlx::PostgresStore;
    ///
    /// let store = PostgresStore::connect("postgres://localhost/shop").await?;
    /// store.migrate().await?;
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

    /// Like [`claim`](IdempotencyStore::claim), in your transaction. Until it ends, every other claim sees the key as in
    /// flight, and the transaction holds an advisory lock on the key's hash. A transaction without a `lock_timeout` has
    /// the store's from then on.
    ///
    /// # Errors
    /// The errors of a claim. Roll back then.
    pub async fn claim_in(
        &self,
        connection: &mut PgConnection,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> Result<Claim, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        let lease = Lease::new(key.clone(), random_token()?);
        self.insert(Some(connection), &lease, lease_duration, false).await
    }

    /// Like [`complete`](IdempotencyStore::complete), in your transaction, in which the handler has
    /// written its effect. If the result is [`LeaseStatus::Lost`], roll back. If it is
    /// [`LeaseStatus::Applied`], commit: this commits the key and the effect together.
    ///
    /// # Errors
    /// The errors of `complete`. Roll back then.
    pub async fn complete_in(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        retention: Duration,
    ) -> Result<LeaseStatus, SqlStoreError> {
        check_retention(retention)?;
        self.complete_on(Some(connection), lease, retention).await
    }

    /// Records a key as done in your transaction, and returns whether it was new: the inbox form.
    /// There is no lease: until the first delivery's transaction ends, a second delivery sees the key as in flight,
    /// and the transaction holds an advisory lock on the key's hash. A transaction without a `lock_timeout` has the
    /// store's from then on. `record_in` sees a claim that [`claim`](IdempotencyStore::claim) made as in flight, so use
    /// one of the two forms for a key.
    ///
    /// # Errors
    /// The store's own. Roll back then.
    pub async fn record_in(
        &self,
        connection: &mut PgConnection,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Result<Recorded, SqlStoreError> {
        check_retention(retention)?;
        let record = Lease::new(key.clone(), random_token()?);
        self.insert(Some(connection), &record, retention, true).await.map(Recorded::of)
    }

    /// Begins a transaction with the store's time-outs, in one round trip, also on a connection that is still in a
    /// transaction: the pool's check would be another one. The cursor `countersign` is open until the transaction ends.
    pub(crate) async fn begin_at_once(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        // `ROLLBACK` ends whatever was open. The `BEGIN` before it avoids the server's warning where nothing was.
        let begin = AssertSqlSafe(format!(
            "BEGIN; ROLLBACK; {}; SET LOCAL lock_timeout = '{}'; SET LOCAL idle_in_transaction_session_timeout = '{}s'; \
             DECLARE countersign NO SCROLL CURSOR FOR SELECT",
            Self::BEGIN,
            self.lock_timeout(),
            Self::IDLE_TIMEOUT.as_secs()
        ));
        let begin = begin.into_sql_str();
        match IS_CHECKED_LATER.scope((), self.pool.begin_with(begin.clone())).await {
            Ok(transaction) => Ok(transaction),
            Err(error @ (sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)) => Err(error),
            // The connection is broken, or in a transaction that has failed: the check closes it.
            Err(_) => self.pool.begin_with(begin).await,
        }
    }

    /// The `retry_after` of a key that another transaction has not committed yet.
    fn until_committed(lease_duration: Duration) -> Duration {
        lease_duration.min(Duration::from_secs(1))
    }

    pub(crate) fn lock_timeout(&self) -> String {
        format!("{}ms", self.lock_timeout.as_millis().clamp(1, i32::MAX as u128))
    }

    pub(crate) fn micros(time: Duration) -> i64 {
        // Rounded up, so that a short time does not become zero.
        let micros = time.as_nanos().div_ceil(1_000);
        i64::try_from(micros).unwrap_or(i64::MAX).min(Self::MAX_MICROS)
    }

    /// Inserts a key, claimed or done, unless there is a live one.
    pub(crate) async fn insert(
        &self,
        transaction: Option<&mut PgConnection>,
        lease: &Lease,
        time: Duration,
        done: bool,
    ) -> Result<Claim, SqlStoreError> {
        let arguments: [Argument<'_>; 5] =
            [&lease.key().as_str(), &&lease.token()[..], &Self::micros(time), &self.lock_timeout(), &done];
        let row = self.ask(transaction, &self.sql.claim, &arguments).await?;
        let Some(row) = row else {
            // It may be rolled back at any time.
            return Ok(Claim::InFlight { retry_after: Self::until_committed(time) });
        };
        let left = Duration::try_from_secs_f64(row.try_get(3)?).unwrap_or_default();
        Ok(claimed(lease.clone(), row.try_get(1)?, row.try_get(2)?, left))
    }

    async fn complete_on(
        &self,
        transaction: Option<&mut PgConnection>,
        lease: &Lease,
        retention: Duration,
    ) -> Result<LeaseStatus, SqlStoreError> {
        self.write(transaction, &self.sql.complete, lease, Some(Self::micros(retention))).await
    }

    /// Runs a statement under a lease. The key and the token are its first two parameters.
    async fn write(
        &self,
        transaction: Option<&mut PgConnection>,
        statement: &Statement,
        lease: &Lease,
        micros: Option<i64>,
    ) -> Result<LeaseStatus, SqlStoreError> {
        let (key, token) = (lease.key().as_str(), &lease.token()[..]);
        let row = match &micros {
            Some(micros) => self.ask(transaction, statement, &[&key, &token, micros]).await?,
            None => self.ask(transaction, statement, &[&key, &token]).await?,
        };
        Ok(LeaseStatus::applied_if(row.is_some()))
    }

    /// Runs a statement in the caller's transaction or in its own, and returns its row.
    pub(crate) async fn ask(
        &self,
        transaction: Option<&mut PgConnection>,
        statement: &Statement,
        arguments: &[Argument<'_>],
    ) -> Result<Option<PgRow>, SqlStoreError> {
        Ok(self.ask_for_rows(transaction, statement, arguments).await?.into_iter().next())
    }

    async fn ask_for_rows(
        &self,
        transaction: Option<&mut PgConnection>,
        statement: &Statement,
        arguments: &[Argument<'_>],
    ) -> Result<Vec<PgRow>, SqlStoreError> {
        let arguments = statement.arguments(arguments)?;
        Ok(match transaction {
            Some(connection) => self.ask_once(connection, statement, arguments).await?,
            None => self.ask_alone(&mut *self.pool.acquire().await?, statement, arguments).await?,
        })
    }

    async fn ask_once(
        &self,
        connection: &mut PgConnection,
        statement: &Statement,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let is_large = self.is_large.load(Ordering::Relaxed);
        let (sql, is_persistent) = if self.mixes_up.load(Ordering::Relaxed) {
            (&statement.unnamed, false)
        } else if is_large {
            (&statement.large, true)
        } else {
            (&statement.sql, statement.is_persistent)
        };
        let query = sqlx::query_with(sql.clone(), arguments).persistent(is_persistent);
        let rows = query.fetch_all(connection).await;
        if rows.as_ref().is_err_and(is_mixed_up) {
            self.mixes_up.store(true, Ordering::Relaxed);
        }
        let rows = rows?;
        if rows.first().is_some_and(|row| row.try_get::<&str, _>(0).ok() != Some(statement.name)) {
            self.mixes_up.store(true, Ordering::Relaxed);
            return Err(sqlx::Error::Protocol(OTHER_STATEMENT.into()));
        }
        if !is_large && rows.first().is_some_and(|row| row.try_get("is_large").unwrap_or(false)) {
            self.is_large.store(true, Ordering::Relaxed);
        }
        Ok(rows)
    }

    /// Runs a statement in its own transaction, and again if the server did not run it.
    async fn ask_alone(
        &self,
        connection: &mut PgConnection,
        statement: &Statement,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut tries = 0;
        let mut was_undone = false;
        loop {
            tries += 1;
            let arguments = arguments.clone();
            let rows = if was_undone || self.mixes_up.load(Ordering::Relaxed) {
                // A transaction stays in one session, so what it prepares is there; and in this isolation
                // level, whatever the default, the server undoes none for the sake of another.
                let mut transaction = connection.begin_with(Self::BEGIN).await?;
                match self.ask_once(&mut transaction, statement, arguments).await {
                    Ok(rows) => transaction.commit().await.map(|()| rows),
                    Err(error) => {
                        let _lost = transaction.rollback().await;
                        Err(error)
                    }
                }
            } else {
                self.ask_once(connection, statement, arguments).await
            };
            match rows {
                Err(error) if tries < Self::TRIES && is_undone(&error) => was_undone = true,
                Err(error) if tries < Self::TRIES && is_mixed_up(&error) => {}
                rows => return rows,
            }
        }
    }
}

const OTHER_STATEMENT: &str = "a pooler ran another statement than the one that it was asked for";

/// The server's error, or a pooler's.
fn of_server(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    of_server(error).map(PgDatabaseError::code)
}

/// Whether the server undid the statement because of another transaction, so that it can be repeated: in a
/// transaction stricter than `READ COMMITTED` (40001), or in a deadlock (40P01).
fn is_undone(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error), Some("40001" | "40P01"))
}

/// Whether the server did not run the statement because a pooler in transaction mode mixed the names of two sessions'
/// statements: the name exists already (42P05), does not exist (26000), has other parameters (08P01), or is that of
/// another table's statement (22012: see [`Statement`]). PgBouncer ends a connection with 08P01 for other reasons, too:
/// that error is fatal.
pub(crate) fn is_mixed_up(error: &sqlx::Error) -> bool {
    let refused = of_server(error).filter(|error| error.severity() == PgSeverity::Error);
    matches!(refused.map(PgDatabaseError::code), Some("42P05" | "26000" | "08P01" | "22012"))
}

impl IdempotencyStore for PostgresStore {
    type Error = SqlStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        let lease = Lease::new(key.clone(), random_token()?);
        let kind = Kind::Claim;
        let call = || Call { kind, lease: lease.clone(), time: lease_duration };
        let (_turn, answer) = share(self.flush.as_ref(), self, kind, call).await?;
        match answer {
            Some(answer) => answer.claim(lease),
            None => self.insert(None, &lease, lease_duration, false).await,
        }
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, SqlStoreError> {
        check_retention(retention)?;
        let kind = Kind::Complete;
        let call = || Call { kind, lease: lease.clone(), time: retention };
        let (_turn, answer) = share(self.flush.as_ref(), self, kind, call).await?;
        match answer {
            Some(answer) => answer.status(),
            None => self.complete_on(None, lease, retention).await,
        }
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, SqlStoreError> {
        self.write(None, &self.sql.release, lease, None).await
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        self.write(None, &self.sql.renew, lease, Some(Self::micros(lease_duration))).await
    }

    async fn forget(&self, key: &str) -> Result<bool, SqlStoreError> {
        Ok(self.ask(None, &self.sql.forget, &[&key]).await?.is_some())
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("lock_timeout", &self.lock_timeout).finish_non_exhaustive()
    }
}
