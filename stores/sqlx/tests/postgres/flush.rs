//! Many calls at once, with a shared flush and without.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_sqlx::sqlx::{self, PgConnection};
use countersign_sqlx::{PostgresStore, Recorded};
use sqlx::Connection as _;

use crate::common::servers::Server;
use crate::common::until;
use crate::many;
use crate::support::{LEASE, RETENTION, acquired, sleep, store};

/// The store with and without a shared flush, for so many calls at once that they wait for long on a busy machine.
async fn both() -> Option<(Server, [PostgresStore; 2])> {
    let (server, store) = patient(16).await?;
    Some((server, [store.clone(), store.without_shared_flush()]))
}

/// A store with so many connections, on which a call waits for long.
async fn patient(connections: u32) -> Option<(Server, PostgresStore)> {
    let (server, store) = store().await?;
    let pool =
        PostgresStore::pool_options().max_connections(connections).acquire_timeout(Duration::from_secs(60));
    let options = store.pool().connect_options().as_ref().clone();
    Some((server, PostgresStore::connect_with(pool, options).await.unwrap()))
}

/// What calls answer that wait together for the store's only connection.
async fn together<I, F, A>(store: &PostgresStore, of: I, call: impl Fn(PostgresStore, I::Item) -> F) -> Vec<A>
where
    I: IntoIterator,
    F: Future<Output = A> + Send + 'static,
    A: Send + 'static,
{
    let busy = store.pool().acquire().await.unwrap();
    let calls: Vec<_> = of.into_iter().map(|of| tokio::spawn(call(store.clone(), of))).collect();
    sleep(Duration::from_millis(200)).await;
    drop(busy);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_many_times_at_once() {
    let Some((_server, stores)) = both().await else { return };
    for store in stores {
        many::the_contract_is_kept_at_once(&store, 24).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_8_claims_acquires_each_of_800_keys() {
    let Some((_server, stores)) = both().await else { return };
    for store in stores {
        many::one_of_8_claims_acquires_each_of_800_keys(&store).await;
    }
}

/// A key that is found in the table hides no new one of its batch, which would be claimed by itself then.
#[tokio::test]
async fn calls_at_once_share_a_transaction_whatever_is_among_them() {
    let Some((server, store)) = patient(1).await else { return };
    let claim = |store: PostgresStore, key| async move { store.claim(&key, LEASE).await.unwrap() };
    let complete =
        |store: PostgresStore, lease| async move { store.complete(&lease, RETENTION).await.unwrap() };
    let handled = conformance::fresh_key();
    let lease = acquired(store.claim(&handled, LEASE).await.unwrap());
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    let mut observer = PgConnection::connect(&server.url()).await.unwrap();
    let mut ended = async || {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(store.pool()).await.unwrap();
        let ended = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
        sqlx::query_scalar::<_, i64>(ended).fetch_one(&mut observer).await.unwrap()
    };
    let keys = (0..50).map(|at| if at == 25 { handled.clone() } else { conformance::fresh_key() });

    let before = ended().await;
    let mut leases = Vec::new();
    for claim in together(&store, keys, claim).await {
        if let Claim::Acquired(lease) = claim {
            leases.push(lease);
        }
    }
    assert_eq!(leases.len(), 49);
    let transactions = ended().await - before;
    assert!(transactions <= 20, "{transactions} transactions for the claims");

    let keys: Vec<_> = leases.iter().map(|lease| lease.key().clone()).collect();
    let before = ended().await;
    for claim in together(&store, keys.clone(), claim).await {
        assert!(matches!(claim, Claim::InFlight { .. }));
    }
    let transactions = ended().await - before;
    assert!(transactions <= 20, "{transactions} transactions for keys in flight");

    let before = ended().await;
    for status in together(&store, leases, complete).await {
        assert_eq!(status, LeaseStatus::Applied);
    }
    let transactions = ended().await - before;
    assert!(transactions <= 20, "{transactions} transactions for the completions");

    let before = ended().await;
    for claim in together(&store, keys, claim).await {
        assert_eq!(claim, Claim::Done);
    }
    let transactions = ended().await - before;
    assert!(transactions <= 20, "{transactions} transactions for keys that are done");

    // Nor does a key that another transaction has claimed and not committed have one of its own.
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut open = other.begin().await.unwrap();
    let keys: Vec<_> = (0..50).map(|_| conformance::fresh_key()).collect();
    for key in &keys {
        let _ = acquired(store.claim_in(&mut open, key, LEASE).await.unwrap());
    }
    let before = ended().await;
    for claim in together(&store, keys, claim).await {
        assert!(matches!(claim, Claim::InFlight { .. }));
    }
    let transactions = ended().await - before;
    assert!(transactions <= 20, "{transactions} transactions for keys that are not committed");

    // The bound on waits is the transaction's, and not the connection's.
    let left: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(store.pool()).await.unwrap();
    assert_eq!(left, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_fails_alone() {
    let Some((_server, stores)) = both().await else { return };
    for store in stores {
        let refused = conformance::fresh_key();
        let check = format!(
            "ALTER TABLE countersign_keys DROP CONSTRAINT IF EXISTS refused;
             ALTER TABLE countersign_keys ADD CONSTRAINT refused CHECK (key <> '{refused}')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(check)).execute(store.pool()).await.unwrap();
        many::a_refused_key_fails_alone(&store, &refused).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_disturbs_nobody() {
    let Some((_server, stores)) = both().await else { return };
    for store in stores {
        many::who_hangs_up_disturbs_nobody(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pool_fails_each_call() {
    let Some((_server, [store, other])) = both().await else { return };
    many::a_closed_pool_fails_each_call(&store, other.pool().close()).await;
}

/// By a program that writes the table itself.
#[tokio::test]
async fn a_key_that_is_inserted_meanwhile_without_the_stores_lock_is_acquired_by_no_call() {
    let Some((server, store)) = patient(1).await else { return };
    let keys = many::keys(10);
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut open = other.begin().await.unwrap();
    let insert =
        "INSERT INTO countersign_keys VALUES ($1, '\\x00', true, clock_timestamp() + interval '1 day')";
    sqlx::query(insert).bind(keys[5].as_str()).execute(&mut *open).await.unwrap();
    let claims = together(&store, keys.clone(), |store, key| async move { store.claim(&key, LEASE).await });
    let commits = async {
        sleep(Duration::from_millis(600)).await;
        open.commit().await.unwrap();
    };
    let (claims, ()) = tokio::join!(claims, commits);
    for (claim, key) in claims.into_iter().zip(&keys) {
        let claim = claim.unwrap();
        assert!(if *key == keys[5] { claim == Claim::Done } else { matches!(claim, Claim::Acquired(_)) });
    }
}

/// It waits alone, and the others are answered before.
#[tokio::test]
async fn a_completion_of_a_locked_key_holds_up_none_that_waits_with_it() {
    let Some((server, store)) = patient(1).await else { return };
    let leases = many::claim_all(&store, &many::keys(20)).await;
    let locked = leases[10].key().clone();
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut open = other.begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM countersign_keys WHERE key = $1 FOR UPDATE").bind(locked.as_str());
    lock.execute(&mut *open).await.unwrap();
    let answered = Arc::new(Mutex::new(Vec::new()));
    let completions = together(&store, leases, |store, lease| {
        let answered = Arc::clone(&answered);
        async move {
            assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
            answered.lock().unwrap().push(lease.key().clone());
        }
    });
    let unlocks = async {
        until("the others are answered", || answered.lock().unwrap().len() == 19).await;
        open.rollback().await.unwrap();
    };
    tokio::join!(completions, unlocks);
    assert_eq!(answered.lock().unwrap().last(), Some(&locked));
}

/// Another transaction claims a new key, completes a lapsed one and completes a live one. The other keys do not wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_another_transaction_has_locked_holds_up_no_other() {
    let Some((server, [store, _])) = both().await else { return };
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let [new, lapsed, live] = [(); 3].map(|()| conformance::fresh_key());
    let _lapsed = acquired(store.claim(&lapsed, Duration::from_millis(1)).await.unwrap());
    let live_lease = acquired(store.claim(&live, LEASE).await.unwrap());
    sleep(Duration::from_millis(5)).await;
    let mut transaction = other.begin().await.unwrap();
    assert_eq!(store.record_in(&mut transaction, &new, RETENTION).await.unwrap(), Recorded::New);
    for key in [&lapsed, &live] {
        let lock = sqlx::query("SELECT FROM countersign_keys WHERE key = $1 FOR UPDATE").bind(key.as_str());
        lock.execute(&mut *transaction).await.unwrap();
    }
    let stuck = tokio::spawn({
        let (store, lapsed) = (store.clone(), lapsed.clone());
        async move { store.claim(&lapsed, LEASE).await }
    });
    let completing = tokio::spawn({
        let (store, lease) = (store.clone(), live_lease.clone());
        async move { store.complete(&lease, RETENTION).await }
    });
    let mut keys = many::keys(99);
    keys.push(new.clone());
    let start = Instant::now();
    let claims = many::at_once(keys, |key| {
        let store = store.clone();
        async move { (store.claim(&key, LEASE).await.unwrap(), key) }
    })
    .await;
    let mut leases = Vec::new();
    for (claim, key) in claims {
        match claim {
            Claim::Acquired(lease) => leases.push(lease),
            Claim::InFlight { .. } => assert_eq!(key, new),
            Claim::Done => panic!("nobody completed it"),
        }
    }
    assert_eq!(leases.len(), 99);
    assert_eq!(many::complete_all(&store, leases).await, [LeaseStatus::Applied; 99]);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!completing.is_finished() && !stuck.is_finished());
    transaction.rollback().await.unwrap();
    assert_eq!(completing.await.unwrap().unwrap(), LeaseStatus::Applied);
    let _taken_over = acquired(stuck.await.unwrap().unwrap());
}

#[test]
fn a_runtime_that_ends_takes_no_later_call_with_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some((_server, [store, _])) = runtime.block_on(both()) else { return };
    many::a_runtime_that_ends_takes_no_later_call_with_it(&store, true);
}
