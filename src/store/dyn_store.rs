//! The object-safe form of the store trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::BoxError;
use crate::store::IdempotencyKey;
use crate::store::{Claim, IdempotencyStore, Lease, LeaseStatus};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DynStoreError>> + Send + 'a>>;

/// The object-safe form of [`IdempotencyStore`], for a store that is chosen when the program runs.
///
/// Every store implements it, and `Arc<dyn DynIdempotencyStore>` is a store again. Each call costs an
/// allocation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use countersign::{MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr, store::DynIdempotencyStore};
///
/// let store: Arc<dyn DynIdempotencyStore> = Arc::new(MemoryStore::new());
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
pub trait DynIdempotencyStore: Send + Sync {
    /// [`IdempotencyStore::claim`].
    fn dyn_claim<'a>(&'a self, key: &'a IdempotencyKey, lease_duration: Duration) -> Answer<'a, Claim>;

    /// [`IdempotencyStore::complete`].
    fn dyn_complete<'a>(&'a self, lease: &'a Lease, retention: Duration) -> Answer<'a, LeaseStatus>;

    /// [`IdempotencyStore::release`].
    fn dyn_release<'a>(&'a self, lease: &'a Lease) -> Answer<'a, LeaseStatus>;

    /// [`IdempotencyStore::renew`].
    fn dyn_renew<'a>(&'a self, lease: &'a Lease, lease_duration: Duration) -> Answer<'a, LeaseStatus>;

    /// [`IdempotencyStore::forget`].
    fn dyn_forget<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;
}

impl<S: IdempotencyStore> DynIdempotencyStore for S {
    fn dyn_claim<'a>(&'a self, key: &'a IdempotencyKey, lease_duration: Duration) -> Answer<'a, Claim> {
        Box::pin(async move { self.claim(key, lease_duration).await.map_err(DynStoreError::new) })
    }

    fn dyn_complete<'a>(&'a self, lease: &'a Lease, retention: Duration) -> Answer<'a, LeaseStatus> {
        Box::pin(async move { self.complete(lease, retention).await.map_err(DynStoreError::new) })
    }

    fn dyn_release<'a>(&'a self, lease: &'a Lease) -> Answer<'a, LeaseStatus> {
        Box::pin(async move { self.release(lease).await.map_err(DynStoreError::new) })
    }

    fn dyn_renew<'a>(&'a self, lease: &'a Lease, lease_duration: Duration) -> Answer<'a, LeaseStatus> {
        Box::pin(async move { self.renew(lease, lease_duration).await.map_err(DynStoreError::new) })
    }

    fn dyn_forget<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { self.forget(key).await.map_err(DynStoreError::new) })
    }
}

impl IdempotencyStore for dyn DynIdempotencyStore + '_ {
    type Error = DynStoreError;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> Result<Claim, DynStoreError> {
        self.dyn_claim(key, lease_duration).await
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> Result<LeaseStatus, DynStoreError> {
        self.dyn_complete(lease, retention).await
    }

    async fn release(&self, lease: &Lease) -> Result<LeaseStatus, DynStoreError> {
        self.dyn_release(lease).await
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> Result<LeaseStatus, DynStoreError> {
        self.dyn_renew(lease, lease_duration).await
    }

    async fn forget(&self, key: &str) -> Result<bool, DynStoreError> {
        self.dyn_forget(key).await
    }
}

/// The error of a [`DynIdempotencyStore`]. It displays as the store's own error, which
/// [`get_ref`](DynStoreError::get_ref) returns.
pub struct DynStoreError(BoxError);

impl DynStoreError {
    fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(error.into())
    }

    /// The store's own error, for a downcast.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Always `store_failed`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "store_failed"
    }
}

impl fmt::Debug for DynStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for DynStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DynStoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
