//! What a claim and its completion cost in memory: against the least that could be done, on one
//! thread and on two. `claiming --quick` takes fewer rounds.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use compare::claims::claim_and_complete_at_once;
use compare::keys::keys;
use compare::record::put;
use compare::rounds::{Candidate, measure, spread};
use countersign::{IdempotencyKey, MemoryStore, Secret, Signature};

/// The keys that a thread claims in a round.
const EACH: usize = 20_000;

/// How long `work` takes for all these keys.
fn timed<'a>(keys: &'a [IdempotencyKey], mut work: impl FnMut(&'a IdempotencyKey)) -> Duration {
    let start = Instant::now();
    keys.iter().for_each(&mut work);
    start.elapsed()
}

/// How long two threads take that do this at once, each with keys of its own: from when the first begins
/// to when the last is done, since one that begins late would have the machine for itself.
fn by_two(halves: [&[IdempotencyKey]; 2], work: impl Fn(usize, &IdempotencyKey) + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let half = |which: usize| {
        barrier.wait();
        let start = Instant::now();
        halves[which].iter().for_each(|key| work(which, key));
        (start, Instant::now())
    };
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap())
    });
    one.1.max(other.1) - one.0.min(other.0)
}

/// The least that could be done: no deadline, no fence, no place for what has expired.
fn insert_and_update<'a, K: Borrow<str> + Hash + Eq>(
    keys: &'a [IdempotencyKey],
    of: impl Fn(&'a IdempotencyKey) -> K,
) -> Duration {
    let map = Mutex::new(HashMap::new());
    timed(keys, |key| {
        map.lock().unwrap().insert(of(key), false);
        if let Some(done) = map.lock().unwrap().get_mut(key.as_str()) {
            *done = true;
        }
    })
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--quick") { 30 } else { 150 };
    let keys = keys(0..2 * EACH as u64);
    let (one, other) = keys.split_at(EACH);
    let secret = Secret::new("whsec_0123456789abcdef").unwrap();
    // Work that shares nothing: what this machine's second core is worth.
    let hash = |key: &IdempotencyKey| {
        black_box(Signature::sign(&secret, key.as_str().as_bytes()));
    };

    fn candidate<'a>(name: &str, once: impl Fn() -> Duration + 'a) -> Candidate<'a> {
        Candidate::timed(name, move |times| (0..times).map(|_| once()).sum())
    }
    let mut candidates = [
        candidate("Mutex<HashMap>", || insert_and_update(one, |key| key.as_str().to_owned())),
        candidate("Mutex<HashMap>, keys borrowed", || insert_and_update(one, IdempotencyKey::as_str)),
        candidate("MemoryStore", || {
            let store = MemoryStore::new();
            timed(one, |key| claim_and_complete_at_once(&store, key))
        }),
        candidate("MemoryStore, two threads", || {
            let store = MemoryStore::new();
            by_two([one, other], |_, key| claim_and_complete_at_once(&store, key))
        }),
        candidate("MemoryStore, two threads with a store each", || {
            let stores = [MemoryStore::new(), MemoryStore::new()];
            by_two([one, other], |which, key| claim_and_complete_at_once(&stores[which], key))
        }),
        candidate("hashing", || timed(one, hash)),
        candidate("hashing, two threads", || by_two([one, other], |_, key| hash(key))),
    ];
    let times = measure(&mut candidates, rounds, Duration::from_millis(1));
    for (candidate, time) in candidates.iter().zip(&times) {
        put(format_args!("memory/{}", candidate.name), time.least / EACH as f64);
    }
    put("spread/memory", spread(times));
}
