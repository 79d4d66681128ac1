//! Races for a key, which one claim wins.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use tokio::sync::Barrier;

const LEASE: Duration = Duration::from_secs(60);

/// So many connections race for a key.
pub const RACERS: usize = 16;

/// The rule of a race: of claims of a key at once, each by a store with a connection of its own,
/// exactly one is acquired; every loser is told that it is in flight or, if the winner `completes` it
/// at once, done; none gets an error. Returns how many were told that it is in flight.
pub async fn one_wins<S>(stores: &[S], key: &IdempotencyKey, completes: bool) -> usize
where
    S: IdempotencyStore + Clone + 'static,
{
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

/// [`one_wins`], in 1,000 rounds with a new key each; every other winner completes its key at once.
pub async fn one_wins_each_of_1_000_rounds<S>(stores: &[S])
where
    S: IdempotencyStore + Clone + 'static,
{
    const ROUNDS: usize = 1_000;
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

/// [`one_wins`], in so many rounds with a key whose claim was released, and with one whose lease has lapsed.
pub async fn one_takes_over_each_released_or_lapsed_key<S>(stores: &[S], rounds: usize)
where
    S: IdempotencyStore + Clone + 'static,
{
    for round in 0..rounds {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = stores[0].claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(stores[0].release(&lease).await.unwrap(), LeaseStatus::Applied);
        one_wins(stores, &key, round % 2 == 0).await;
        let key = conformance::fresh_key();
        let lapsed = stores[0].claim(&key, Duration::from_millis(1)).await.unwrap();
        assert!(matches!(lapsed, Claim::Acquired(_)), "{lapsed:?}");
        tokio::time::sleep(Duration::from_millis(3)).await;
        one_wins(stores, &key, round % 2 == 0).await;
    }
}
