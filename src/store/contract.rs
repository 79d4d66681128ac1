//! The contract that every store keeps.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::store::IdempotencyKey;
use crate::store::PolicyError;

/// Where idempotency keys are claimed and remembered.
///
/// Implement it for a database of your own (write the methods as `async fn`), and let
/// `conformance::check` (feature `conformance`) judge the result. No method has a default, since a
/// default that is not atomic would be inherited by every store. What has to hold:
///
/// - **A claim is one atomic step.** Of any number of claims of a key at once, one is acquired.
/// - **Every claim has a token of its own**, and `complete`, `release` and `renew` change nothing
///   unless the key still has that token: they are [`LeaseStatus::Lost`]. A handler that stalled past its
///   lease can thus not undo what its successor did.
/// - A lease that has lapsed is taken over by the next claim. Until then it still is the key's, and
///   `complete` and `renew` still apply.
/// - `release` frees a claimed key and never a done one. `renew` does not bring a done key back.
/// - `complete` twice with one lease is applied twice: its answer may have been lost.
/// - A done key is remembered for its retention, and may be claimed anew after.
/// - `forget` ends every lease on the key, one that has lapsed included.
/// - Time is the store's, not the caller's. Zero durations are refused.
/// - A key is at most [`IdempotencyKey::MAX_LEN`] bytes, and compared byte by byte.
///
/// The traits for `&S`, `Box<S>` and `Arc<S>` come with this one; for `dyn`, see [`DynIdempotencyStore`].
///
/// ```
/// use std::time::Duration;
/// use countersign::{IdempotencyKey, IdempotencyStore, store::{Claim, LeaseStatus}};
///
/// async fn by_hand<S: IdempotencyStore>(store: &S, key: &IdempotencyKey) -> Result<(), S::Error> {
///     match store.claim(key, Duration::from_secs(30)).await? {
///         Claim::Acquired(lease) => {
///             // … handle it, and then:
///             if store.complete(&lease, Duration::from_secs(7 * 86_400)).await? == LeaseStatus::Lost {
///                 // It took longer than the lease, and another has begun to handle it.
///             }
///         }
///         Claim::InFlight { retry_after: _ } => {} // not acknowledged: the provider is to retry
///         Claim::Done => {}                        // acknowledged
///     }
///     Ok(())
/// }
/// ```
pub trait IdempotencyStore: Send + Sync {
    /// Why the store could not do it. A receiver answers 503 then, and nothing is acknowledged.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Claims the key for `lease`, unless it is done or another's lease on it has not lapsed.
    ///
    /// # Errors
    /// The store's own; no claim was made, or it lapses by itself.
    fn claim(
        &self,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Marks the lease's key done, to be remembered for `retention`.
    ///
    /// # Errors
    /// The store's own; the key may be done or not, and `complete` may be called again.
    fn complete(
        &self,
        lease: &Lease,
        retention: Duration,
    ) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Gives the lease's key back, so that the next delivery handles it at once.
    ///
    /// # Errors
    /// The store's own; at the latest, the lease lapses.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Makes the lease last for `lease_duration` from now.
    ///
    /// # Errors
    /// The store's own; the lease may be renewed or not.
    fn renew(
        &self,
        lease: &Lease,
        lease_duration: Duration,
    ) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Forgets the key, whatever its state, and says whether it was claimed or done: for an operator
    /// who wants an event handled again. It takes text, as logs show it ([`IdempotencyKey::as_str`]).
    /// A lease on it is lost, also one that has lapsed. What has expired may be said to be there or
    /// not: some stores drop it at once, and others later.
    ///
    /// # Errors
    /// The store's own.
    fn forget(&self, key: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// What came of [`IdempotencyStore::claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// The key is yours to handle, until the lease ends.
    Acquired(Lease),
    /// Another holds it.
    InFlight {
        /// How long the other's lease lasts yet: more than zero.
        retry_after: Duration,
    },
    /// It was handled.
    Done,
}

/// What came of a write under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum LeaseStatus {
    /// It was written.
    Applied,
    /// The lease is not the key's any more, and nothing was written.
    Lost,
}

impl LeaseStatus {
    /// For a store whose write says how many rows it changed.
    pub fn applied_if(changed: bool) -> Self {
        if changed { Self::Applied } else { Self::Lost }
    }
}

/// A claim on a key: the key, and the token that fences every later write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Lease {
    key: IdempotencyKey,
    token: [u8; 16],
}

impl Lease {
    /// A lease, for a store to hand out. The token has to be random, or otherwise never used for
    /// this key before: a v4 UUID will do.
    pub fn new(key: IdempotencyKey, token: [u8; 16]) -> Self {
        Self { key, token }
    }

    /// The claimed key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The claim's token.
    #[must_use]
    pub fn token(&self) -> &[u8; 16] {
        &self.token
    }
}

/// Checks the duration of a lease, for a store's `claim` and `renew`.
///
/// # Errors
/// [`PolicyError::ZeroLease`]: such a lease would lapse before the handler begins.
pub fn check_lease_duration(lease_duration: Duration) -> Result<(), PolicyError> {
    if lease_duration.is_zero() { Err(PolicyError::ZeroLease) } else { Ok(()) }
}

/// Checks a retention, for a store's `complete`.
///
/// # Errors
/// [`PolicyError::ZeroRetention`]: such a key would be handled at every delivery.
pub fn check_retention(retention: Duration) -> Result<(), PolicyError> {
    if retention.is_zero() { Err(PolicyError::ZeroRetention) } else { Ok(()) }
}

/// Passes every call on to what a pointer points to.
macro_rules! store_behind {
    ($($pointer:ty),+) => { $(
        impl<S: IdempotencyStore + ?Sized> IdempotencyStore for $pointer {
            type Error = S::Error;

            async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, S::Error> {
                self.deref().claim(key, lease_duration).await
            }

            async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, S::Error> {
                self.deref().complete(lease, retention).await
            }

            async fn release(&self, lease: &Lease) -> Result<LeaseStatus, S::Error> {
                self.deref().release(lease).await
            }

            async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, S::Error> {
                self.deref().renew(lease, lease_duration).await
            }

            async fn forget(&self, key: &str) -> Result<bool, S::Error> {
                self.deref().forget(key).await
            }
        }
    )+ };
}

store_behind!(&S, Box<S>, Arc<S>);
