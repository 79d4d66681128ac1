//! A claim of a new key and its completion.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use countersign::store::Claim;
use countersign::{IdempotencyKey, IdempotencyStore, MemoryStore};

pub const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// A future of a store in memory, which is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a store in memory waits for nothing"),
    }
}

/// Claims a new key and completes it.
pub async fn claim_and_complete<S: IdempotencyStore>(store: &S, key: &IdempotencyKey) {
    let Claim::Acquired(lease) = store.claim(key, LEASE).await.unwrap() else {
        unreachable!("the key is new")
    };
    let _ = store.complete(&lease, RETENTION).await.unwrap();
}

/// The same in memory, without an async runtime.
pub fn claim_and_complete_at_once(store: &MemoryStore, key: &IdempotencyKey) {
    ready(claim_and_complete(store, key));
}
