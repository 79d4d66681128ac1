//! A delivery in one SQLite transaction: its key, and the handler's effect.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use countersign::IdempotencyKey;
use countersign::store::{Begun, Claim, Lease, TransactionalStore, check_retention};
use sqlx::{SqlStr, Sqlite, SqliteConnection, Transaction};
use tokio::sync::oneshot;

use crate::claim::random_token;
use crate::error::SqlStoreError;
use crate::sqlite::{Alone, Failure, Hooks, Open, Place, Returned, Row, SqliteStore, in_the_way};
use crate::version::{Advance, Version, check_object};

/// An open transaction of a [`SqliteStore`], which has recorded the delivery's key. The handler of
/// [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction) gets it and hands it back.
///
/// It dereferences to sqlx's connection: pass `&mut *transaction` to `execute` and `fetch_…`, or begin a savepoint on it.
/// Only the receiver commits it: a `COMMIT` of the handler's own fails and rolls back. Dropping it rolls back. If SQLite
/// has ended the transaction with an error that the handler ignores (`ON CONFLICT ROLLBACK`, a full disk), every later
/// write fails, and the delivery is not acknowledged. Other errors undo only their own statement, as in any transaction
/// of SQLite. If the `begin` of a savepoint is dropped before its end (by a time-out), sqlx rolls back the whole transaction,
/// and nothing is acknowledged.
///
/// For this, the store sets the connection's commit and rollback hooks (`set_commit_hook` of sqlx), and replaces yours. Set
/// none on the store's own pool: they would replace the store's.
///
/// SQLite has one writer at a time, so deliveries run one after the other. Those that wait at the same moment share one
/// commit: see [many at once](SqliteStore#many-at-once). Then yours is a savepoint, `countersign_delivery`, which your SQL must not
/// name. Do not use the store's pool in the
/// handler: its one connection is this transaction's.
///
/// ```
/// use countersign::{Delivery, provider::Quote3d};
/// use countersign_sqlx::{SqliteTransaction, sqlx};
///
/// type BoxError = Box<dyn std::error::Error + Send + Sync>;
///
/// async fn handle(
///     delivery: Delivery<'_, Quote3d>,
///     mut transaction: SqliteTransaction,
/// ) -> Result<SqliteTransaction, BoxError> {
///     let insert = sqlx::query("INSERT INTO jobs (event) VALUES (?1)").bind(delivery.event_name());
///     insert.execute(&mut *transaction).await?;
///     Ok(transaction)
/// }
/// ```
///
/// Let a helper function take `&mut SqliteConnection`, and pass it `&mut transaction`. In one that takes
/// `&mut SqliteTransaction`, pass `&mut **transaction` to sqlx:
///
/// ```
/// use countersign_sqlx::{SqliteTransaction, sqlx};
/// use countersign_sqlx::sqlx::SqliteConnection;
///
/// async fn insert(connection: &mut SqliteConnection, event: &str) -> Result<(), sqlx::Error> {
///     sqlx::query("INSERT INTO jobs (event) VALUES (?1)").bind(event).execute(connection).await?;
///     Ok(())
/// }
///
/// async fn insert_and_count(transaction: &mut SqliteTransaction, event: &str) -> Result<i64, sqlx::Error> {
///     insert(transaction, event).await?;
///     sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut **transaction).await
/// }
/// ```
pub struct SqliteTransaction {
    /// There until it is committed or handed back.
    open: Option<Open>,
    /// Where a transaction goes that other handlers share.
    back: Option<oneshot::Sender<Returned>>,
    /// The place of a transaction that is not shared.
    _alone: Option<Alone>,
    since: Instant,
    store: SqliteStore,
    key: IdempotencyKey,
    retention: Duration,
}

impl SqliteTransaction {
    /// Says whether this version of an object is newer than every version that was handled, and remembers it: for
    /// events that arrive out of order. It is committed with the transaction, and undone with it.
    ///
    /// `object` names the object, in 1 to 1,024 bytes. All deliveries in this store's table share the names, so put the
    /// kind into it, and the tenant if there are several, for example `"acme/quote/7"`. `version` is the
    /// provider's: see [`Version`].
    ///
    /// An object's version is remembered for the receiver's [retention](countersign::Receiver::with_retention) after it
    /// was last advanced.
    ///
    /// # Errors
    /// [`SqlStoreError::InvalidObject`], and [`SqlStoreError::Database`]. Return it from the handler.
    ///
    /// ```
    /// use countersign::{Delivery, provider::Quote3d};
    /// use countersign_sqlx::{SqliteTransaction, sqlx};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// async fn handle(
    ///     delivery: Delivery<'_, Quote3d>,
    ///     mut transaction: SqliteTransaction,
    /// ) -> Result<SqliteTransaction, BoxError> {
    ///     let sent = delivery.timestamp().ok_or("no timestamp")?;
    ///     if transaction.advance("quote/7", sent).await?.is_newer() {
    ///         sqlx::query("UPDATE quotes SET state = ?1 WHERE id = 7")
    ///             .bind(delivery.event_name())
    ///             .execute(&mut *transaction)
    ///             .await?;
    ///     }
    ///     Ok(transaction)
    /// }
    /// ```
    pub async fn advance(
        &mut self,
        object: &str,
        version: impl Into<Version>,
    ) -> Result<Advance, SqlStoreError> {
        check_object(object)?;
        let version = version.into();
        let (_, end) = self.store.now_and(self.retention);
        let sql = self.store.sql.clone();
        let advanced = sqlx::query(sql.advance.clone()).bind(object).bind(version.get()).bind(end);
        if advanced.execute(&mut **self).await?.rows_affected() > 0 {
            return Ok(Advance::Newer);
        }
        let newest = sqlx::query_scalar(sql.newest.clone()).bind(object);
        Ok(Advance::not(version, newest.fetch_one(&mut **self).await?))
    }
}

impl SqliteTransaction {
    /// A transaction of one handler after another: this one's turn.
    pub(crate) fn lent(
        open: Open,
        back: oneshot::Sender<Returned>,
        store: &SqliteStore,
        record: &Lease,
        retention: Duration,
    ) -> Self {
        Self::new(open, Some(back), None, store, record.key(), retention)
    }

    fn new(
        open: Open,
        back: Option<oneshot::Sender<Returned>>,
        alone: Option<Alone>,
        store: &SqliteStore,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Self {
        let (store, key) = (store.clone(), key.clone());
        Self { open: Some(open), back, _alone: alone, since: Instant::now(), store, key, retention }
    }

    /// Hands a shared transaction back, and tells who waits for its commit.
    fn hand_back(&mut self, handed_in: Option<oneshot::Sender<Result<(), Failure>>>) {
        if let (Some(open), Some(back)) = (self.open.take(), self.back.take()) {
            // Without the task, which ends with its runtime, the transaction is rolled back.
            let _ended = back.send(Returned { open, handed_in, took: self.since.elapsed() });
        }
    }
}

impl Drop for SqliteTransaction {
    fn drop(&mut self) {
        self.hand_back(None);
    }
}

impl TransactionalStore for SqliteStore {
    type Transaction = SqliteTransaction;

    async fn begin(
        &self,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Result<Begun<SqliteTransaction>, SqlStoreError> {
        check_retention(retention)?;
        let record = Lease::new(key.clone(), random_token()?);
        let alone = match &self.group {
            None => None,
            Some(group) => match group.join(self, &record, retention).map_err(in_the_way)? {
                Place::Alone(alone) => Some(alone),
                Place::Queued(mut queued) => {
                    match queued.answer(self.pool().options().get_acquire_timeout()).await {
                        Some(Ok(Begun::New(mut transaction))) => {
                            transaction.since = Instant::now();
                            return Ok(Begun::New(transaction));
                        }
                        Some(answer) => return answer,
                        None => Some(group.alone()),
                    }
                }
            },
        };
        let mut transaction = self.begin_transaction().await.map_err(in_the_way)?;
        match self.record(&mut transaction, &record, retention).await? {
            Claim::Acquired(_) => {
                let open = self.guard(transaction).await?;
                Ok(Begun::New(SqliteTransaction::new(open, None, alone, self, key, retention)))
            }
            Claim::InFlight { retry_after } => Ok(Begun::InFlight { retry_after }),
            Claim::Done => Ok(Begun::Done),
        }
    }

    async fn commit(
        &self,
        key: &IdempotencyKey,
        mut transaction: SqliteTransaction,
    ) -> Result<(), SqlStoreError> {
        if transaction.key != *key || !self.is_same_as(&transaction.store) {
            return Err(SqlStoreError::NotCommitted);
        }
        if transaction.back.is_some() {
            let (caller, committed) = oneshot::channel();
            transaction.hand_back(Some(caller));
            return match committed.await {
                Ok(committed) => committed.map_err(Into::into),
                // The task has ended with its runtime.
                Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
            };
        }
        match transaction.open.take() {
            Some(open) => open.commit().await.map_err(Into::into),
            None => Err(SqlStoreError::NotCommitted),
        }
    }
}

impl SqliteStore {
    pub(crate) async fn begin_transaction(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        self.pool().begin_with("BEGIN").await
    }

    /// Guards the connection of a transaction that has written.
    pub(crate) async fn guard(
        &self,
        mut transaction: Transaction<'static, Sqlite>,
    ) -> Result<Open, sqlx::Error> {
        let guard = match &self.hooks {
            Some(hooks) => hooks.guard(),
            None => {
                let hooks = Hooks::default();
                hooks.set(&mut transaction).await?;
                hooks.guard()
            }
        };
        Ok(Open { guard, transaction })
    }

    /// Records the key in a transaction that has not written. The statement reads first, because a transaction that
    /// has read does not wait for a writer: it fails at once where there is one.
    pub(crate) async fn record(
        &self,
        transaction: &mut SqliteConnection,
        record: &Lease,
        retention: Duration,
    ) -> Result<Claim, SqlStoreError> {
        match self.record_with(&self.sql.record, transaction, record, retention).await {
            // Another process writes, or has written since. A duplicate is answered nevertheless. Otherwise the
            // transaction begins again, because SQLite waits for its lock only at the beginning.
            Err(SqlStoreError::Locked { .. }) => {
                if let Some(claim) = self.live(transaction, record).await? {
                    return Ok(claim);
                }
                sqlx::raw_sql("ROLLBACK; BEGIN IMMEDIATE").execute(&mut *transaction).await?;
                self.record_with(&self.sql.record, transaction, record, retention).await
            }
            recorded => recorded,
        }
    }

    /// Records the key in a savepoint. It releases the one before, if there is one.
    pub(crate) async fn record_in_savepoint(
        &self,
        transaction: &mut SqliteConnection,
        has_savepoint: bool,
        record: &Lease,
        retention: Duration,
    ) -> Result<Claim, SqlStoreError> {
        let sql = &self.sql.record_in_savepoint[usize::from(has_savepoint)];
        self.record_with(sql, transaction, record, retention).await
    }

    /// Undoes what was written since the savepoint, which stays.
    pub(crate) async fn undo_savepoint(&self, transaction: &mut SqliteConnection) -> Result<(), Failure> {
        sqlx::query(self.sql.undo_savepoint.clone()).execute(transaction).await?;
        Ok(())
    }

    async fn record_with(
        &self,
        sql: &SqlStr,
        transaction: &mut SqliteConnection,
        record: &Lease,
        retention: Duration,
    ) -> Result<Claim, SqlStoreError> {
        let (now, end) = self.now_and(retention);
        let rows: Vec<Row> = sqlx::query_as(sql.clone())
            .bind(record.key().as_str())
            .bind(&record.token()[..])
            .bind(now)
            .bind(end)
            .fetch_all(transaction)
            .await?;
        let &row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(self.claimed(record, row))
    }
}

const IS_OPEN: &str = "a transaction in a handler's hands is open";

#[allow(clippy::expect_used, reason = "only `commit` and `drop` take it")]
impl Deref for SqliteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.open.as_ref().expect(IS_OPEN).transaction
    }
}

#[allow(clippy::expect_used, reason = "only `commit` and `drop` take it")]
impl DerefMut for SqliteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.open.as_mut().expect(IS_OPEN).transaction
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("key", &self.key).finish_non_exhaustive()
    }
}
