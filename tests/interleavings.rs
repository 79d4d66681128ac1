//! Every interleaving of threads that claim, complete and release a key of the memory store.
//!
//! Run it with `RUSTFLAGS='--cfg countersign_loom' cargo test --test interleavings --features conformance
//! --target-dir target/loom --release`, as `.ci/run` does; otherwise there is nothing in it.
#![cfg(countersign_loom)]

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore, MemoryStore};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

const LEASE: Duration = Duration::from_secs(60);

/// A future of a store in memory, which is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a store in memory waits for nothing"),
    }
}

fn store() -> MemoryStore {
    MemoryStore::new().with_clock(|| Duration::ZERO).with_capacity(16)
}

/// A store with room for one key, and the lease of that key, which has lapsed.
fn lapsed(key: &IdempotencyKey) -> (Arc<MemoryStore>, Lease) {
    let time = Arc::new(AtomicUsize::new(0));
    let clock = Arc::clone(&time);
    let store = MemoryStore::new()
        .with_clock(move || Duration::from_secs(clock.load(Ordering::SeqCst) as u64))
        .with_capacity(1);
    let Claim::Acquired(lease) = ready(store.claim(key, LEASE)).unwrap() else { panic!() };
    time.store(61, Ordering::SeqCst);
    (Arc::new(store), lease)
}

/// Threads that claim one key at once, of which exactly one may acquire it.
fn race(claim: impl Fn(&IdempotencyKey) -> bool + Send + Sync + 'static) {
    let key = conformance::fresh_key();
    let acquired = Arc::new(AtomicUsize::new(0));
    let claim = Arc::new(claim);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (key, acquired, claim) = (key.clone(), Arc::clone(&acquired), Arc::clone(&claim));
            thread::spawn(move || {
                if claim(&key) {
                    acquired.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(acquired.load(Ordering::Relaxed), 1, "not exactly one thread acquired the key");
}

#[test]
fn of_threads_that_claim_a_key_one_acquires_it_in_every_interleaving() {
    loom::model(|| {
        let store = store();
        race(move |key| matches!(ready(store.claim(key, LEASE)).unwrap(), Claim::Acquired(_)));
    });
}

/// The same test finds the fault in a store that looks first and inserts later.
#[test]
#[should_panic(expected = "not exactly one thread acquired the key")]
fn check_then_insert_is_caught() {
    loom::model(|| {
        let keys = Mutex::new(HashMap::new());
        race(move |key| {
            let is_free = !keys.lock().unwrap().contains_key(key);
            if is_free {
                keys.lock().unwrap().insert(key.clone(), ());
            }
            is_free
        });
    });
}

/// Two keys that are kept apart: any two, by the sum of their bytes. Made outside the model, in which all has
/// to be the same each time.
fn two_keys() -> [IdempotencyKey; 2] {
    let sum = |key: &IdempotencyKey| key.as_str().bytes().fold(0_u8, u8::wrapping_add) % 32;
    let one = conformance::fresh_key();
    let other = std::iter::repeat_with(conformance::fresh_key).find(|other| sum(other) != sum(&one));
    [one, other.unwrap()]
}

#[test]
fn the_last_place_is_for_one_key_in_every_interleaving() {
    let keys = two_keys();
    loom::model(move || {
        let store = Arc::new(store().with_capacity(1));
        let [here, there] = keys.clone();
        let other = thread::spawn({
            let store = Arc::clone(&store);
            move || ready(store.claim(&there, LEASE))
        });
        let claims = [ready(store.claim(&here, LEASE)), other.join().unwrap()];
        let acquired = claims.iter().filter(|claim| matches!(claim, Ok(Claim::Acquired(_)))).count();
        let refused = claims.iter().filter(|claim| claim.is_err()).count();
        assert_eq!((acquired, refused, store.len()), (1, 1, 1));
    });
}

#[test]
fn the_place_of_a_key_that_has_lapsed_is_for_one_key_too() {
    let keys = two_keys();
    loom::model(move || {
        let [here, there] = keys.clone();
        let (store, lease) = lapsed(&here);
        let other = thread::spawn({
            let store = Arc::clone(&store);
            move || ready(store.claim(&there, LEASE))
        });
        // Late, and still its own until another needs the place.
        let completed = ready(store.complete(&lease, LEASE)).unwrap();
        let other = other.join().unwrap();
        assert_eq!(completed == LeaseStatus::Applied, other.is_err());
        assert_eq!(store.len(), 1);
    });
}

#[test]
fn a_release_makes_place_for_another_key_and_is_counted_once() {
    let keys = two_keys();
    loom::model(move || {
        let store = Arc::new(store().with_capacity(1));
        let [here, there] = keys.clone();
        let Claim::Acquired(lease) = ready(store.claim(&here, LEASE)).unwrap() else { panic!() };
        let other = thread::spawn({
            let store = Arc::clone(&store);
            move || ready(store.claim(&there, LEASE)).is_ok()
        });
        assert_eq!(ready(store.release(&lease)).unwrap(), LeaseStatus::Applied);
        let other = other.join().unwrap();
        assert_eq!(store.len(), usize::from(other));
    });
}

#[test]
fn a_completion_and_a_takeover_never_both_succeed() {
    loom::model(|| {
        let key = conformance::fresh_key();
        let (store, lease) = lapsed(&key);
        let completion = thread::spawn({
            let store = Arc::clone(&store);
            move || ready(store.complete(&lease, LEASE)).unwrap()
        });
        let taken = ready(store.claim(&key, LEASE)).unwrap();
        let completed = completion.join().unwrap();
        assert_eq!(completed == LeaseStatus::Applied, taken == Claim::Done);
        assert_eq!(completed == LeaseStatus::Lost, matches!(taken, Claim::Acquired(_)));
    });
}

#[test]
fn a_renewal_never_lets_a_second_claim_in_beside_it() {
    loom::model(|| {
        let key = conformance::fresh_key();
        let (store, lease) = lapsed(&key);
        let (renewing, renewed) = (Arc::clone(&store), lease.clone());
        let renewal = thread::spawn(move || ready(renewing.renew(&renewed, LEASE)).unwrap());
        let taken = ready(store.claim(&key, LEASE)).unwrap();
        let renewed = renewal.join().unwrap();
        assert_eq!(renewed == LeaseStatus::Lost, matches!(taken, Claim::Acquired(_)));
        assert_eq!(ready(store.complete(&lease, LEASE)).unwrap(), renewed);
    });
}

#[test]
fn a_release_frees_the_key_for_one_and_never_a_done_one() {
    loom::model(|| {
        let store = Arc::new(store());
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = ready(store.claim(&key, LEASE)).unwrap() else { panic!() };
        let write = |write: fn(&MemoryStore, &Lease) -> LeaseStatus| {
            let (store, lease) = (Arc::clone(&store), lease.clone());
            thread::spawn(move || write(&store, &lease))
        };
        let completion = write(|store, lease| ready(store.complete(lease, LEASE)).unwrap());
        let release = write(|store, lease| ready(store.release(lease)).unwrap());
        let (completed, released) = (completion.join().unwrap(), release.join().unwrap());
        // Whichever came first has won.
        assert_ne!(completed, released);
        let after = ready(store.claim(&key, LEASE)).unwrap();
        assert_eq!(after == Claim::Done, completed == LeaseStatus::Applied);
    });
}
