//! The PostgreSQL store, on a real server.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/race.rs"]
mod race;

use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use common::servers::Server;
use countersign::store::{Claim, DynIdempotencyStore, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use countersign_sqlx::sqlx::{self, Connection, PgConnection, PgPool};
use countersign_sqlx::{PostgresStore, Recorded, TableName};
use race::one_wins;

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

async fn connect(server: &Server) -> PostgresStore {
    let pool = PostgresStore::pool_options().max_connections(16);
    PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap()
}

/// Makes a store on a new server, if PostgreSQL is installed.
async fn store() -> Option<(Server, PostgresStore)> {
    let server = Server::postgres()?;
    let store = connect(&server).await;
    store.migrate().await.unwrap();
    Some((server, store))
}

fn acquired(claim: Claim) -> countersign::store::Lease {
    match claim {
        Claim::Acquired(lease) => lease,
        other => panic!("{other:?}"),
    }
}

async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test]
async fn the_postgres_store_keeps_the_contract() {
    let Some((_server, store)) = store().await else { return };
    conformance::check(&store, sleep).await;
    let erased: Arc<dyn DynIdempotencyStore> = Arc::new(store);
    conformance::check(&erased, sleep).await;
}

#[tokio::test]
async fn a_table_of_another_name_is_another_store() {
    let Some((server, store)) = store().await else { return };
    let table = TableName::new("hooks").unwrap();
    let other = connect(&server).await.with_table(&table);
    let key = conformance::fresh_key();
    let error = other.claim(&key, LEASE).await.unwrap_err();
    assert_eq!((error.code(), &*error.to_string()), ("store_failed", "the store's database failed"));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("hooks"));
    // Instances that start at once all migrate.
    let migrations = (0..8).map(|_| {
        let other = other.clone();
        tokio::spawn(async move { other.migrate().await.unwrap() })
    });
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap();
    }
    conformance::check(&other, sleep).await;
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// Words of SQL's own, and names that the statements use themselves.
#[tokio::test]
async fn any_table_name_will_do() {
    let Some((_server, store)) = store().await else { return };
    for name in ["order", "user", "select", "excluded", "key", "token", "k", "live", "taken"] {
        let store = store.clone().with_table(&TableName::new(name).unwrap());
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        let key = conformance::fresh_key();
        let lease = acquired(store.claim(&key, LEASE).await.unwrap());
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.release(&lease).await.unwrap(), LeaseStatus::Applied);
        let lease = acquired(store.claim(&key, LEASE).await.unwrap());
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
        assert_eq!(store.purge().await.unwrap(), 0);
        assert!(store.forget(key.as_str()).await.unwrap());
    }
}

/// Stores with a connection each, unless there is no server.
async fn racers() -> Option<(Server, Vec<PostgresStore>)> {
    let (server, store) = store().await?;
    // The same locks, but no wait for the disk: a race is tried here, not a power cut.
    let options: PgConnectOptions = server.url().parse().unwrap();
    let options = options.options([("synchronous_commit", "off")]);
    let mut stores = Vec::new();
    for _ in 0..race::RACERS {
        let pool = PgPoolOptions::new().max_connections(1);
        stores.push(PostgresStore::connect_with(pool, options.clone()).await.unwrap());
    }
    store.pool().close().await;
    Some((server, stores))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_key_one_acquires_it_and_none_fails() {
    let Some((_server, stores)) = racers().await else { return };
    race::one_wins_each_of_5_000_rounds(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_lapsed_or_released_key_one_takes_it_over() {
    let Some((_server, stores)) = racers().await else { return };
    for round in 0..200 {
        let key = conformance::fresh_key();
        let lease = acquired(stores[0].claim(&key, LEASE).await.unwrap());
        assert_eq!(stores[0].release(&lease).await.unwrap(), LeaseStatus::Applied);
        one_wins(&stores, &key, round % 2 == 0).await;
        let key = conformance::fresh_key();
        let _lapsed = acquired(stores[0].claim(&key, Duration::from_millis(1)).await.unwrap());
        sleep(Duration::from_millis(3)).await;
        one_wins(&stores, &key, round % 2 == 0).await;
    }
}

/// An effect of a handler: a row in a table without a unique index.
async fn add_effect(connection: &mut PgConnection, key: &IdempotencyKey) {
    let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(key.as_str());
    insert.execute(connection).await.unwrap();
}

async fn effects(pool: &PgPool, key: &IdempotencyKey) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM effects WHERE key = $1").bind(key.as_str());
    count.fetch_one(pool).await.unwrap()
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
        let fenced = store.complete_in(&mut transaction, lease, RETENTION).await.unwrap();
        assert_eq!(fenced, expected);
        match fenced {
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
    assert_eq!(store.complete_in(&mut transaction, &lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.claim_in(&mut transaction, &key, LEASE).await.unwrap(), Claim::Done);
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

/// What is done or in flight is answered without a write, and so without a wait for the disk.
#[tokio::test]
async fn duplicates_write_nothing() {
    let Some((_server, store)) = store().await else { return };
    let (claimed, done) = (conformance::fresh_key(), conformance::fresh_key());
    let _lease = acquired(store.claim(&claimed, LEASE).await.unwrap());
    let lease = acquired(store.claim(&done, LEASE).await.unwrap());
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    let row = "SELECT string_agg(xmin || ' ' || xmax || ' ' || ctid, ',' ORDER BY key) FROM countersign_keys";
    let row = async || sqlx::query_scalar::<_, String>(row).fetch_one(store.pool()).await.unwrap();
    let before = row().await;
    for _ in 0..20 {
        assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
        assert!(matches!(store.claim(&claimed, LEASE).await.unwrap(), Claim::InFlight { .. }));
    }
    assert_eq!(row().await, before);
}

/// An instance starts while a transaction that has touched the table is open: the others go on.
#[tokio::test]
async fn migrate_changes_nothing_waits_for_nobody_and_needs_no_right_where_the_table_is_there() {
    let Some((server, store)) = store().await else { return };
    let mut open = store.pool().begin().await.unwrap();
    let recorded = store.record_in(&mut open, &conformance::fresh_key(), RETENTION).await.unwrap();
    assert_eq!(recorded, Recorded::New);
    let grants = "CREATE ROLE app LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         GRANT SELECT, INSERT, UPDATE, DELETE ON countersign_keys TO app";
    sqlx::raw_sql(grants).execute(store.pool()).await.unwrap();
    let app: PgConnectOptions = server.url().parse().unwrap();
    let app = PostgresStore::connect_with(PostgresStore::pool_options(), app.username("app")).await.unwrap();
    let starting = tokio::spawn({
        let app = app.clone();
        async move { app.migrate().await }
    });
    for _ in 0..20 {
        let lease = acquired(app.claim(&conformance::fresh_key(), LEASE).await.unwrap());
        assert_eq!(app.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    }
    // Otherwise it would wait until the other transaction ends, which it never does here.
    tokio::time::timeout(Duration::from_secs(30), starting).await.unwrap().unwrap().unwrap();
    open.commit().await.unwrap();
}

/// A table without its indexes has to be changed, which waits for no longer than the lock timeout.
#[tokio::test]
async fn migrate_waits_for_another_transaction_no_longer_than_its_lock_timeout() {
    let Some((_server, store)) = store().await else { return };
    let store = store.with_lock_timeout(Duration::from_millis(200));
    sqlx::raw_sql("DROP INDEX countersign_keys_done").execute(store.pool()).await.unwrap();
    let mut open = store.pool().begin().await.unwrap();
    let recorded = store.record_in(&mut open, &conformance::fresh_key(), RETENTION).await.unwrap();
    assert_eq!(recorded, Recorded::New);
    let start = Instant::now();
    assert_eq!(store.migrate().await.unwrap_err().code(), "store_locked");
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < Duration::from_secs(2));
    open.commit().await.unwrap();
    store.migrate().await.unwrap();
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'countersign_keys'";
    let indexes: i64 = sqlx::query_scalar(indexes).fetch_one(store.pool()).await.unwrap();
    assert_eq!(indexes, 3);
}

#[tokio::test]
async fn purge_every_deletes_what_has_expired_again_and_again_and_survives_errors() {
    let Some((_server, store)) = store().await else { return };
    let keys_become = async |expected: i64| {
        let asked = Instant::now();
        loop {
            let count = sqlx::query_scalar("SELECT count(*) FROM countersign_keys");
            let count: i64 = count.fetch_one(store.pool()).await.unwrap();
            if count == expected {
                return;
            }
            assert!(asked.elapsed() < Duration::from_secs(30), "{count} keys are left");
            sleep(Duration::from_millis(50)).await;
        }
    };
    let put_done = async |retention| {
        let lease = acquired(store.claim(&conformance::fresh_key(), LEASE).await.unwrap());
        assert_eq!(store.complete(&lease, retention).await.unwrap(), LeaseStatus::Applied);
    };
    put_done(RETENTION).await;
    put_done(Duration::from_millis(100)).await;
    let (errors, mut failed) = tokio::sync::mpsc::unbounded_channel();
    let report = move |error: countersign_sqlx::SqlStoreError| errors.send(error.code()).unwrap();
    let purging = tokio::spawn(store.clone().purge_every(Duration::from_secs(1), report));
    keys_become(1).await;

    // Without its table, a purge fails.
    sqlx::raw_sql("ALTER TABLE countersign_keys RENAME TO away").execute(store.pool()).await.unwrap();
    for _ in 0..2 {
        let code = tokio::time::timeout(Duration::from_secs(30), failed.recv()).await;
        assert_eq!(code.expect("a purge in time"), Some("store_failed"));
    }
    sqlx::raw_sql("ALTER TABLE away RENAME TO countersign_keys").execute(store.pool()).await.unwrap();
    put_done(Duration::from_millis(100)).await;
    keys_become(1).await;
    sleep(Duration::from_millis(1_500)).await;
    keys_become(1).await;
    assert!(!purging.is_finished());
    purging.abort();
}

#[tokio::test]
async fn purge_deletes_what_has_expired_and_nothing_else_from_every_instance_at_once() {
    let Some((_server, store)) = store().await else { return };
    let insert = "INSERT INTO countersign_keys
         SELECT 'k' || n, '\\x00', n % 2 = 0, clock_timestamp() + (n - 6000) * interval '1 second'
         FROM generate_series(1, 12000) AS n";
    sqlx::raw_sql(insert).execute(store.pool()).await.unwrap();
    let purges = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.purge().await.unwrap() })
    });
    let mut purged = 0;
    for purge in purges.collect::<Vec<_>>() {
        purged += purge.await.unwrap();
    }
    // Half of the 6,000 that have expired were claims, which linger for an hour.
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM countersign_keys").fetch_one(store.pool()).await.unwrap();
    assert_eq!(purged + u64::try_from(left).unwrap(), 12_000);
    assert!((4_200..4_300).contains(&purged), "{purged}");
    // As the store asks it: by the indexes, and not through the claims that linger.
    sqlx::raw_sql("SET enable_seqscan = off").execute(store.pool()).await.unwrap();
    for (index, which) in [("done", "done"), ("claimed", "NOT done")] {
        let explain = format!(
            "EXPLAIN SELECT key FROM countersign_keys WHERE {which} AND expires_at <= (SELECT clock_timestamp())
             ORDER BY expires_at LIMIT 1000 FOR UPDATE SKIP LOCKED"
        );
        let explain = sqlx::query_scalar(sqlx::AssertSqlSafe(explain));
        let plan: Vec<String> = explain.fetch_all(store.pool()).await.unwrap();
        assert!(plan.iter().any(|line| line.contains("Index Cond: (expires_at <=")), "{plan:?}");
        assert!(plan.iter().any(|line| line.contains(&format!("countersign_keys_{index}"))), "{plan:?}");
    }
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

/// Its SQLSTATE, 42501, is a number whose low byte is SQLite's code for a locked file.
#[tokio::test]
async fn a_right_that_is_missing_is_no_lock() {
    let Some((_server, store)) = store().await else { return };
    let mut powerless = store.pool().begin().await.unwrap();
    sqlx::raw_sql("CREATE ROLE nobody; SET LOCAL ROLE nobody").execute(&mut *powerless).await.unwrap();
    let error = store.claim_in(&mut powerless, &conformance::fresh_key(), LEASE).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("permission denied"));
    assert_eq!(error.code(), "store_failed");
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_and_back_again_it_serves() {
    let Some(mut server) = Server::postgres() else { return };
    let options = PgPoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let store = PostgresStore::connect_with(options, server.url().parse().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let (key, other) = (conformance::fresh_key(), conformance::fresh_key());
    let lease = acquired(store.claim(&key, LEASE).await.unwrap());
    server.stop();
    for _ in 0..3 {
        let error = store.claim(&other, LEASE).await.unwrap_err();
        assert_eq!(error.code(), "store_failed");
    }
    assert!(store.complete(&lease, RETENTION).await.is_err());
    server.start();
    // What was claimed before the crash is still claimed.
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&other, LEASE).await.unwrap(), Claim::Acquired(_)));
}

#[tokio::test]
async fn a_wrong_address_is_an_error() {
    let options = PgConnectOptions::new().host("127.0.0.1").port(9).username("nobody");
    let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let store = PostgresStore::connect_lazy_with(pool, options);
    assert_eq!(store.migrate().await.unwrap_err().code(), "store_failed");
    assert_eq!(store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err().code(), "store_failed");
    assert_eq!(store.forget("any key").await.unwrap_err().code(), "store_failed");
}

#[tokio::test]
async fn forget_takes_any_text() {
    let Some((_server, store)) = store().await else { return };
    for text in ["", "no such key", "'; DROP TABLE countersign_keys; --", "é🦀", &"x".repeat(100_000)] {
        assert!(!store.forget(text).await.unwrap());
    }
    // PostgreSQL's text cannot hold NUL: an error, and no panic.
    assert_eq!(store.forget("\0").await.unwrap_err().code(), "store_failed");
}

/// A client hangs up while its handler begins a transaction: what others write after that, on the same
/// connection, has to be there when the connection closes.
#[tokio::test]
async fn a_hang_up_in_begin_undoes_nothing_that_others_write_after_it() {
    let Some((server, store)) = store().await else { return };
    sqlx::raw_sql("CREATE TABLE effects (key text)").execute(store.pool()).await.unwrap();
    let pool = PostgresStore::pool_options().max_connections(1);
    let one = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    let mut connection = one.pool().acquire().await.unwrap();
    let process: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await.unwrap();
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &process.to_string()]).status();
        assert!(status.unwrap().success(), "kill {name}");
    };
    // Polled once, in which `BEGIN` is sent, and dropped before the answer, which its stopped server cannot give.
    signal("-STOP");
    let mut begin = Box::pin(connection.begin());
    let pending = begin.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    signal("-CONT");
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

/// A database whose default is SERIALIZABLE: claims and completions of keys that differ all succeed, and
/// the losers of a race are told that it is in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_serializable_by_default_fails_no_claim_and_no_completion() {
    let Some((server, store)) = store().await else { return };
    let strict = "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'";
    sqlx::raw_sql(strict).execute(store.pool()).await.unwrap();
    let store = connect(&server).await;
    let isolation: String =
        sqlx::query_scalar("SHOW transaction_isolation").fetch_one(store.pool()).await.unwrap();
    assert_eq!(isolation, "serializable");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    let lease = acquired(store.claim(&conformance::fresh_key(), LEASE).await.unwrap());
                    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stores = vec![store.clone(); race::RACERS];
    for round in 0..50 {
        one_wins(&stores, &conformance::fresh_key(), round % 2 == 0).await;
    }
}

/// What a pooler mixes up, the server then refuses: see `pgbouncer.rs`.
#[tokio::test]
async fn no_two_statements_have_the_same_number_of_parameters() {
    let Some((server, _)) = store().await else { return };
    let pool = PostgresStore::pool_options().max_connections(1);
    let store = PostgresStore::connect_with(pool, server.url().parse().unwrap()).await.unwrap();
    conformance::check(&store, sleep).await;
    store.purge().await.unwrap();
    let prepared = "SELECT statement, cardinality(parameter_types) FROM pg_prepared_statements
         WHERE statement LIKE '%countersign_keys%' ORDER BY 2";
    let prepared: Vec<(String, i32)> =
        sqlx::query_as(prepared).persistent(false).fetch_all(store.pool()).await.unwrap();
    assert!(prepared.len() >= 6, "{prepared:?}");
    assert!(prepared.windows(2).all(|pair| pair[0].1 < pair[1].1), "{prepared:?}");
}
