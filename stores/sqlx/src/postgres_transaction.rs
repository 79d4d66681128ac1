//! A delivery in one PostgreSQL transaction: its key, and the handler's effect.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use countersign::IdempotencyKey;
use countersign::store::{Begun, Claim, Lease, TransactionalStore, check_retention};
use sqlx::{Connection as _, Executor, PgConnection, Postgres, Row, Transaction};

use crate::claim::random_token;
use crate::error::SqlStoreError;
use crate::postgres::{Argument, PostgresStore, is_mixed_up, sqlstate};
use crate::version::{Advance, Version, check_object};

/// An open transaction of a [`PostgresStore`], which has recorded the delivery's key. The handler of
/// [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction) gets it and hands it back.
///
/// It dereferences to sqlx's connection: pass `&mut *transaction` to `execute` and `fetch_…`, or begin a savepoint on it.
/// Only the receiver commits it. Dropping it rolls back. If the handler ignores an error that has aborted the transaction, the
/// delivery is not acknowledged, and nothing is committed. Do not end the transaction with SQL of your own: the delivery is not
/// acknowledged, but after a `COMMIT` its key and what was written are there, and after a `ROLLBACK` each statement is
/// committed by itself. (After a savepoint, a transaction goes on: use
/// one for a statement that may fail.) If the `begin` of a savepoint fails, or is dropped before its end (by a time-out),
/// sqlx rolls back the whole transaction: return an error then. The next use of this one panics.
///
/// The isolation level is `READ COMMITTED`, and `lock_timeout` is the [store's](PostgresStore::with_lock_timeout) until
/// the handler sets another (`SET LOCAL`). The server ends a transaction that is idle for a minute
/// (`idle_in_transaction_session_timeout`), so that the event of a machine that has vanished is handled elsewhere: a handler
/// that pauses for longer between two statements sets another limit. The cursor `countersign` is the store's: if the handler
/// closes it (`CLOSE ALL`), nothing is committed.
///
/// ```
/// use countersign::{Delivery, provider::Quote3d};
/// use countersign_sqlx::{PostgresTransaction, sqlx};
///
/// type BoxError = Box<dyn std::error::Error + Send + Sync>;
///
/// async fn handle(
///     delivery: Delivery<'_, Quote3d>,
///     mut transaction: PostgresTransaction,
/// ) -> Result<PostgresTransaction, BoxError> {
///     let insert = sqlx::query("INSERT INTO jobs (event) VALUES ($1)").bind(delivery.event_name());
///     insert.execute(&mut *transaction).await?;
///     Ok(transaction)
/// }
/// ```
///
/// Let a helper function take `&mut PgConnection`, and pass it `&mut transaction`. In one that takes
/// `&mut PostgresTransaction`, pass `&mut **transaction` to sqlx:
///
/// ```
/// use countersign_sqlx::{PostgresTransaction, sqlx};
/// use countersign_sqlx::sqlx::PgConnection;
///
/// async fn insert(connection: &mut PgConnection, event: &str) -> Result<(), sqlx::Error> {
///     sqlx::query("INSERT INTO jobs (event) VALUES ($1)").bind(event).execute(connection).await?;
///     Ok(())
/// }
///
/// async fn insert_and_count(transaction: &mut PostgresTransaction, event: &str) -> Result<i64, sqlx::Error> {
///     insert(transaction, event).await?;
///     sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut **transaction).await
/// }
/// ```
pub struct PostgresTransaction {
    transaction: Transaction<'static, Postgres>,
    store: PostgresStore,
    key: IdempotencyKey,
    retention: Duration,
}

impl PostgresTransaction {
    /// Says whether this version of an object is newer than every version that was handled, and remembers it: for
    /// events that arrive out of order. It is committed with the transaction, and undone with it.
    ///
    /// `object` names the object, in 1 to 1,024 bytes. All deliveries in this store's table share the names, so put the
    /// kind into it, and the tenant if there are several, for example `"acme/quote/7"`. `version` is the
    /// provider's: see [`Version`].
    ///
    /// An object's version is remembered for the receiver's [retention](countersign::Receiver::with_retention) after it
    /// was last advanced. Two transactions that advance the same object run one after the other; the second one waits
    /// no longer than the lock timeout. Advance several objects in a fixed order, to avoid deadlocks.
    ///
    /// # Errors
    /// [`SqlStoreError::InvalidObject`], [`SqlStoreError::Locked`] if another transaction holds the object for too long,
    /// and [`SqlStoreError::Database`]. Return it from the handler: the transaction is aborted.
    ///
    /// ```
    /// use countersign::{Delivery, provider::Quote3d};
    /// use countersign_sqlx::{PostgresTransaction, sqlx};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// async fn handle(
    ///     delivery: Delivery<'_, Quote3d>,
    ///     mut transaction: PostgresTransaction,
    /// ) -> Result<PostgresTransaction, BoxError> {
    ///     let sent = delivery.timestamp().ok_or("no timestamp")?;
    ///     if transaction.advance("quote/7", sent).await?.is_newer() {
    ///         sqlx::query("UPDATE quotes SET state = $1 WHERE id = 7")
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
        if !self.transaction.is_in_transaction() {
            return Err(SqlStoreError::NotCommitted);
        }
        let version = version.into();
        let (number, time) = (version.get(), PostgresStore::micros(self.retention));
        let sql = &self.store.sql;
        let advanced =
            self.store.ask(Some(&mut self.transaction), &sql.advance, &[&object, &number, &time]).await?;
        if advanced.is_some() {
            return Ok(Advance::Newer);
        }
        // The statement above has locked the row.
        let newest = self.store.ask(Some(&mut self.transaction), &sql.newest, &[&object]).await?;
        let newest: i64 = newest.ok_or(sqlx::Error::RowNotFound)?.try_get(1)?;
        Ok(Advance::not(version, newest))
    }

    /// Begins a transaction, and tries to record the key.
    async fn begin(
        store: &PostgresStore,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Result<Begun<Self>, SqlStoreError> {
        let record = Lease::new(key.clone(), random_token()?);
        let mut transaction = store.begin_at_once().await?;
        match Self::record(store, &mut transaction, &record, retention).await {
            Ok(Claim::Acquired(_)) => {
                let (store, key) = (store.clone(), key.clone());
                Ok(Begun::New(Self { transaction, store, key, retention }))
            }
            Ok(Claim::InFlight { retry_after }) => Ok(Begun::InFlight { retry_after }),
            Ok(Claim::Done) => Ok(Begun::Done),
            Err(error) => {
                // Until the server has done it, another try would find its own key in flight.
                let _gone = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Records a key, unless there is a live one.
    async fn record(
        store: &PostgresStore,
        transaction: &mut PgConnection,
        record: &Lease,
        retention: Duration,
    ) -> Result<Claim, SqlStoreError> {
        let micros = PostgresStore::micros(retention);
        let arguments: [Argument<'_>; 3] = [&record.key().as_str(), &&record.token()[..], &micros];
        if store.ask(Some(transaction), &store.sql.record, &arguments).await?.is_some() {
            return Ok(Claim::Acquired(record.clone()));
        }
        // The old one may have expired.
        store.insert(Some(transaction), record, retention, true).await
    }

    /// Commits, if this is still the transaction that recorded the key and no statement has aborted it.
    ///
    /// PostgreSQL answers the `COMMIT` of an aborted transaction with `ROLLBACK` and without an error, and sqlx does not
    /// look. Closing a cursor before it, in the same message, fails in such a transaction (25P02), and in any but the
    /// one that [opened](PostgresStore::begin_at_once) it (34000). The server then skips the commit. `AND CHAIN` leaves an
    /// empty transaction, which sqlx rolls back when the connection returns to the pool.
    async fn commit(&mut self) -> Result<(), SqlStoreError> {
        match self.transaction.execute("CLOSE countersign; COMMIT AND CHAIN").await {
            Ok(_) => Ok(()),
            Err(error) if matches!(sqlstate(&error), Some("25P02" | "34000")) => {
                Err(SqlStoreError::NotCommitted)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl TransactionalStore for PostgresStore {
    type Transaction = PostgresTransaction;

    async fn begin(
        &self,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> Result<Begun<PostgresTransaction>, SqlStoreError> {
        check_retention(retention)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match PostgresTransaction::begin(self, key, retention).await {
                // A pooler mixed up the statements of two sessions, and nothing was recorded.
                Err(SqlStoreError::Database { source })
                    if tries < Self::TRIES && source.downcast_ref().is_some_and(is_mixed_up) => {}
                begun => return begun,
            }
        }
    }

    async fn commit(
        &self,
        key: &IdempotencyKey,
        mut transaction: PostgresTransaction,
    ) -> Result<(), SqlStoreError> {
        if transaction.key != *key || !self.is_same_as(&transaction.store) {
            return Err(SqlStoreError::NotCommitted);
        }
        transaction.commit().await
    }
}

impl Deref for PostgresTransaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for PostgresTransaction {
    /// # Panics
    /// If a nested `begin` of the handler has failed, or was dropped before its end: sqlx 0.9.0 then rolls back the whole
    /// transaction, and each later statement would be committed at once, without the key.
    fn deref_mut(&mut self) -> &mut PgConnection {
        let is_open = self.transaction.is_in_transaction();
        assert!(
            is_open,
            "a nested `begin` failed or was dropped, which ended the transaction: return its error"
        );
        &mut self.transaction
    }
}

impl fmt::Debug for PostgresTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTransaction").field("key", &self.key).finish_non_exhaustive()
    }
}
