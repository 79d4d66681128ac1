//! The store in a transaction of its caller, and beside those of others.

use std::future::Future;
use std::process::Command;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use countersign::store::{Begun, Claim, LeaseStatus, TransactionalStore, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::sqlx::{self, Connection, PgConnection};
use countersign_sqlx::{PostgresStore, Recorded};

use crate::support::{LEASE, RETENTION, acquired, add_effect, connect_once, effects, sleep, store};

#[tokio::test]
async fn a_log_shows_the_key_of_a_transaction() {
    let Some((_server, store)) = store().await else { return };
    let key = conformance::fresh_key();
    let Begun::New(transaction) = store.begin(&key, RETENTION).await.unwrap() else { panic!() };
    assert_eq!(format!("{transaction:?}"), format!("PostgresTransaction {{ key: {key:?}, .. }}"));
}

#[tokio::test]
async fn key_and_effect_are_committed_together_or_not_at_all() {
    let Some((_server, store)) = store().await else { return };
    let pool = store.pool().clone();
    sqlx::raw_sql("CREATE TABLE effects (key text)").execute(&pool).await.unwrap();

    // Rolled back: as if the handler had never run.
    let key = conformance::fresh_key();
    let lease = acquired(store.claim(&key, LEASE).await.unwrap());
    let mut transaction = pool.begin().await.unwrap();
    add_effect(&mut transaction, &key).await;
    assert_eq!(store.complete_in(&mut transaction, &lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    transaction.rollback().await.unwrap();
    assert_eq!(effects(&pool, &key).await, 0);
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));

    // Committed: both.
    let mut transaction = pool.begin().await.unwrap();
    add_effect(&mut transaction, &key).await;
    assert_eq!(store.complete_in(&mut transaction, &lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    transaction.commit().await.unwrap();
    assert_eq!(effects(&pool, &key).await, 1);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);

    // Stalled past its lease, and taken over: the late one learns it before it commits.
    let key = conformance::fresh_key();
    let late = acquired(store.claim(&key, Duration::from_millis(1)).await.unwrap());
    sleep(Duration::from_millis(5)).await;
    let lease = acquired(store.claim(&key, LEASE).await.unwrap());
    for (lease, expected) in
        [(&late, LeaseStatus::Lost), (&lease, LeaseStatus::Applied), (&late, LeaseStatus::Lost)]
    {
        let mut transaction = pool.begin().await.unwrap();
        add_effect(&mut transaction, &key).await;
        let status = store.complete_in(&mut transaction, lease, RETENTION).await.unwrap();
        assert_eq!(status, expected);
        match status {
            LeaseStatus::Applied => transaction.commit().await.unwrap(),
            LeaseStatus::Lost => transaction.rollback().await.unwrap(),
        }
    }
    assert_eq!(effects(&pool, &key).await, 1);
}

#[tokio::test]
async fn a_claim_in_a_transaction_is_undone_with_it() {
    let Some((_server, store)) = store().await else { return };
    let key = conformance::fresh_key();
    let mut transaction = store.pool().begin().await.unwrap();
    let lease = acquired(store.claim_in(&mut transaction, &key, LEASE).await.unwrap());
    // Until the transaction ends, other claims see the key as in flight.
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.complete_in(&mut transaction, &lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.claim_in(&mut transaction, &key, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    transaction.rollback().await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_record_a_key_one_is_told_that_it_is_new() {
    let Some((_server, store)) = store().await else { return };
    let pool = store.pool().clone();
    sqlx::raw_sql("CREATE TABLE effects (key text)").execute(&pool).await.unwrap();
    for _ in 0..50 {
        let key = conformance::fresh_key();
        let tasks = (0..16).map(|n| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move {
                // Told that it is in flight, a provider delivers it again.
                let (mut transaction, new) = loop {
                    let mut transaction = store.pool().begin().await.unwrap();
                    match store.record_in(&mut transaction, &key, RETENTION).await.unwrap() {
                        Recorded::InFlight { .. } => transaction.rollback().await.unwrap(),
                        recorded => break (transaction, recorded == Recorded::New),
                    }
                    sleep(Duration::from_millis(1)).await;
                };
                // Some fail after they were told so; then another is told so.
                if new {
                    add_effect(&mut transaction, &key).await;
                }
                if new && n % 2 == 0 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(effects(&pool, &key).await, 1);
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
    }
    // A recorded key expires like any other.
    let key = conformance::fresh_key();
    let mut connection = store.pool().acquire().await.unwrap();
    assert_eq!(
        store.record_in(&mut connection, &key, Duration::from_millis(20)).await.unwrap(),
        Recorded::New
    );
    assert_eq!(store.record_in(&mut connection, &key, RETENTION).await.unwrap(), Recorded::Done);
    sleep(Duration::from_millis(30)).await;
    assert_eq!(store.record_in(&mut connection, &key, RETENTION).await.unwrap(), Recorded::New);
    assert!(store.record_in(&mut connection, &key, Duration::ZERO).await.is_err());
    // A claim of somebody's is no record: who holds it may yet fail.
    let key = conformance::fresh_key();
    let lease = acquired(store.claim(&key, LEASE).await.unwrap());
    let recorded = store.record_in(&mut connection, &key, RETENTION).await.unwrap();
    assert!(matches!(recorded, Recorded::InFlight { retry_after } if retry_after <= LEASE));
    assert_eq!(store.release(&lease).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.record_in(&mut connection, &key, RETENTION).await.unwrap(), Recorded::New);
}

/// Nine duplicates of a delivery whose transaction is not committed take nobody's connection.
#[tokio::test]
async fn a_claim_waits_for_no_transaction_that_records_its_key() {
    let Some((server, _)) = store().await else { return };
    let pool = PostgresStore::pool_options().max_connections(10);
    let store = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    let key = conformance::fresh_key();
    let mut transaction = store.pool().begin().await.unwrap();
    assert_eq!(store.record_in(&mut transaction, &key, RETENTION).await.unwrap(), Recorded::New);
    let start = Instant::now();
    for _ in 0..9 {
        let claim = store.claim(&key, LEASE).await.unwrap();
        assert_eq!(claim, Claim::InFlight { retry_after: Duration::from_secs(1) });
        let mut other = store.pool().begin().await.unwrap();
        let recorded = store.record_in(&mut other, &key, RETENTION).await.unwrap();
        assert!(matches!(recorded, Recorded::InFlight { .. }), "{recorded:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // No longer than the lease that was asked for.
    let claim = store.claim(&key, Duration::from_millis(10)).await.unwrap();
    assert_eq!(claim, Claim::InFlight { retry_after: Duration::from_millis(10) });
    transaction.commit().await.unwrap();
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
}

/// A key whose lease has lapsed, and whose holder is completing it in a transaction.
async fn lapsed_and_locked(store: &PostgresStore, transaction: &mut PgConnection) -> IdempotencyKey {
    let key = conformance::fresh_key();
    let _lapsed = acquired(store.claim(&key, Duration::from_millis(1)).await.unwrap());
    sleep(Duration::from_millis(5)).await;
    let lock = sqlx::query("SELECT FROM countersign_keys WHERE key = $1 FOR UPDATE").bind(key.as_str());
    lock.execute(transaction).await.unwrap();
    key
}

#[tokio::test]
async fn a_claim_waits_for_who_completes_a_lapsed_key_no_longer_than_its_lock_timeout() {
    let Some((server, store)) = store().await else { return };
    let store = store.with_lock_timeout(Duration::from_millis(200));
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let key = lapsed_and_locked(&store, &mut transaction).await;
    let start = Instant::now();
    let error = store.claim(&key, LEASE).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < Duration::from_secs(2));
    assert_eq!(error.code(), "store_locked");
    assert_eq!(error.to_string(), "another transaction is in the way");
    // The setting is the claim's alone.
    let setting: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(store.pool()).await.unwrap();
    assert_eq!(setting, "0");
    // A transaction's own setting is kept.
    let mut yours = store.pool().begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL lock_timeout = '100ms'").execute(&mut *yours).await.unwrap();
    assert_eq!(store.claim_in(&mut yours, &key, LEASE).await.unwrap_err().code(), "store_locked");
    yours.rollback().await.unwrap();
    // And one without is given the store's.
    let mut yours = store.pool().begin().await.unwrap();
    let start = Instant::now();
    assert_eq!(store.record_in(&mut yours, &key, RETENTION).await.unwrap_err().code(), "store_locked");
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < Duration::from_secs(2));
    yours.rollback().await.unwrap();
    transaction.rollback().await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// Whoever inserts the key without a store's lock: what it commits during the wait stays as it is.
#[tokio::test]
async fn a_claim_that_waited_for_a_key_changes_nothing_of_it() {
    let Some((server, store)) = store().await else { return };
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    for done in [true, false] {
        let key = conformance::fresh_key();
        let mut transaction = other.begin().await.unwrap();
        let insert = "INSERT INTO countersign_keys (key, token, done, expires_at)
             VALUES ($1, '\\x00', $2, now() + interval '100 seconds')";
        sqlx::query(insert).bind(key.as_str()).bind(done).execute(&mut *transaction).await.unwrap();
        let waiting = tokio::spawn({
            let (store, key) = (store.clone(), key.clone());
            async move { store.claim(&key, LEASE).await.unwrap() }
        });
        sleep(Duration::from_millis(500)).await;
        transaction.commit().await.unwrap();
        let claim = waiting.await.unwrap();
        assert!(matches!((&claim, done), (Claim::Done, true) | (Claim::InFlight { .. }, false)), "{claim:?}");
        let kept = "SELECT token = '\\x00' AND done = $2 AND expires_at > now() + interval '90 seconds'
             FROM countersign_keys WHERE key = $1";
        let kept: bool =
            sqlx::query_scalar(kept).bind(key.as_str()).bind(done).fetch_one(&mut other).await.unwrap();
        assert!(kept, "{done}");
    }
}

#[tokio::test]
async fn the_lease_of_a_claim_that_waited_counts_from_the_beginning_of_the_wait() {
    let Some((server, store)) = store().await else { return };
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    let key = lapsed_and_locked(&store, &mut transaction).await;
    let waiting = tokio::spawn({
        let (store, key) = (store.clone(), key.clone());
        async move { store.claim(&key, Duration::from_secs(10)).await.unwrap() }
    });
    sleep(Duration::from_secs(1)).await;
    transaction.rollback().await.unwrap();
    let _lease = acquired(waiting.await.unwrap());
    let Claim::InFlight { retry_after } = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    // It waited for a second, less what its task took to begin. Counted from the end of the wait, it would be ten.
    let range = Duration::from_secs(8)..Duration::from_millis(9_500);
    assert!(range.contains(&retry_after), "{retry_after:?}");
}

/// In a stricter transaction the loser of a race is told to try again.
#[tokio::test]
async fn a_serialization_failure_is_an_error_that_may_be_tried_again() {
    let Some((_server, store)) = store().await else { return };
    let key = conformance::fresh_key();
    let mut strict = store.pool().begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::raw_sql("SELECT count(*) FROM countersign_keys").execute(&mut *strict).await.unwrap();
    let _lease = acquired(store.claim(&key, LEASE).await.unwrap());
    let error = store.claim_in(&mut strict, &key, LEASE).await.unwrap_err();
    assert_eq!(error.code(), "store_locked");
}

/// With 40001 and 40P01, another transaction was in the way: in a transaction of yours, you decide. With the others, a pooler
/// mixed up two sessions' statements. No try finds its own key in flight, which the one before it has locked.
#[tokio::test]
async fn a_statement_that_the_server_did_not_run_is_tried_four_times_and_any_other_once() {
    let Some((_server, store)) = store().await else { return };
    sqlx::raw_sql("CREATE SEQUENCE tries").execute(store.pool()).await.unwrap();
    let tries = async || {
        // No rollback undoes what a sequence counted.
        let tries = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries";
        let tries: i64 = sqlx::query_scalar(tries).fetch_one(store.pool()).await.unwrap();
        sqlx::raw_sql("ALTER SEQUENCE tries RESTART").execute(store.pool()).await.unwrap();
        tries
    };
    for (state, alone, in_one_commit) in [
        ("P0001", 1, 1),
        ("40001", 4, 1),
        ("40P01", 4, 1),
        ("26000", 4, 4),
        ("42P05", 4, 4),
        ("08P01", 4, 4),
        ("22012", 4, 4),
    ] {
        let fails = format!(
            "CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM nextval('tries');
                 RAISE EXCEPTION USING ERRCODE = '{state}', MESSAGE = 'refused';
             END $$;
             DROP TRIGGER IF EXISTS fails ON countersign_keys;
             CREATE TRIGGER fails BEFORE INSERT ON countersign_keys FOR EACH ROW EXECUTE FUNCTION fails()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(fails)).execute(store.pool()).await.unwrap();
        assert!(store.claim(&conformance::fresh_key(), LEASE).await.is_err(), "{state}");
        assert_eq!(tries().await, alone, "{state}, alone");
        assert!(store.begin(&conformance::fresh_key(), RETENTION).await.is_err(), "{state}");
        assert_eq!(tries().await, in_one_commit, "{state}, in one commit");
    }
}

/// A client hangs up while its handler begins a transaction: what others write after that, on the same
/// connection, has to be there when the connection closes.
#[tokio::test]
async fn a_hang_up_in_begin_undoes_nothing_that_others_write_after_it() {
    let Some((server, store)) = store().await else { return };
    sqlx::raw_sql("CREATE TABLE effects (key text)").execute(store.pool()).await.unwrap();
    let one = connect_once(&server).await;
    let mut connection = one.pool().acquire().await.unwrap();
    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await.unwrap();
    // Polled once, in which `BEGIN` is sent, and dropped before the answer, which its stopped server cannot give.
    signal(process, "-STOP");
    let mut begin = Box::pin(connection.begin());
    let pending = begin.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    signal(process, "-CONT");
    assert!(pending, "the answer was there at once");
    drop(begin);
    drop(connection);
    // That sqlx leaves the transaction open is what is tried here.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    let start = Instant::now();
    while sqlx::query_scalar::<_, i64>(open).fetch_one(store.pool()).await.unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(10), "sqlx rolls back: this guard can go");
        sleep(Duration::from_millis(10)).await;
    }
    let mut keys = Vec::new();
    for _ in 0..5 {
        let key = conformance::fresh_key();
        let lease = acquired(one.claim(&key, LEASE).await.unwrap());
        let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(key.as_str());
        insert.execute(one.pool()).await.unwrap();
        assert_eq!(one.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        keys.push(key);
    }
    one.pool().close().await;
    for key in keys {
        assert_eq!(effects(store.pool(), &key).await, 1);
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
    }
}

/// It may have been cut meanwhile, without anybody noticing. A `BEGIN` would wait without limit; the question waits no longer
/// than a call waits for a connection.
#[tokio::test]
async fn a_connection_that_idled_is_asked_whether_it_is_alive() {
    let Some((server, _store)) = store().await else { return };
    let one = connect_once(&server).await;
    let process: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(one.pool()).await.unwrap();
    sleep(Duration::from_millis(600)).await;
    signal(process, "-STOP");
    let key = conformance::fresh_key();
    let begun = tokio::time::timeout(Duration::from_secs(20), one.begin(&key, RETENTION)).await;
    signal(process, "-CONT");
    assert_eq!(begun.expect("an error in time").unwrap_err().code(), "store_failed");
}

fn signal(process: i32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.unwrap().success(), "kill {name}");
}
