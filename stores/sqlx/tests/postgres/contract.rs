//! The contract of a store, in any table, in races, and with few writes.

use std::sync::Arc;

use countersign::IdempotencyStore;
use countersign::store::{Begun, Claim, DynIdempotencyStore, LeaseStatus, TransactionalStore, conformance};
use countersign_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use countersign_sqlx::{PostgresStore, TableName, sqlx};

use crate::common::servers::Server;
use crate::race::{self, one_wins};
use crate::support::{LEASE, RETENTION, acquired, connect, connect_once, sleep, store};

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
    race::one_wins_each_of_1_000_rounds(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_lapsed_or_released_key_one_takes_it_over() {
    let Some((_server, stores)) = racers().await else { return };
    race::one_takes_over_each_released_or_lapsed_key(&stores, 200).await;
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

#[tokio::test]
async fn forget_takes_any_text() {
    let Some((_server, store)) = store().await else { return };
    for text in ["", "no such key", "'; DROP TABLE countersign_keys; --", "é🦀", &"x".repeat(100_000)] {
        assert!(!store.forget(text).await.unwrap());
    }
    // PostgreSQL's text cannot hold NUL: an error, and no panic.
    assert_eq!(store.forget("\0").await.unwrap_err().code(), "store_failed");
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
    let begun = store.begin(&conformance::fresh_key(), RETENTION).await.unwrap();
    let Begun::New(mut transaction) = begun else { panic!() };
    let isolation: String =
        sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(isolation, "read committed");
}

/// What a pooler mixes up, the server then refuses: see `pgbouncer.rs`.
#[tokio::test]
async fn no_two_statements_have_the_same_number_of_parameters() {
    let Some((server, _)) = store().await else { return };
    let store = connect_once(&server).await;
    conformance::check(&store, sleep).await;
    store.purge().await.unwrap();
    let prepared = "SELECT statement, cardinality(parameter_types) FROM pg_prepared_statements
         WHERE statement LIKE '%countersign_keys%' ORDER BY 2";
    let prepared: Vec<(String, i32)> =
        sqlx::query_as(prepared).persistent(false).fetch_all(store.pool()).await.unwrap();
    assert!(prepared.len() >= 5, "{prepared:?}");
    assert!(prepared.windows(2).all(|pair| pair[0].1 < pair[1].1), "{prepared:?}");
}
