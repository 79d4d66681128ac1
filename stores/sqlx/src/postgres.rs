//! Keys in a PostgreSQL table.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use countersign::store::{Claim, Lease, LeaseStatus, check_lease_duration, check_retention};
use countersign::{IdempotencyKey, IdempotencyStore};
use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, SqlStr};

use crate::error::SqlStoreError;
use crate::statements::{Pauses, Recorded, Statements, claimed, random_token};
use crate::table::TableName;

/// A store in a PostgreSQL table (version 12 or newer), for any number of instances.
///
/// It uses your pool and the table `countersign_keys`, which [`migrate`](PostgresStore::migrate) makes. Every call is
/// one statement. All times are the server's, so the instances' clocks do not matter. Spawn
/// [`purge_every`](PostgresStore::purge_every) once: without it, or calls of [`purge`](PostgresStore::purge),
/// the table grows without end. Clones share the pool.
///
/// The pool's transactions must be `READ COMMITTED`, which is the default. In stricter ones, the losers of a race
/// are [`SqlStoreError::Locked`] instead of in flight.
///
/// Set the pool's `acquire_timeout` to less than the provider waits for an answer (sqlx's default is 30 seconds), so
/// that deliveries are answered 503 in time while the database is away. For TLS, add sqlx to your dependencies with
/// one of its TLS features.
///
/// **In your own transaction**, [`complete_in`](PostgresStore::complete_in) marks the key done
/// together with the handler's writes: both are committed or neither, so the effect happens once, even if the
/// process is killed at any point. [`record_in`](PostgresStore::record_in) is the shorter form for a
/// handler that only enqueues.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::{Receiver, Secret, Webhook, provider::Quote3d};
/// use countersign_sqlx::{PostgresStore, sqlx::PgPool};
///
/// let store = PostgresStore::new(PgPool::connect("postgres://localhost/shop").await?);
/// store.migrate().await?;
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    lock_timeout: Duration,
    sql: Arc<Statements>,
}

/// Makes the statements for this table.
fn statements(table: &TableName) -> Statements {
    let sql = |text| table.in_sql(text);
    Statements {
        migrate: sql(include_str!("postgres.sql")),
        // Always a row: `DO UPDATE … WHERE` would give the losers of a race no row. The time is read once,
        // before the wait for another transaction, so a claim that lapses meanwhile is still live.
        // A `lock_timeout` of the transaction is kept; 0 means that there is none.
        claim: sql(r#"INSERT INTO "countersign_keys" AS k (key, token, done, expires_at)
             SELECT $1, $2, $5, clock_timestamp() + $3 * interval '1 microsecond'
             FROM (SELECT set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), $4), true)) AS setting
             ON CONFLICT (key) DO UPDATE SET
                 token = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.token ELSE excluded.token END,
                 done = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.done ELSE excluded.done END,
                 expires_at = CASE WHEN k.expires_at > excluded.expires_at - $3 * interval '1 microsecond' THEN k.expires_at ELSE excluded.expires_at END
             RETURNING token = $2, done, extract(epoch FROM expires_at - clock_timestamp())::float8"#),
        complete: sql(r#"UPDATE "countersign_keys"
             SET done = true, expires_at = clock_timestamp() + $3 * interval '1 microsecond'
             WHERE key = $1 AND token = $2"#),
        release: sql(r#"DELETE FROM "countersign_keys" WHERE key = $1 AND token = $2 AND NOT done"#),
        renew: sql(r#"UPDATE "countersign_keys"
             SET expires_at = clock_timestamp() + $3 * interval '1 microsecond'
             WHERE key = $1 AND token = $2 AND NOT done"#),
        forget: sql(r#"DELETE FROM "countersign_keys" WHERE key = $1"#),
        // The time as a subquery: an index cannot use a condition with a volatile function.
        purge: sql(r#"DELETE FROM "countersign_keys" WHERE key IN (
                 SELECT key FROM "countersign_keys"
                 WHERE expires_at <= (SELECT clock_timestamp())
                   AND (done OR expires_at <= (SELECT clock_timestamp()) - interval '1 hour')
                 ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)"#),
    }
}

impl PostgresStore {
    /// Less than the 5 seconds that 3QPR waits for an answer.
    const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

    /// How many keys [`purge`](PostgresStore::purge) deletes in one statement.
    const PURGE_BATCH: i64 = 1_000;

    /// The longest time that is stored: a thousand years, in microseconds.
    const MAX_MICROS: i64 = 1_000 * 365 * 86_400 * 1_000_000;

    /// Makes a store on your pool. Call [`migrate`](PostgresStore::migrate) before using it, or add
    /// its SQL to your own migrations.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            lock_timeout: Self::DEFAULT_LOCK_TIMEOUT,
            sql: Arc::new(statements(&TableName::default())),
        }
    }

    /// Sets the table's name.
    #[must_use]
    pub fn with_table(mut self, table: &TableName) -> Self {
        self.sql = Arc::new(statements(table));
        self
    }

    /// Sets how long a claim waits while another transaction holds its key, before it is
    /// [`SqlStoreError::Locked`]. The default is 2 seconds. If the connection or the transaction
    /// has its own `lock_timeout`, that one applies instead. It is also the only one for the calls
    /// under a lease. A lease begins with the wait, so its duration must be much longer.
    #[must_use]
    pub fn with_lock_timeout(mut self, lock_timeout: Duration) -> Self {
        self.lock_timeout = lock_timeout;
        self
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Makes the table and its index, unless they exist. Several instances may call it at the same time.
    ///
    /// # Errors
    /// [`SqlStoreError::Database`].
    pub async fn migrate(&self) -> Result<(), SqlStoreError> {
        let mut transaction = self.pool.begin().await?;
        // `IF NOT EXISTS` alone fails if two make the table at the same time. The number is arbitrary.
        sqlx::query("SELECT pg_advisory_xact_lock(7205759403792793601)").execute(&mut *transaction).await?;
        sqlx::raw_sql(self.sql.migrate.clone()).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes the keys whose retention has ended, and the claims that lapsed an hour ago (until then
    /// they can be completed), a thousand at a time, and returns how many. Call it
    /// about every hour, as [`purge_every`](PostgresStore::purge_every) does. Any number of instances may call it at the
    /// same time: each skips the keys that another is deleting.
    ///
    /// # Errors
    /// [`SqlStoreError::Database`].
    pub async fn purge(&self) -> Result<u64, SqlStoreError> {
        let mut purged = 0;
        loop {
            let batch = sqlx::query(self.sql.purge.clone())
                .bind(Self::PURGE_BATCH)
                .execute(&self.pool)
                .await?
                .rows_affected();
            purged += batch;
            if batch < Self::PURGE_BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// Calls [`purge`](PostgresStore::purge) every `interval`, without end. Spawn it once, when the service starts.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use countersign_sqlx::{PostgresStore, sqlx::PgPool};
    ///
    /// let store = PostgresStore::new(PgPool::connect("postgres://localhost/shop").await?);
    /// store.migrate().await?;
    /// let hour = Duration::from_secs(3600);
    /// tokio::spawn(store.clone().purge_every(hour, |error| eprintln!("not purged: {error}")));
    /// # Ok(()) }
    /// ```
    ///
    /// The first purge comes after a random part of the interval's first minute, so that instances which start
    /// together do not purge at the same moment. An interval shorter than a second counts as a second. A purge that
    /// fails is passed to `on_error`, and the next one comes after the interval as ever.
    pub async fn purge_every(
        self,
        interval: Duration,
        mut on_error: impl FnMut(SqlStoreError),
    ) -> Infallible {
        let mut pauses = Pauses::new(interval);
        loop {
            pauses.pause().await;
            if let Err(error) = self.purge().await {
                on_error(error);
            }
        }
    }

    /// Like [`claim`](IdempotencyStore::claim), in your transaction. Every other claim of the key waits until it
    /// ends. A transaction without a `lock_timeout` has the store's from then on.
    ///
    /// # Errors
    /// The errors of a claim. Roll back then.
    pub async fn claim_in(
        &self,
        connection: &mut PgConnection,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> Result<Claim, SqlStoreError> {
        self.claim_on(connection, key, lease_duration).await
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
        self.complete_on(connection, lease, retention).await
    }

    /// Records a key as done in your transaction, and returns whether it was new: the inbox form.
    /// There is no lease. A second delivery waits for the first one's transaction. A transaction
    /// without a `lock_timeout` has the store's from then on. `record_in` sees a claim that
    /// [`claim`](IdempotencyStore::claim) made as in flight, so use one of the two forms for a key.
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
        self.insert(connection, key, retention, true).await.map(Recorded::of)
    }

    fn lock_timeout(&self) -> String {
        format!("{}ms", self.lock_timeout.as_millis().clamp(1, i32::MAX as u128))
    }

    fn micros(time: Duration) -> i64 {
        // Rounded up, so that a short time does not become zero.
        let micros = time.as_nanos().div_ceil(1_000);
        i64::try_from(micros).unwrap_or(i64::MAX).min(Self::MAX_MICROS)
    }

    async fn claim_on(
        &self,
        executor: impl PgExecutor<'_>,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> Result<Claim, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        self.insert(executor, key, lease_duration, false).await
    }

    /// Inserts a key, claimed or done, unless there is a live one.
    async fn insert(
        &self,
        executor: impl PgExecutor<'_>,
        key: &IdempotencyKey,
        time: Duration,
        done: bool,
    ) -> Result<Claim, SqlStoreError> {
        let token = random_token()?;
        let (inserted, done, left): (bool, bool, f64) = sqlx::query_as(self.sql.claim.clone())
            .bind(key.as_str())
            .bind(token)
            .bind(Self::micros(time))
            .bind(self.lock_timeout())
            .bind(done)
            .fetch_one(executor)
            .await?;
        let left = Duration::try_from_secs_f64(left).unwrap_or_default();
        Ok(claimed(Lease::new(key.clone(), token), inserted, done, left))
    }

    async fn complete_on(
        &self,
        executor: impl PgExecutor<'_>,
        lease: &Lease,
        retention: Duration,
    ) -> Result<LeaseStatus, SqlStoreError> {
        check_retention(retention)?;
        write(executor, fenced(&self.sql.complete, lease).bind(Self::micros(retention)))
            .await
            .map(LeaseStatus::applied_if)
    }
}

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// A statement on the lease's key and token, which are its first two parameters.
fn fenced<'q>(sql: &SqlStr, lease: &'q Lease) -> Query<'q> {
    sqlx::query(sql.clone()).bind(lease.key().as_str()).bind(&lease.token()[..])
}

/// Runs a statement on one key, and returns whether it changed a row.
async fn write(executor: impl PgExecutor<'_>, query: Query<'_>) -> Result<bool, SqlStoreError> {
    Ok(query.execute(executor).await?.rows_affected() > 0)
}

impl IdempotencyStore for PostgresStore {
    type Error = SqlStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, SqlStoreError> {
        self.claim_on(&self.pool, key, lease_duration).await
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, SqlStoreError> {
        self.complete_on(&self.pool, lease, retention).await
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, SqlStoreError> {
        write(&self.pool, fenced(&self.sql.release, lease)).await.map(LeaseStatus::applied_if)
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, SqlStoreError> {
        check_lease_duration(lease_duration)?;
        write(&self.pool, fenced(&self.sql.renew, lease).bind(Self::micros(lease_duration)))
            .await
            .map(LeaseStatus::applied_if)
    }

    async fn forget(&self, key: &str) -> Result<bool, SqlStoreError> {
        write(&self.pool, sqlx::query(self.sql.forget.clone()).bind(key)).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("lock_timeout", &self.lock_timeout).finish_non_exhaustive()
    }
}
