//! What has expired is deleted, once or again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_sqlx::{SqliteStore, sqlx};

use crate::support::{LEASE, RETENTION, open};

#[tokio::test]
async fn purge_deletes_what_has_expired_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&seconds);
    let store = open(&directory).await.with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let mut keys = Vec::new();
    for n in 0..1_300 {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        if n % 13 > 0 {
            let retention = if n % 13 == 1 { 3 * RETENTION } else { RETENTION };
            assert_eq!(store.complete(&lease, retention).await.unwrap(), LeaseStatus::Applied);
        }
        keys.push((key, lease));
    }
    assert_eq!(store.purge().await.unwrap(), 0);
    // Lapsed claims linger for an hour, since they can still be completed.
    seconds.fetch_add(3_600, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 1_100);
    assert_eq!(store.complete(&keys[0].1, RETENTION).await.unwrap(), LeaseStatus::Applied);
    seconds.fetch_add(60, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 99);
    assert_eq!(store.claim(&keys[0].0, LEASE).await.unwrap(), Claim::Done);
    assert_eq!(store.claim(&keys[1].0, LEASE).await.unwrap(), Claim::Done);
    seconds.fetch_add(1_000_000, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 101);
}

/// Waits until the store's table has this many keys.
async fn keys_become(store: &SqliteStore, expected: i64) {
    let asked = Instant::now();
    loop {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM countersign_keys")
            .fetch_one(store.pool())
            .await
            .unwrap();
        if count == expected {
            return;
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "{count} keys are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn purge_every_deletes_what_has_expired_again_and_again_and_survives_errors() {
    let directory = tempfile::tempdir().unwrap();
    let seconds = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&seconds);
    let store = open(&directory).await.with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let put_done = async || {
        let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
    };
    put_done().await;
    let (errors, mut failed) = tokio::sync::mpsc::unbounded_channel();
    let report = move |error: countersign_sqlx::SqlStoreError| errors.send(error.code()).unwrap();
    let purging = tokio::spawn(store.clone().purge_every(Duration::from_secs(1), report));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    keys_become(&store, 1).await;
    seconds.fetch_add(3_600, Ordering::Relaxed);
    keys_become(&store, 0).await;

    // Without its table, a purge fails.
    sqlx::raw_sql("ALTER TABLE countersign_keys RENAME TO away").execute(store.pool()).await.unwrap();
    for _ in 0..2 {
        let code = tokio::time::timeout(Duration::from_secs(30), failed.recv()).await;
        assert_eq!(code.expect("a purge in time"), Some("store_failed"));
    }
    sqlx::raw_sql("ALTER TABLE away RENAME TO countersign_keys").execute(store.pool()).await.unwrap();
    put_done().await;
    seconds.fetch_add(3_600, Ordering::Relaxed);
    keys_become(&store, 0).await;
    assert!(!purging.is_finished());
    purging.abort();
}

#[tokio::test]
async fn purge_every_waits_for_a_second_at_least() {
    let directory = tempfile::tempdir().unwrap();
    let reads = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&reads);
    let store = open(&directory).await.with_clock(move || {
        read.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs(1_000_000)
    });
    let purging = tokio::spawn(store.purge_every(Duration::ZERO, |error| panic!("{error}")));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    // The first within a second, and each next a second after.
    let purges = reads.load(Ordering::Relaxed);
    assert!((1..=3).contains(&purges), "{purges} purges in 2.5 seconds");
    purging.abort();
}

/// Then it only reads.
#[tokio::test]
async fn a_purge_that_finds_nothing_waits_for_no_writer() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (open(&directory).await, open(&directory).await);
    let Claim::Acquired(_) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else { panic!() };
    let writing = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(store.purge().await.unwrap(), 0);
    writing.rollback().await.unwrap();
}

/// A purge reads the table in parts, in the order of its keys, and so holds up nobody for longer than a part takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_many_keys_holds_up_no_claim() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let insert = "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
         INSERT INTO countersign_keys SELECT 'k' || n, x'00', n % 2, CASE WHEN n % 50 < 2 THEN 1 ELSE 9e15 END FROM n";
    sqlx::raw_sql(insert).execute(store.pool()).await.unwrap();
    let purging = tokio::spawn({
        let store = store.clone();
        async move { store.purge().await.unwrap() }
    });
    let (mut claims, mut slowest) = (0, Duration::ZERO);
    while !purging.is_finished() {
        let start = Instant::now();
        let Claim::Acquired(_) = store.claim(&conformance::fresh_key(), LEASE).await.unwrap() else {
            panic!()
        };
        slowest = slowest.max(start.elapsed());
        claims += 1;
    }
    assert_eq!(purging.await.unwrap(), 4_000);
    assert!(claims >= 20, "{claims} claims while it purged");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // What a part reads is found by its key, and in order.
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT max(key) FROM (
             SELECT * FROM countersign_keys WHERE key > 'k' ORDER BY key LIMIT 1000)",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert!(plan.iter().any(|(.., line)| line.contains("USING PRIMARY KEY (key>?)")), "{plan:?}");
    assert!(!plan.iter().any(|(.., line)| line.contains("B-TREE")), "{plan:?}");
}
