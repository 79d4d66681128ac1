//! Races for a key, which one claim wins.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use tokio::sync::Barrier;

/// So many connections race for a key.
pub const RACERS: usize = 16;

/// The rule of a race: of claims of a key at once, each by a store with a connection of its own,
/// exactly one is acquired; every loser is told that it is in flight or, if the winner `completes` it
/// at once, done; none gets an error. Returns how many were told that it is in flight.
pub async fn one_wins<S>(stores: &[S], key: &IdempotencyKey, completes: bool) -> usize
where
    S: IdempotencyStore + Clone + 'static,
{
    const LEASE: Duration = Duration::from_secs(60);
    let barrier = Arc::new(Barrier::new(stores.len()));
    let race = |store: &S| {
        let (store, key, barrier) = (store.clone(), key.clone(), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            let claim = store.claim(&key, LEASE).await.unwrap();
            if let (Claim::Acquired(lease), true) = (&claim, completes) {
                assert_eq!(store.complete(lease, LEASE).await.unwrap(), LeaseStatus::Applied);
            }
            claim
        })
    };
    let racing: Vec<_> = stores.iter().map(race).collect();
    let (mut acquired, mut in_flight) = (0, 0);
    for racer in racing {
        match racer.await.unwrap() {
            Claim::Acquired(_) => acquired += 1,
            Claim::InFlight { retry_after } => {
                assert!(retry_after > Duration::ZERO && retry_after <= LEASE, "{retry_after:?}");
                in_flight += 1;
            }
            Claim::Done => assert!(completes, "nobody completed it"),
        }
    }
    assert_eq!(acquired, 1);
    in_flight
}

/// [`one_wins`], in 5,000 rounds with a new key each; every other winner completes its key at once.
pub async fn one_wins_each_of_5_000_rounds<S>(stores: &[S])
where
    S: IdempotencyStore + Clone + 'static,
{
    const ROUNDS: usize = 5_000;
    assert_eq!(stores.len(), RACERS);
    let mut in_flight = 0;
    for round in 0..ROUNDS {
        in_flight += one_wins(stores, &conformance::fresh_key(), round % 2 == 0).await;
    }
    let losers = ROUNDS * (RACERS - 1);
    println!("{ROUNDS} acquired, {in_flight} in flight, {} done", losers - in_flight);
    // Otherwise it was no race.
    assert!(in_flight < losers, "no loser was told that it is done");
}
