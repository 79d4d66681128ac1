//! What an operator meets: migrations, purges, rights that are missing, and a server that is gone.

use std::time::{Duration, Instant};

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use countersign_sqlx::{PostgresStore, Recorded, sqlx};

use crate::common::servers::Server;
use crate::support::{LEASE, RETENTION, acquired, sleep, store};

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
