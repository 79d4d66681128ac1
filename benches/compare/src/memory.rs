//! The store in memory, without an async runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use countersign::store::Claim;
use countersign::{IdempotencyKey, IdempotencyStore, MemoryStore};

pub const LEASE: Duration = Duration::from_secs(60);
pub const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// A future of a store in memory, which is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a store in memory waits for nothing"),
    }
}

/// Claims a new key and completes it.
pub fn claim_and_complete(store: &MemoryStore, key: &IdempotencyKey) {
    let Claim::Acquired(lease) = ready(store.claim(key, LEASE)).unwrap() else {
        unreachable!("the key is new")
    };
    let _ = ready(store.complete(&lease, RETENTION)).unwrap();
}
