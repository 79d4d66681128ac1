//! The contract of a store, by any clock, in any table, and in a transaction of its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::store::{Begun, Claim, DynIdempotencyStore, LeaseStatus, TransactionalStore, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::{Recorded, SqliteStore, TableName, sqlx};

use crate::support::{LEASE, RETENTION, open};

/// A time by an injected clock.
const START: Duration = Duration::from_secs(1_000_000);

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let pass = async |time| tokio::time::sleep(time).await;
    conformance::check(&store, pass).await;
    let erased: Arc<dyn DynIdempotencyStore> = Arc::new(store);
    conformance::check(&erased, pass).await;
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract_by_an_injected_clock() {
    let directory = tempfile::tempdir().unwrap();
    let millis = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&millis);
    let store =
        open(&directory).await.with_clock(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    conformance::check(&store, async |time: Duration| {
        millis.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_neither_longer_than_asked_for_nor_none_whatever_the_clocks_fraction() {
    let directory = tempfile::tempdir().unwrap();
    let micros = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&micros);
    let store =
        open(&directory).await.with_clock(move || Duration::from_micros(clock.load(Ordering::Relaxed)));
    for fraction in [0, 1, 499, 500, 999] {
        micros.store(1_000_000 + fraction, Ordering::Relaxed);
        for lease in [LEASE, Duration::from_millis(2)] {
            let key = conformance::fresh_key();
            let Claim::Acquired(_) = store.claim(&key, lease).await.unwrap() else { panic!() };
            let Claim::InFlight { retry_after } = store.claim(&key, lease).await.unwrap() else { panic!() };
            assert!(
                retry_after <= lease && retry_after >= lease - Duration::from_millis(1),
                "{retry_after:?}"
            );
        }
        let key = conformance::fresh_key();
        let Claim::Acquired(_) = store.claim(&key, Duration::from_nanos(1)).await.unwrap() else { panic!() };
        assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    }
}

/// To the millisecond: alone, in a shared flush, and in a transaction.
#[tokio::test]
async fn a_claim_and_a_done_key_end_exactly_when_their_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let millis = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&millis);
    let store =
        open(&directory).await.with_clock(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    let time = Duration::from_millis(10);
    let pass = |time| millis.fetch_add(time, Ordering::Relaxed);
    let a_millisecond = Claim::InFlight { retry_after: Duration::from_millis(1) };
    for shares_a_flush in [false, true] {
        // Beside another call, which waits for the only connection, a call waits in the queue.
        let claim = async |key: &IdempotencyKey| {
            let connection = store.pool().acquire().await.unwrap();
            let release = async { drop(connection) };
            let other = conformance::fresh_key();
            let beside =
                async { if shares_a_flush { store.claim(&other, time).await.map(drop) } else { Ok(()) } };
            let (beside, claimed, ()) = tokio::join!(biased; beside, store.claim(key, time), release);
            beside.and(claimed).unwrap()
        };
        let key = conformance::fresh_key();
        let Claim::Acquired(lapses) = claim(&key).await else { panic!() };
        pass(9);
        assert_eq!(claim(&key).await, a_millisecond, "{shares_a_flush}");
        pass(1);
        let Claim::Acquired(lease) = claim(&key).await else { panic!("{shares_a_flush}") };
        // The new lease is a whole one.
        assert_eq!(claim(&key).await, Claim::InFlight { retry_after: time }, "{shares_a_flush}");
        assert_eq!(store.complete(&lapses, time).await.unwrap(), LeaseStatus::Lost);
        assert_eq!(store.complete(&lease, time).await.unwrap(), LeaseStatus::Applied);
        pass(9);
        assert_eq!(claim(&key).await, Claim::Done, "{shares_a_flush}");
        assert_eq!(store.purge().await.unwrap(), 0);
        pass(1);
        let Claim::Acquired(lease) = claim(&key).await else { panic!("{shares_a_flush}") };
        pass(9);
        assert_eq!(store.renew(&lease, time).await.unwrap(), LeaseStatus::Applied);
        pass(9);
        assert_eq!(claim(&key).await, a_millisecond, "{shares_a_flush}");
        store.forget(key.as_str()).await.unwrap();
    }
    for shares_a_commit in [false, true] {
        // Beside another transaction, which waits for the only connection, one waits in the queue.
        let record = async |key: &IdempotencyKey| {
            let connection = store.pool().acquire().await.unwrap();
            let release = async { drop(connection) };
            let commit = async |key: &IdempotencyKey| match store.begin(key, time).await? {
                Begun::New(transaction) => store.commit(key, transaction).await.map(|()| "new"),
                Begun::InFlight { .. } => Ok("in flight"),
                Begun::Done => Ok("done"),
            };
            let other = conformance::fresh_key();
            let beside = async { if shares_a_commit { commit(&other).await } else { Ok("") } };
            let (first, begun, ()) = tokio::join!(biased; beside, commit(key), release);
            first.and(begun).unwrap()
        };
        let key = conformance::fresh_key();
        assert_eq!(record(&key).await, "new");
        pass(9);
        assert_eq!(record(&key).await, "done", "{shares_a_commit}");
        pass(1);
        assert_eq!(record(&key).await, "new", "{shares_a_commit}");
        pass(9);
        store.purge().await.unwrap();
        assert_eq!(record(&key).await, "done", "{shares_a_commit}");
        pass(1);
        assert!(store.purge().await.unwrap() > 0);
        let Claim::Acquired(lapses) = store.claim(&key, time).await.unwrap() else { panic!() };
        pass(9);
        assert_eq!(record(&key).await, "in flight", "{shares_a_commit}");
        pass(1);
        assert_eq!(record(&key).await, "new", "{shares_a_commit}");
        assert_eq!(store.complete(&lapses, time).await.unwrap(), LeaseStatus::Lost);
    }
}

#[tokio::test]
async fn a_loser_that_waited_for_the_lock_is_told_no_longer_than_the_lease() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let winner = open(&directory).await.with_clock(move || start.elapsed());
    let loser = open(&directory).await.with_clock(move || start.elapsed());
    let mut transaction = winner.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let key = conformance::fresh_key();
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { loser.claim(&key, LEASE).await.unwrap() }
    });
    // The loser has come by now, and read its clock; only then does the winner's lease begin.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let Claim::Acquired(_) = winner.claim_in(&mut transaction, &key, LEASE).await.unwrap() else { panic!() };
    transaction.commit().await.unwrap();
    let Claim::InFlight { retry_after } = waiting.await.unwrap() else { panic!() };
    assert!(retry_after <= LEASE, "{retry_after:?}");
}

/// All times are the machine's, but the fence is a token: whatever the clock does between two claims,
/// of two that hold a lease on one key only the newer can complete it, and its effect with it.
#[tokio::test]
async fn a_clock_that_jumps_never_lets_two_complete_one_key() {
    const JUMPS: [i64; 4] = [3_600, -3_600, 86_400, -86_400];
    let directory = tempfile::tempdir().unwrap();
    let seconds = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&seconds);
    let store =
        open(&directory).await.with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed) as u64));
    let retention = Duration::from_secs(7 * 86_400);
    for first in JUMPS {
        for second in JUMPS {
            let key = conformance::fresh_key();
            let jumps = [0, first, second];
            let (mut leases, mut last) = (Vec::new(), 0);
            for jump in jumps {
                seconds.fetch_add(jump, Ordering::Relaxed);
                match store.claim(&key, LEASE).await.unwrap() {
                    Claim::Acquired(lease) => leases.push(lease),
                    Claim::InFlight { .. } => last += 1,
                    Claim::Done => panic!("nobody completed it"),
                }
            }
            // Only a clock that went ahead, past all the leases there were, lets another take over.
            assert_eq!(leases.len() + last, jumps.len());
            assert_eq!(leases.len() > 1, first > 0 || first + second > 0, "{jumps:?}");
            let newest = leases.pop().unwrap();
            for late in &leases {
                assert_eq!(store.renew(late, LEASE).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
                assert_eq!(store.complete(late, retention).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
                assert_eq!(store.release(late).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
            }
            assert_eq!(store.complete(&newest, retention).await.unwrap(), LeaseStatus::Applied, "{jumps:?}");
            for late in &leases {
                assert_eq!(store.complete(late, retention).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
            }
            // Done it stays, by whatever clock, while its retention is longer than the jump.
            for jump in JUMPS {
                seconds.fetch_add(jump, Ordering::Relaxed);
                assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done, "{jumps:?}");
            }
        }
    }
}

#[tokio::test]
async fn claims_and_done_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (claimed, done) = (conformance::fresh_key(), conformance::fresh_key());
    let store = open(&directory).await;
    let Claim::Acquired(lease) = store.claim(&claimed, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(other) = store.claim(&done, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&other, RETENTION).await.unwrap(), LeaseStatus::Applied);
    drop(store);

    let store = open(&directory).await;
    assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&claimed, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
}

#[tokio::test]
async fn a_log_shows_the_key_of_a_transaction_and_nothing_of_a_store() {
    let store = SqliteStore::in_memory().await.unwrap();
    assert_eq!(format!("{store:?}"), "SqliteStore { .. }");
    let key = conformance::fresh_key();
    let Begun::New(transaction) = store.begin(&key, RETENTION).await.unwrap() else { panic!() };
    assert_eq!(format!("{transaction:?}"), format!("SqliteTransaction {{ key: {key:?}, .. }}"));
}

#[tokio::test]
async fn key_and_effect_are_committed_together_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    sqlx::raw_sql("CREATE TABLE effects (key TEXT)").execute(store.pool()).await.unwrap();
    let key = conformance::fresh_key();
    let Claim::Acquired(late) = store.claim(&key, Duration::from_millis(1)).await.unwrap() else { panic!() };
    tokio::time::sleep(Duration::from_millis(5)).await;
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    // The first of them is killed before it commits; the late one learns that it is late.
    for (lease, commits, expected) in [
        (&lease, false, LeaseStatus::Applied),
        (&late, true, LeaseStatus::Lost),
        (&lease, true, LeaseStatus::Applied),
        (&late, true, LeaseStatus::Lost),
    ] {
        let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
        let insert = sqlx::query("INSERT INTO effects VALUES (?1)").bind(key.as_str());
        insert.execute(&mut *transaction).await.unwrap();
        let status = store.complete_in(&mut transaction, lease, RETENTION).await.unwrap();
        assert_eq!(status, expected);
        if commits && status == LeaseStatus::Applied {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    let effects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(store.pool()).await.unwrap();
    assert_eq!(effects, 1);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
}

#[tokio::test]
async fn a_recorded_key_is_new_once_unless_its_transaction_was_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let key = conformance::fresh_key();
    for (commits, expected) in
        [(false, Recorded::New), (true, Recorded::New), (true, Recorded::Done), (false, Recorded::Done)]
    {
        let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert_eq!(store.record_in(&mut transaction, &key, RETENTION).await.unwrap(), expected);
        if commits { transaction.commit().await.unwrap() } else { transaction.rollback().await.unwrap() }
    }
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);

    // It expires like any other, and a claim in a transaction is undone with it.
    let key = conformance::fresh_key();
    let mut connection = store.pool().acquire().await.unwrap();
    assert_eq!(
        store.record_in(&mut connection, &key, Duration::from_millis(20)).await.unwrap(),
        Recorded::New
    );
    tokio::time::sleep(Duration::from_millis(30)).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    assert!(matches!(store.claim_in(&mut connection, &key, LEASE).await.unwrap(), Claim::Acquired(_)));
    sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
    assert_eq!(store.record_in(&mut connection, &key, RETENTION).await.unwrap(), Recorded::New);
    assert!(store.record_in(&mut connection, &key, Duration::ZERO).await.is_err());
    // A claim of somebody's is no record: who holds it may yet fail.
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim_in(&mut connection, &key, LEASE).await.unwrap() else {
        panic!()
    };
    let recorded = store.record_in(&mut connection, &key, RETENTION).await.unwrap();
    assert!(matches!(recorded, Recorded::InFlight { retry_after } if retry_after <= LEASE));
    drop(connection);
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
}

#[tokio::test]
async fn a_table_of_another_name_is_another_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let other = store.clone().with_table(&TableName::new("hooks").unwrap());
    let key = conformance::fresh_key();
    assert_eq!(other.claim(&key, LEASE).await.unwrap_err().code(), "store_failed");
    other.migrate().await.unwrap();
    conformance::check(&other, async |time| tokio::time::sleep(time).await).await;
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// Words of SQL's own, and names that the statements use themselves.
#[tokio::test]
async fn any_table_name_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    for name in ["order", "user", "select", "excluded", "key", "token", "k", "live", "taken"] {
        let store = store.clone().with_table(&TableName::new(name).unwrap());
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.release(&lease).await.unwrap(), LeaseStatus::Applied);
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
        assert_eq!(store.purge().await.unwrap(), 0);
        assert!(store.forget(key.as_str()).await.unwrap());
        // What has lapsed or expired is taken over: alone, in a batch, and in a transaction.
        let (old, new) = (store.clone().with_clock(|| START), store.with_clock(|| START + 2 * LEASE));
        let keys = [(); 8].map(|()| conformance::fresh_key());
        for key in &keys {
            assert!(matches!(old.claim(key, LEASE).await.unwrap(), Claim::Acquired(_)));
        }
        let (alone, others) = keys.split_first().unwrap();
        assert!(matches!(new.claim(alone, LEASE).await.unwrap(), Claim::Acquired(_)), "{name}");
        let (recorded, others) = others.split_first().unwrap();
        assert!(matches!(new.begin(recorded, RETENTION).await.unwrap(), Begun::New(_)), "{name}");
        for claim in futures_util::future::join_all(others.iter().map(|key| new.claim(key, LEASE))).await {
            assert!(matches!(claim.unwrap(), Claim::Acquired(_)), "{name}");
        }
    }
}

#[tokio::test]
async fn a_store_in_memory_keeps_the_contract_and_is_one_of_its_own() {
    let store = SqliteStore::in_memory().await.unwrap();
    conformance::check(&store, async |time| tokio::time::sleep(time).await).await;
    let key = conformance::fresh_key();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(matches!(store.clone().claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    let other = SqliteStore::in_memory().await.unwrap();
    assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}
