//! The contract that all stores keep.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::store::IdempotencyKey;
use crate::store::PolicyError;

/// Where idempotency keys are claimed and remembered.
///
/// Implement it for your own database (write the methods as `async fn`), and test it with
/// `conformance::check` (feature `conformance`). No method has a default, because a default that is
/// not atomic would be inherited by all stores. The contract:
///
/// - **A claim is one atomic step.** Among any number of claims of a key at the same time, one is acquired.
/// - **Every claim has its own token.** `complete`, `release` and `renew` change nothing and return
///   [`LeaseStatus::Lost`] unless the key still has that token. A handler that stalled past its lease
///   therefore cannot undo the work of its successor.
/// - The next claim takes over a lapsed lease. Until then the lease is still the key's, and `complete` and
///   `renew` still succeed.
/// - `release` frees a claimed key, and never a done one. `renew` does not revive a done key.
/// - Repeating `complete` with the same lease succeeds, because the first reply may have been lost.
/// - A done key is remembered for its retention. After that, it can be claimed again.
/// - `forget` ends every lease on the key, including a lapsed one.
/// - The store keeps the time, not the caller. Zero durations are refused.
/// - A key is at most [`IdempotencyKey::MAX_LEN`] bytes, and is compared byte by byte.
///
/// [Writing a store](crate::guide::writing_a_store) goes through these in order, with a small store.
/// `&S`, `Box<S>` and `Arc<S>` are stores if `S` is; for `dyn`, see [`DynIdempotencyStore`](crate::store::DynIdempotencyStore).
///
/// ```
/// use std::time::Duration;
/// use countersign::{IdempotencyKey, IdempotencyStore, store::{Claim, LeaseStatus}};
///
/// async fn by_hand<S: IdempotencyStore>(store: &S, key: &IdempotencyKey) -> Result<(), S::Error> {
///     match store.claim(key, Duration::from_secs(30)).await? {
///         Claim::Acquired(lease) => {
///             // … handle the event, and then:
///             if store.complete(&lease, Duration::from_secs(7 * 86_400)).await? == LeaseStatus::Lost {
///                 // It took longer than the lease, and another handler has begun.
///             }
///         }
///         Claim::InFlight { retry_after: _ } => {} // do not acknowledge: the provider retries
///         Claim::Done => {}                        // acknowledge
///     }
///     Ok(())
/// }
/// ```
pub trait IdempotencyStore: Send + Sync {
    /// The store's error. If a call fails, a receiver answers 503 and acknowledges nothing.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Claims the key for `lease_duration`, unless the key is done or another lease on it has not lapsed.
    ///
    /// # Errors
    /// The store's own. Either no claim was made, or the claim lapses by itself.
    fn claim(
        &self,
        key: &IdempotencyKey,
        lease_duration: Duration,
    ) -> impl Future<Output = Result<Claim, Self::Error>> + Send;

    /// Marks the lease's key done, and remembers it for `retention`.
    ///
    /// # Errors
    /// The store's own. The key may be done or not; call `complete` again.
    fn complete(
        &self,
        lease: &Lease,
        retention: Duration,
    ) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Releases the lease's key, so that the next delivery is handled at once.
    ///
    /// # Errors
    /// The store's own. The key is free when the lease lapses, if not before.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Extends the lease to `lease_duration` from now.
    ///
    /// # Errors
    /// The store's own. The lease may be renewed or not.
    fn renew(
        &self,
        lease: &Lease,
        lease_duration: Duration,
    ) -> impl Future<Output = Result<LeaseStatus, Self::Error>> + Send;

    /// Forgets the key in any state, and returns whether it was claimed or done. It is for an operator
    /// who wants an event handled again, so it takes the text that logs show ([`IdempotencyKey::as_str`]).
    /// Every lease on the key is lost, including a lapsed one. For an expired key, the result may be either:
    /// some stores delete it at once, and others later.
    ///
    /// # Errors
    /// The store's own.
    fn forget(&self, key: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// The result of [`IdempotencyStore::claim`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Claim {
    /// You hold the key until the lease ends: handle the event.
    Acquired(Lease),
    /// Another claim holds the key.
    InFlight {
        /// How long that claim's lease still lasts: more than zero.
        retry_after: Duration,
    },
    /// The event was handled before.
    Done,
}

/// The result of a write under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum LeaseStatus {
    /// The write was applied.
    Applied,
    /// The key no longer has this lease, and nothing was written.
    Lost,
}

impl LeaseStatus {
    /// `Applied` if the write changed a row, and `Lost` otherwise.
    pub fn applied_if(changed: bool) -> Self {
        if changed { Self::Applied } else { Self::Lost }
    }
}

/// A claim on a key: the key, and the token that each later write must present.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Lease {
    key: IdempotencyKey,
    token: [u8; 16],
}

impl Lease {
    /// Makes a lease, for a store. The token must be random, or at least unused for this key until now; a v4 UUID
    /// is enough.
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

/// Checks a lease duration, for a store's `claim` and `renew`.
///
/// # Errors
/// [`PolicyError::ZeroLease`] if the duration is zero.
pub fn check_lease_duration(lease_duration: Duration) -> Result<(), PolicyError> {
    if lease_duration.is_zero() { Err(PolicyError::ZeroLease) } else { Ok(()) }
}

/// Checks a retention, for a store's `complete`.
///
/// # Errors
/// [`PolicyError::ZeroRetention`] if the retention is zero.
pub fn check_retention(retention: Duration) -> Result<(), PolicyError> {
    if retention.is_zero() { Err(PolicyError::ZeroRetention) } else { Ok(()) }
}

/// Implements the trait for a pointer, which passes each call on.
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
