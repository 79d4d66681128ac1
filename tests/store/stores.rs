//! The contract of a store, on this crate's stores.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, DynIdempotencyStore, LeaseStatus, conformance};
use countersign::{Error, IdempotencyStore, MemoryStore, Receiver};

use crate::flaws::{Flaw, Flawed};

pub(crate) const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

/// A clock that is moved by hand.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    fn read(&self) -> impl Fn() -> Duration + Send + Sync + 'static {
        let clock = self.clone();
        move || Duration::from_millis(clock.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    let clock = Clock::default();
    let store = MemoryStore::new().with_clock(clock.read());
    conformance::check(&store, async |time| clock.pass(time)).await;
}

#[tokio::test]
async fn the_memory_store_keeps_the_contract_by_the_real_clock() {
    conformance::check(&MemoryStore::new(), async |time| tokio::time::sleep(time).await).await;
}

#[tokio::test]
async fn a_store_behind_a_pointer_or_erased_keeps_the_contract() {
    let clock = Clock::default();
    let pass = async |time| clock.pass(time);
    let store = Arc::new(MemoryStore::new().with_clock(clock.read()));
    conformance::check(&store, pass).await;
    conformance::check(&&store, pass).await;
    conformance::check(&Box::new(Arc::clone(&store)), pass).await;
    let erased: Arc<dyn DynIdempotencyStore> = store.clone();
    conformance::check(&erased, pass).await;
    let erased: Box<dyn DynIdempotencyStore> = Box::new(store);
    conformance::check(&erased, pass).await;
}

#[tokio::test]
async fn an_erased_error_is_the_stores_own() {
    let store: Arc<dyn DynIdempotencyStore> = Arc::new(MemoryStore::new().with_capacity(0));
    let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is full with 0 keys");
    assert_eq!(format!("{error:?}"), "Full { capacity: 0 }");
    assert!(error.get_ref().is::<countersign::store::MemoryStoreError>());
    assert_eq!(error.code(), "store_failed");

    let store: Arc<dyn DynIdempotencyStore> = Arc::new(Flawed::new(Flaw::None));
    let error = store.claim(&conformance::fresh_key(), Duration::ZERO).await.unwrap_err();
    assert_eq!(error.to_string(), "no time");
    assert_eq!(error.source().unwrap().to_string(), "a lease must be longer than zero");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_tasks_on_one_key_one_acquires_it_and_none_fails() {
    let store = Arc::new(MemoryStore::new());
    crate::race::one_wins_each_of_1_000_rounds(&vec![store; crate::race::RACERS]).await;
}

/// A fixed point may be any: the year 1, say, from which on it is more nanoseconds than 64 bits hold.
#[tokio::test]
async fn in_memory_a_clock_may_have_begun_long_ago() {
    let since = Duration::from_secs(2_026 * 31_556_952);
    let clock = Clock::default();
    let read = clock.read();
    let store = MemoryStore::new().with_clock(move || since + read());
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { retry_after: LEASE });
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
    clock.pass(RETENTION);
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

#[tokio::test]
async fn a_full_memory_store_refuses_and_forgets_no_live_claim_and_no_done_key() {
    let clock = Clock::default();
    let store = MemoryStore::new().with_clock(clock.read()).with_capacity(100);
    let keys: Vec<_> = (0..100).map(|_| conformance::fresh_key()).collect();
    for (n, key) in keys.iter().enumerate() {
        let Claim::Acquired(lease) = store.claim(key, LEASE).await.unwrap() else { panic!() };
        if n % 2 == 0 {
            assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        }
    }
    for _ in 0..1_000 {
        let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
        assert_eq!(error.code(), "store_full");
    }
    for (n, key) in keys.iter().enumerate() {
        let claim = store.claim(key, LEASE).await.unwrap();
        assert_eq!(claim == Claim::Done, n % 2 == 0);
        assert_eq!(matches!(claim, Claim::InFlight { .. }), n % 2 == 1);
    }

    // Once leases have lapsed, there is place; done keys stay for their retention.
    clock.pass(LEASE);
    for _ in 0..50 {
        assert!(matches!(
            store.claim(&conformance::fresh_key(), RETENTION).await.unwrap(),
            Claim::Acquired(_)
        ));
    }
    assert_eq!(store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err().code(), "store_full");
    for key in keys.iter().step_by(2) {
        assert_eq!(store.claim(key, LEASE).await.unwrap(), Claim::Done);
    }
    clock.pass(RETENTION);
    assert!(matches!(store.claim(&conformance::fresh_key(), LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(store.len() <= 100);
}

/// A store of this capacity that is full of claims of these lengths, by turns, and its clock.
async fn full_store(capacity: usize, leases: &[Duration]) -> (MemoryStore, Clock) {
    let clock = Clock::default();
    let store = MemoryStore::new().with_clock(clock.read()).with_capacity(capacity);
    for lease in leases.iter().cycle().take(capacity) {
        assert!(matches!(store.claim(&conformance::fresh_key(), *lease).await.unwrap(), Claim::Acquired(_)));
    }
    (store, clock)
}

#[tokio::test]
async fn a_claim_on_a_full_memory_store_drops_a_few_expired_keys_and_never_all() {
    // Those that expired a moment ago make place only because it is needed, and those of two hours ago anyway.
    for wait in [Duration::ZERO, 2 * RETENTION] {
        let (store, clock) = full_store(10_000, &[LEASE]).await;
        clock.pass(LEASE + wait);
        for n in 0..20_000 {
            let before = store.len();
            let claim = store.claim(&conformance::fresh_key(), LEASE).await;
            assert!(matches!(claim, Ok(Claim::Acquired(_))) == (n < 10_000), "claim {n}: {claim:?}");
            let dropped = before + usize::from(claim.is_ok()) - store.len();
            assert!(dropped <= 16, "claim {n} dropped {dropped} keys");
        }
    }
}

#[tokio::test]
async fn the_only_expired_key_of_a_full_memory_store_makes_place_wherever_it_is() {
    for _ in 0..100 {
        let mut leases = vec![RETENTION; 1_000];
        leases[500] = LEASE;
        let (store, clock) = full_store(1_000, &leases).await;
        clock.pass(LEASE);
        let claim = store.claim(&conformance::fresh_key(), LEASE).await;
        assert!(matches!(claim, Ok(Claim::Acquired(_))), "{claim:?}");
        let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
        assert_eq!((error.code(), store.len()), ("store_full", 1_000));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_claims_at_once_as_keys_have_expired_all_find_place() {
    for _ in 0..20 {
        let (store, clock) = full_store(1_000, &[LEASE, RETENTION]).await;
        clock.pass(LEASE);
        let store = Arc::new(store);
        let claims = (0..500).map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.claim(&conformance::fresh_key(), LEASE).await })
        });
        for claim in claims.collect::<Vec<_>>() {
            let claim = claim.await.unwrap();
            assert!(matches!(claim, Ok(Claim::Acquired(_))), "{claim:?}");
        }
        let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
        assert_eq!((error.code(), store.len()), ("store_full", 1_000));
    }
}

/// What the last of these tenants' events is answered with, after the first has sent more than a store can hold.
async fn after_a_flood_of_acmes(stores: [Arc<MemoryStore>; 2]) -> [u16; 2] {
    let [acme, globex] =
        ["acme", "globex"].map(|tenant| crate::common::webhook::<ThreeQpr>().with_tenant(tenant));
    let [of_acme, of_globex] = stores;
    let (acme, globex) = (Receiver::new(acme, of_acme), Receiver::new(globex, of_globex));
    let send = async |receiver: &Receiver<ThreeQpr, Arc<MemoryStore>>, n: usize| {
        let body = format!(r#"{{"id":"evt_{n}","event":"scan.created","data":{{}}}}"#);
        let headers = crate::common::signed(receiver.webhook(), body.as_bytes());
        receiver.receive(&headers, body.as_bytes(), async |_| Ok::<_, Error>(())).await.status()
    };
    for n in 0..100 {
        assert_eq!(send(&acme, n).await, 200);
    }
    [send(&acme, 100).await, send(&globex, 0).await]
}

#[tokio::test]
async fn a_tenant_that_fills_its_own_store_blocks_nobody_else_and_in_a_shared_one_everybody() {
    let store = || Arc::new(MemoryStore::new().with_capacity(100));
    assert_eq!(after_a_flood_of_acmes([store(), store()]).await, [503, 200]);
    let shared = store();
    assert_eq!(after_a_flood_of_acmes([Arc::clone(&shared), shared]).await, [503, 503]);
}

#[tokio::test]
async fn in_memory_a_lease_and_a_retention_end_on_time_and_not_after() {
    let clock = Clock::default();
    let moment = Duration::from_millis(1);
    let store = MemoryStore::new().with_clock(clock.read());
    let key = conformance::fresh_key();
    let Claim::Acquired(_) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    clock.pass(LEASE - moment);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { retry_after: moment });
    clock.pass(moment);
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    clock.pass(RETENTION - moment);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
    clock.pass(moment);
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

#[tokio::test]
async fn a_memory_store_says_how_many_keys_it_holds() {
    let store = MemoryStore::new();
    let key = conformance::fresh_key();
    assert_eq!((store.len(), store.is_empty()), (0, true));
    let _lease = store.claim(&key, LEASE).await.unwrap();
    assert_eq!((store.len(), store.is_empty()), (1, false));
    assert!(store.forget(key.as_str()).await.unwrap());
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_memory_store_that_is_not_full_drops_what_expired_an_hour_ago() {
    let clock = Clock::default();
    let store = MemoryStore::new().with_clock(clock.read());
    for _ in 0..10_000 {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    }
    clock.pass(2 * RETENTION);
    // Each drops up to four of those at its own lock, so that these drop them all, however they are spread.
    for _ in 0..10_000 {
        let _ = store.claim(&conformance::fresh_key(), LEASE).await.unwrap();
    }
    assert_eq!(store.len(), 10_000);
}

#[tokio::test]
async fn a_lapsed_claim_lingers_for_an_hour_in_which_it_can_be_completed() {
    let clock = Clock::default();
    let store = MemoryStore::new().with_clock(clock.read());
    for (wait, expected) in
        [(Duration::from_secs(3599), LeaseStatus::Applied), (Duration::from_secs(3600), LeaseStatus::Lost)]
    {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        clock.pass(LEASE + wait);
        // So many that one of them comes to the same lock.
        for _ in 0..10_000 {
            let _other = store.claim(&conformance::fresh_key(), LEASE).await.unwrap();
        }
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_lease_of_one_memory_store_is_stale_in_another() {
    let key = conformance::fresh_key();
    let (one, other) = (MemoryStore::new(), MemoryStore::new());
    let Claim::Acquired(lease) = one.claim(&key, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(_) = other.claim(&key, LEASE).await.unwrap() else { panic!() };
    assert_eq!(other.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Lost);
    assert_eq!(one.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
}
