//! What a claim and its completion cost in memory: against the least that could be done, on one
//! thread and on two. `claiming --quick` takes fewer rounds.

use std::collections::HashMap;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use compare::keys::keys;
use compare::memory::claim_and_complete;
use compare::record::put;
use countersign::{IdempotencyKey, MemoryStore};

/// The keys that a thread claims in a round.
const EACH: usize = 20_000;

/// How long `work` takes for all these keys.
fn timed(keys: &[IdempotencyKey], mut work: impl FnMut(&IdempotencyKey)) -> Duration {
    let start = Instant::now();
    keys.iter().for_each(&mut work);
    start.elapsed()
}

/// How long two threads take that do this at once, each with keys of its own.
fn by_two(halves: [&[IdempotencyKey]; 2], stores: [&MemoryStore; 2]) -> Duration {
    let barrier = Barrier::new(2);
    let work = |half: usize| {
        barrier.wait();
        timed(halves[half], |key| claim_and_complete(stores[half], key))
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| work(1));
        let one = work(0);
        one.max(other.join().unwrap())
    })
}

fn against_a_map(rounds: usize, keys: &[IdempotencyKey]) {
    let mut best = [f64::INFINITY; 4];
    let (one, other) = keys[..2 * EACH].split_at(EACH);
    for _ in 0..rounds {
        let map = Mutex::new(HashMap::new());
        let bare = timed(one, |key| {
            map.lock().unwrap().insert(key.as_str().to_owned(), false);
            if let Some(done) = map.lock().unwrap().get_mut(key.as_str()) {
                *done = true;
            }
        });
        let store = MemoryStore::new();
        let alone = timed(one, |key| claim_and_complete(&store, key));
        let shared = MemoryStore::new();
        let two = by_two([one, other], [&shared, &shared]);
        let stores = [MemoryStore::new(), MemoryStore::new()];
        let apart = by_two([one, other], [&stores[0], &stores[1]]);
        for (best, time) in best.iter_mut().zip([bare, alone, two, apart]) {
            *best = best.min(time.as_nanos() as f64 / EACH as f64);
        }
    }
    for (name, time) in
        ["Mutex<HashMap>", "MemoryStore", "two threads", "two threads, a store each"].iter().zip(best)
    {
        put(format_args!("memory/{name}"), time);
    }
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--quick") { 30 } else { 150 };
    against_a_map(rounds, &keys(0..2 * EACH as u64));
}
