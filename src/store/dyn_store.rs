//! The object-safe twin of the store trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::BoxError;
use crate::store::IdempotencyKey;
use crate::store::{Claim, Fenced, IdempotencyStore, Lease};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ErasedError>> + Send + 'a>>;

/// The twin of [`IdempotencyStore`] that can be a trait object, so that the store can be chosen
/// when the program runs. Every store is one, and `Arc<dyn ErasedStore>` is a store again; each call
/// costs an allocation.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use countersign::{MemoryStore, Receiver, Secret, Webhook, provider::ThreeQpr, store::ErasedStore};
///
/// let store: Arc<dyn ErasedStore> = Arc::new(MemoryStore::new());
/// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// let receiver = Receiver::new(webhook, store);
/// # Ok(()) }
/// ```
pub trait ErasedStore: Send + Sync {
    /// [`IdempotencyStore::claim`].
    fn erased_claim<'a>(&'a self, key: &'a IdempotencyKey, lease: Duration) -> Answer<'a, Claim>;

    /// [`IdempotencyStore::complete`].
    fn erased_complete<'a>(&'a self, lease: &'a Lease, retain: Duration) -> Answer<'a, Fenced>;

    /// [`IdempotencyStore::release`].
    fn erased_release<'a>(&'a self, lease: &'a Lease) -> Answer<'a, Fenced>;

    /// [`IdempotencyStore::renew`].
    fn erased_renew<'a>(&'a self, lease: &'a Lease, lease_for: Duration) -> Answer<'a, Fenced>;

    /// [`IdempotencyStore::forget`].
    fn erased_forget<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;
}

impl<S: IdempotencyStore> ErasedStore for S {
    fn erased_claim<'a>(&'a self, key: &'a IdempotencyKey, lease: Duration) -> Answer<'a, Claim> {
        Box::pin(async move { self.claim(key, lease).await.map_err(ErasedError::new) })
    }

    fn erased_complete<'a>(&'a self, lease: &'a Lease, retain: Duration) -> Answer<'a, Fenced> {
        Box::pin(async move { self.complete(lease, retain).await.map_err(ErasedError::new) })
    }

    fn erased_release<'a>(&'a self, lease: &'a Lease) -> Answer<'a, Fenced> {
        Box::pin(async move { self.release(lease).await.map_err(ErasedError::new) })
    }

    fn erased_renew<'a>(&'a self, lease: &'a Lease, lease_for: Duration) -> Answer<'a, Fenced> {
        Box::pin(async move { self.renew(lease, lease_for).await.map_err(ErasedError::new) })
    }

    fn erased_forget<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { self.forget(key).await.map_err(ErasedError::new) })
    }
}

impl IdempotencyStore for dyn ErasedStore + '_ {
    type Error = ErasedError;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, ErasedError> {
        self.erased_claim(key, lease).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, ErasedError> {
        self.erased_complete(lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, ErasedError> {
        self.erased_release(lease).await
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, ErasedError> {
        self.erased_renew(lease, lease_for).await
    }

    async fn forget(&self, key: &str) -> Result<bool, ErasedError> {
        self.erased_forget(key).await
    }
}

/// The error of a store whose type is erased: it displays as that store's error, which is its
/// [`get_ref`](ErasedError::get_ref).
pub struct ErasedError(BoxError);

impl ErasedError {
    fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(error.into())
    }

    /// The store's own error, to be downcast.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Always `store_failed`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "store_failed"
    }

    /// Always 503: nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }
}

impl fmt::Debug for ErasedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ErasedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ErasedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
