//! A delivery in one SQLite transaction: its key, and the handler's effect.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use countersign::IdempotencyKey;
use countersign::store::{Begun, Claim, Lease, TransactionalStore, check_retention};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::claim::random_token;
use crate::error::SqlStoreError;
use crate::sqlite::{CommitGuard, Hooks, SqliteStore, in_the_way};
use crate::version::{Advance, Version, check_object};

/// An open transaction of a [`SqliteStore`], which has recorded the delivery's key. The handler of
/// [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction) gets it and hands it back.
///
/// It dereferences to sqlx's connection: pass `&mut *transaction` to `execute` and `fetch_…`, or begin a savepoint on it.
/// Only the receiver commits it: a `COMMIT` of the handler's own fails and rolls back. Dropping it rolls back. If SQLite
/// has ended the transaction with an error that the handler ignores (`ON CONFLICT ROLLBACK`, a full disk), every later
/// write fails, and the delivery is not acknowledged. Other errors undo only their own statement, as in every transaction
/// of SQLite.
///
/// For this, the store sets the connection's commit and rollback hooks (`set_commit_hook` of sqlx), and replaces yours. Set
/// none on the store's own pool: they would replace the store's.
///
/// SQLite has one writer at a time, so deliveries run one after the other. Do not use the store's pool in the
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
pub struct SqliteTransaction {
    /// Declared first, so that it is dropped before the transaction rolls back.
    guard: CommitGuard,
    transaction: Transaction<'static, Sqlite>,
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
        let sql = &self.store.sql;
        let advanced = sqlx::query(sql.advance.clone()).bind(object).bind(version.get()).bind(end);
        if advanced.execute(&mut *self.transaction).await?.rows_affected() > 0 {
            return Ok(Advance::Newer);
        }
        let newest = sqlx::query_scalar(sql.newest.clone()).bind(object);
        Ok(Advance::not(version, newest.fetch_one(&mut *self.transaction).await?))
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
        let mut transaction = self.pool().begin_with("BEGIN").await.map_err(in_the_way)?;
        // A transaction that has read does not wait for a writer: it fails at once where there is one. This is a
        // statement of its own, because sqlx takes no transaction to be open whose beginning failed.
        let read = sqlx::query("SELECT 1 FROM sqlite_schema LIMIT 1");
        read.fetch_optional(&mut *transaction).await.map_err(in_the_way)?;
        match self.record(&mut transaction, &record, retention).await? {
            Claim::Acquired(_) => {
                let guard = match &self.hooks {
                    Some(hooks) => hooks.guard(),
                    None => {
                        let hooks = Hooks::default();
                        hooks.set(&mut transaction).await?;
                        hooks.guard()
                    }
                };
                let (store, key) = (self.clone(), key.clone());
                Ok(Begun::New(SqliteTransaction { guard, transaction, store, key, retention }))
            }
            Claim::InFlight { retry_after } => Ok(Begun::InFlight { retry_after }),
            Claim::Done => Ok(Begun::Done),
        }
    }

    async fn commit(
        &self,
        key: &IdempotencyKey,
        transaction: SqliteTransaction,
    ) -> Result<(), SqlStoreError> {
        if transaction.key != *key || !transaction.guard.allow() {
            return Err(SqlStoreError::NotCommitted);
        }
        let SqliteTransaction { guard, transaction, .. } = transaction;
        transaction.commit().await?;
        // sqlx would also release a savepoint that the handler left open, and call that a commit.
        if guard.has_committed() { Ok(()) } else { Err(SqlStoreError::NotCommitted) }
    }
}

impl SqliteStore {
    /// Records the key in a transaction that has only read.
    async fn record(
        &self,
        transaction: &mut SqliteConnection,
        record: &Lease,
        retention: Duration,
    ) -> Result<Claim, SqlStoreError> {
        match self.insert(transaction, record, retention, true).await {
            // Another process writes, or has written since. A duplicate is answered nevertheless. Otherwise the
            // transaction begins again, because SQLite waits for its lock only at the beginning.
            Err(SqlStoreError::Locked { .. }) => {
                if let Some(claim) = self.live(transaction, record).await? {
                    return Ok(claim);
                }
                sqlx::raw_sql("ROLLBACK; BEGIN IMMEDIATE").execute(&mut *transaction).await?;
                self.insert(transaction, record, retention, true).await
            }
            recorded => recorded,
        }
    }
}

impl Deref for SqliteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for SqliteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("key", &self.key).finish_non_exhaustive()
    }
}
