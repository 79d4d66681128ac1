//! The contract of a store that writes the key and the handler's effect in one transaction.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::store::{IdempotencyKey, IdempotencyStore};

/// A store that commits the key and the handler's effect together.
///
/// [`Receiver::handle_in_transaction`](crate::Receiver::handle_in_transaction) calls it, and passes the transaction to
/// the handler. `SqliteStore` and `PostgresStore`, of the crate `countersign-sqlx`, implement it.
/// [`MemoryStore`](crate::MemoryStore) and `RedisStore` do not, because the handler's effect is not in their database:
/// with them, the form does not compile. The contract, beside that of [`IdempotencyStore`]:
///
/// - **Nothing is committed before `commit`.** A transaction that is dropped at any point is rolled back, and the key
///   is free again. So is one whose `begin` or `commit` was dropped, unless it had committed by then.
/// - **`commit` succeeds only if it has committed** the key with everything that the handler wrote. It fails if the
///   transaction had ended before, for example because the handler ignored the error of a statement.
/// - **Among any number of calls of `begin` with a key at the same time, one is `New`.** The others wait no longer than
///   the store's own limit: they are `Done` or `InFlight`, or an error.
/// - A key that another form has claimed is `InFlight`, and a key that is done is `Done`.
/// - The store keeps the time. A zero retention is refused.
///
/// `&S`, `Box<S>` and `Arc<S>` are such stores if `S` is.
///
/// ```
/// use std::time::Duration;
/// use countersign::IdempotencyKey;
/// use countersign::store::{Begun, TransactionalStore};
///
/// async fn by_hand<S: TransactionalStore>(store: &S, key: &IdempotencyKey) -> Result<(), S::Error> {
///     match store.begin(key, Duration::from_secs(7 * 86_400)).await? {
///         Begun::New(transaction) => {
///             // … write the effect in the transaction, and then:
///             store.commit(key, transaction).await?;
///         }
///         Begun::InFlight { retry_after: _ } => {} // do not acknowledge: the provider retries
///         Begun::Done => {}                        // acknowledge
///     }
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot share a transaction with the handler",
    note = "`SqliteStore` and `PostgresStore` of `countersign-sqlx` can; with others, use `handle`"
)]
pub trait TransactionalStore: IdempotencyStore {
    /// An open transaction that has recorded a key. It has no method that commits, and dropping it rolls back.
    type Transaction: Send;

    /// Begins a transaction and records the key in it as done, to be remembered for `retention`.
    ///
    /// # Errors
    /// The store's own. The key was not recorded.
    fn begin(
        &self,
        key: &IdempotencyKey,
        retention: Duration,
    ) -> impl Future<Output = Result<Begun<Self::Transaction>, Self::Error>> + Send;

    /// Commits the transaction, which must be the one that [`begin`](TransactionalStore::begin) returned for this key.
    ///
    /// # Errors
    /// The store's own. Key and effect are committed together or not at all; after a broken connection, it may be
    /// either, and the next delivery finds out.
    fn commit(
        &self,
        key: &IdempotencyKey,
        transaction: Self::Transaction,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The result of [`TransactionalStore::begin`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Begun<T> {
    /// The key is new: write the effect in the transaction, and commit it.
    New(T),
    /// Another handler holds the key, and may still fail: do not acknowledge the delivery.
    InFlight {
        /// When to try again: more than zero.
        retry_after: Duration,
    },
    /// The event was handled before: acknowledge the delivery.
    Done,
}

/// Implements the trait for a pointer, which passes each call on.
macro_rules! store_behind {
    ($($pointer:ty),+) => { $(
        impl<S: TransactionalStore + ?Sized> TransactionalStore for $pointer {
            type Transaction = S::Transaction;

            async fn begin(
                &self,
                key: &IdempotencyKey,
                retention: Duration,
            ) -> Result<Begun<S::Transaction>, S::Error> {
                self.deref().begin(key, retention).await
            }

            async fn commit(&self, key: &IdempotencyKey, transaction: S::Transaction) -> Result<(), S::Error> {
                self.deref().commit(key, transaction).await
            }
        }
    )+ };
}

store_behind!(&S, Box<S>, Arc<S>);
