//! Rules that hold however many calls of a store are under way.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::SqlStoreError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

/// A store that tasks can share.
pub(crate) trait Store: IdempotencyStore<Error = SqlStoreError> + Clone + 'static {}

impl<S: IdempotencyStore<Error = SqlStoreError> + Clone + 'static> Store for S {}

/// More would wait for longer than a call waits for a connection, where each has a flush of its own.
const AT_ONCE: usize = 300;

/// No call waits for longer than this.
const AT_MOST: Duration = Duration::from_secs(5);

/// Runs a call for each item, so many at once, and returns their results in any order.
pub(crate) async fn at_once<I, T: Send + 'static, F>(items: I, call: impl Fn(I::Item) -> F) -> Vec<T>
where
    I: IntoIterator,
    F: Future<Output = T> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let in_a_place = |call: F| {
        let places = Arc::clone(&places);
        async move {
            let _place = places.acquire().await.unwrap();
            call.await
        }
    };
    items.into_iter().map(call).map(in_a_place).collect::<JoinSet<T>>().join_all().await
}

pub(crate) fn keys(count: usize) -> Vec<IdempotencyKey> {
    (0..count).map(|_| conformance::fresh_key()).collect()
}

/// Claims keys that are free, all at once.
pub(crate) async fn claim_all<S: Store>(store: &S, keys: &[IdempotencyKey]) -> Vec<Lease> {
    at_once(keys.to_vec(), |key| {
        let store = store.clone();
        async move {
            match store.claim(&key, LEASE).await.unwrap() {
                Claim::Acquired(lease) => lease,
                other => panic!("{key} is free, but {other:?}"),
            }
        }
    })
    .await
}

/// Completes leases, all at once.
pub(crate) async fn complete_all<S: Store>(store: &S, leases: Vec<Lease>) -> Vec<LeaseStatus> {
    at_once(leases, |lease| {
        let store = store.clone();
        async move { store.complete(&lease, RETENTION).await.unwrap() }
    })
    .await
}

/// The whole contract, so many times at once.
pub(crate) async fn the_contract_is_kept_at_once<S: Store>(store: &S, times: usize) {
    let checks = (0..times).map(|_| conformance::check(store, async |time| tokio::time::sleep(time).await));
    futures_util::future::join_all(checks).await;
}

/// Of eight claims of each key at once, one is acquired; it alone is completed, and then all are done.
pub(crate) async fn one_of_8_claims_acquires_each_of_800_keys<S: Store>(store: &S) {
    let keys = keys(800);
    let all: Vec<_> = (0..8 * keys.len()).map(|n| keys[n % keys.len()].clone()).collect();
    let claims = at_once(all.clone(), |key| {
        let store = store.clone();
        async move { store.claim(&key, LEASE).await.unwrap() }
    })
    .await;
    let mut leases = Vec::new();
    for claim in claims {
        match claim {
            Claim::Acquired(lease) => leases.push(lease),
            Claim::InFlight { retry_after } => {
                assert!(retry_after > Duration::ZERO && retry_after <= LEASE, "{retry_after:?}");
            }
            Claim::Done => panic!("nobody completed it"),
        }
    }
    let mut acquired: Vec<_> = leases.iter().map(|lease| lease.key().clone()).collect();
    acquired.sort();
    let mut expected = keys;
    expected.sort();
    assert_eq!(acquired, expected);
    // Some leases twice, as if the first answer had been lost, and some that nobody has.
    let twice = leases.iter().chain(&leases[..100]).cloned().collect();
    let lost = leases[..100].iter().map(|lease| Lease::new(lease.key().clone(), [0; 16])).collect();
    let (completed, lost) = tokio::join!(complete_all(store, twice), complete_all(store, lost));
    assert!(completed.iter().all(|status| *status == LeaseStatus::Applied));
    assert!(lost.iter().all(|status| *status == LeaseStatus::Lost));
    for claim in at_once(all, |key| {
        let store = store.clone();
        async move { store.claim(&key, LEASE).await.unwrap() }
    })
    .await
    {
        assert_eq!(claim, Claim::Done);
    }
}

/// Of 200 claims, those that contain the refused key's text fail, and the others are acquired.
pub(crate) async fn a_refused_key_fails_alone<S: Store>(store: &S, refused: &IdempotencyKey) {
    let mut keys = keys(200);
    keys[100] = refused.clone();
    let claims = at_once(keys, |key| {
        let store = store.clone();
        async move { (store.claim(&key, LEASE).await, key) }
    })
    .await;
    let mut leases = Vec::new();
    for (claim, key) in claims {
        match claim {
            Ok(Claim::Acquired(lease)) => leases.push(lease),
            Ok(other) => panic!("{key} is free, but {other:?}"),
            Err(error) => {
                assert_eq!((&key, error.code()), (refused, "store_failed"), "{error:?}");
                let source = std::error::Error::source(&error).unwrap().to_string();
                assert!(source.contains("refused"), "{source}");
            }
        }
    }
    assert_eq!(leases.len(), 199);
}

/// Callers that hang up at any moment: the others are answered, and what was claimed can be claimed again once it is
/// forgotten or its lease has ended.
pub(crate) async fn who_hangs_up_disturbs_nobody<S: Store>(store: &S) {
    for round in 0..40 {
        let (stays, goes) = (keys(40), keys(40));
        let hang_ups = at_once(goes.iter().cloned().enumerate(), |(n, key)| {
            let store = store.clone();
            async move {
                let moment = Duration::from_micros((n as u64 * 131 + round * 57) % 4_000);
                let pair = async {
                    if let Claim::Acquired(lease) =
                        store.claim(&key, Duration::from_millis(300)).await.unwrap()
                    {
                        let _ = store.complete(&lease, RETENTION).await.unwrap();
                    }
                };
                // Whether it is done in time does not matter.
                let _ = tokio::time::timeout(moment, pair).await;
            }
        });
        let (_, leases) = tokio::join!(hang_ups, claim_all(store, &stays));
        assert_eq!(complete_all(store, leases).await, [LeaseStatus::Applied; 40]);
        if round == 39 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            // Free, done, or lapsed; but never in flight for longer than the lease.
            for key in goes {
                assert!(!matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }), "{key}");
            }
        }
    }
}

/// A runtime that ends takes its tasks with it, in the middle of anything. The calls of another one that wait with them
/// are answered, and later calls succeed. A socket ends with its runtime too, so with a server some calls fail
/// until the pool has closed such connections.
pub(crate) fn a_runtime_that_ends_takes_no_later_call_with_it<S: Store>(store: &S, uses_sockets: bool) {
    for moment in 0..20 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            for key in keys(200) {
                let store = store.clone();
                tokio::spawn(async move { store.claim(&key, LEASE).await });
            }
            tokio::time::sleep(Duration::from_micros(moment * 300)).await;
        });
        let waiting = std::thread::spawn({
            let store = store.clone();
            move || {
                let claims = at_once(keys(50), |key| {
                    let store = store.clone();
                    async move { store.claim(&key, LEASE).await }
                });
                let claims = tokio::runtime::Runtime::new().unwrap().block_on(claims);
                assert!(uses_sockets || claims.iter().all(Result::is_ok));
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
        waiting.join().unwrap();
        let later = tokio::runtime::Runtime::new().unwrap();
        let mut rounds = 0..if uses_sockets { 20 } else { 1 };
        let succeeds = |_| {
            let claims = at_once(keys(50), |key| {
                let store = store.clone();
                async move { store.claim(&key, LEASE).await }
            });
            let claims = later.block_on(async { tokio::time::timeout(4 * AT_MOST, claims).await.unwrap() });
            claims.iter().all(Result::is_ok)
        };
        assert!(rounds.any(succeeds), "no later call succeeds");
    }
}

/// Once the pool is closed, each call fails, and none waits.
pub(crate) async fn a_closed_pool_fails_each_call<S: Store>(store: &S, close: impl Future<Output = ()>) {
    let calls = at_once(keys(300), |key| {
        let store = store.clone();
        async move { store.claim(&key, LEASE).await }
    });
    let (answers, ()) = tokio::join!(calls, close);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error.code(), "store_failed", "{error:?}");
    }
    let start = Instant::now();
    let answers = at_once(keys(300), |key| {
        let store = store.clone();
        async move { store.claim(&key, LEASE).await }
    })
    .await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code() == "store_failed")));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
