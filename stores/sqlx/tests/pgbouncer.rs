//! The PostgreSQL store behind PgBouncer.

#[path = "../../../tests/common/mod.rs"]
mod common;
mod many;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::servers::Server;
use countersign::store::{Begun, Claim, Lease, LeaseStatus, TransactionalStore, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::sqlx::{self, AssertSqlSafe, PgPool, Postgres, Transaction};
use countersign_sqlx::{Advance, PostgresStore, Recorded, SqlStoreError, TableName};

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

/// A server, PgBouncer before it, and so many stores behind that, with a few connections each.
async fn behind(mode: &str, stores: usize) -> Option<(Server, Server, Vec<PostgresStore>, PgPool)> {
    let server = Server::postgres()?;
    let pooler = Server::pgbouncer(&server, mode, 4 * stores)?;
    let direct = PostgresStore::connect(&server.url()).await.unwrap();
    direct.migrate().await.unwrap();
    let store = |_| {
        // A machine that is busy takes its time.
        let pool = PostgresStore::pool_options().max_connections(4).acquire_timeout(Duration::from_secs(60));
        PostgresStore::connect_lazy_with(pool, pooler.url().parse().unwrap())
    };
    let stores = (0..stores).map(store).collect();
    let direct = direct.pool().clone();
    Some((server, pooler, stores, direct))
}

#[tokio::test]
async fn in_session_mode_the_store_keeps_the_contract() {
    let Some((_server, _pooler, stores, _)) = behind("session", 1).await else { return };
    conformance::check(&stores[0], async |time| tokio::time::sleep(time).await).await;
}

#[tokio::test]
async fn in_transaction_mode_the_store_keeps_the_contract() {
    let Some((_server, _pooler, stores, _)) = behind("transaction", 3).await else { return };
    let check = |store: PostgresStore| async move {
        conformance::check(&store, async |time| tokio::time::sleep(time).await).await;
    };
    tokio::join!(check(stores[0].clone()), check(stores[1].clone()), check(stores[2].clone()));
}

/// Stores that share the sessions also share flushes: the statements for many keys keep the contract too.
#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_many_calls_at_once_keep_the_contract() {
    let Some((_server, _pooler, stores, _)) = behind("transaction", 3).await else { return };
    let check = |store: &PostgresStore| {
        let store = store.clone();
        tokio::spawn(async move { many::one_of_8_claims_acquires_each_of_800_keys(&store).await })
    };
    let (first, second) = (check(&stores[0]), check(&stores[1]));
    for task in [first, second, check(&stores[2])] {
        task.await.unwrap();
    }
}

/// In transaction mode, statements of a session's are run in whichever session is free, where another
/// client may have prepared another one by the same name (sqlx names them by number). None may do what
/// another would have done.
#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_no_statement_does_the_work_of_another() {
    let Some((_server, _pooler, stores, direct)) = behind("transaction", 4).await else { return };
    let [renewed, completed, failed, wrong] = [(); 4].map(|()| Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (store, direct) = (stores[n % stores.len()].clone(), direct.clone());
            let counts = [&renewed, &completed, &failed, &wrong].map(Arc::clone);
            tokio::spawn(async move {
                let add = |count: usize| counts[count].fetch_add(1, Ordering::Relaxed);
                for round in 0..150 {
                    let key = conformance::fresh_key();
                    let lease = match store.claim(&key, LEASE).await {
                        Ok(Claim::Acquired(lease)) => lease,
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => {
                            eprintln!("{error:?}");
                            add(2);
                            continue;
                        }
                    };
                    let completes = (round + n) % 2 == 0;
                    let answer = if completes {
                        store.complete(&lease, RETENTION).await
                    } else {
                        store.renew(&lease, LEASE).await
                    };
                    let done = "SELECT done FROM countersign_keys WHERE key = $1";
                    let done: Option<bool> =
                        sqlx::query_scalar(done).bind(key.as_str()).fetch_optional(&direct).await.unwrap();
                    match answer {
                        Ok(LeaseStatus::Applied) if done == Some(completes) => add(usize::from(completes)),
                        Ok(_) => add(3),
                        // An error says nothing of a completion; but no renewal may have completed.
                        Err(_) if done == Some(true) && !completes => add(3),
                        Err(_) => add(2),
                    };
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let [renewed, completed, failed, wrong] =
        [renewed, completed, failed, wrong].map(|count| count.load(Ordering::Relaxed));
    println!("{renewed} renewed, {completed} completed, {failed} failed, {wrong} wrong");
    assert_eq!(wrong, 0);
    // What is mixed up while the stores learn that this happens may still fail.
    assert!(failed <= 16, "{failed} failed");
}

/// The handler's own statements must have no names there, as those of `raw_sql`.
#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_key_and_effect_are_one_commit() {
    let Some((_server, _pooler, stores, direct)) = behind("transaction", 4).await else { return };
    sqlx::raw_sql("CREATE TABLE effects (key text)").execute(&direct).await.unwrap();
    let failed = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let (store, direct, failed) =
                (stores[n % stores.len()].clone(), direct.clone(), Arc::clone(&failed));
            tokio::spawn(async move {
                for _ in 0..50 {
                    let key = conformance::fresh_key();
                    let handled = async {
                        let Begun::New(mut transaction) = store.begin(&key, RETENTION).await? else {
                            panic!()
                        };
                        let insert = AssertSqlSafe(format!("INSERT INTO effects VALUES ('{key}')"));
                        sqlx::raw_sql(insert).execute(&mut *transaction).await?;
                        assert_eq!(transaction.advance(key.as_str(), 1).await?, Advance::Newer);
                        assert_eq!(transaction.advance(key.as_str(), 0).await?, Advance::Older);
                        store.commit(&key, transaction).await
                    };
                    let handled = handled.await;
                    let found: (i64, i64) = sqlx::query_as(
                        "SELECT (SELECT count(*) FROM effects WHERE key = $1),
                         (SELECT count(*) FROM countersign_keys WHERE key = $1 AND done)",
                    )
                    .bind(key.as_str())
                    .fetch_one(&direct)
                    .await
                    .unwrap();
                    match handled {
                        Ok(()) => assert_eq!(found, (1, 1), "{key}"),
                        Err(error) => {
                            eprintln!("{error:?}");
                            assert_eq!(found, (0, 0), "{key}");
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let failed = failed.load(Ordering::Relaxed);
    // While the stores learn that statements are mixed up, an `advance` may fail.
    assert!(failed <= 48, "{failed} of 800 failed");
}

/// A call of the store, and whether it did to its own table what it answered.
const CALLS: [&str; 9] =
    ["claim", "complete", "release", "renew", "forget", "purge", "record", "begin", "advance"];

/// Calls the store for a key that `other`, which is on the same table, has claimed where that is needed.
async fn call(call: &str, store: &PostgresStore, other: &PostgresStore) -> Result<(), SqlStoreError> {
    let key = conformance::fresh_key();
    let claimed = async |time| match other.claim(&key, time).await.unwrap() {
        Claim::Acquired(lease) => lease,
        claim => panic!("{claim:?}"),
    };
    let is_done = async || matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Done);
    match call {
        "claim" => {
            assert!(matches!(store.claim(&key, LEASE).await?, Claim::Acquired(_)));
            assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
        }
        "complete" => {
            let lease: Lease = claimed(LEASE).await;
            assert_eq!(store.complete(&lease, RETENTION).await?, LeaseStatus::Applied);
            assert!(is_done().await);
        }
        "release" => {
            let lease = claimed(LEASE).await;
            assert_eq!(store.release(&lease).await?, LeaseStatus::Applied);
            let _free = claimed(LEASE).await;
        }
        "renew" => {
            let lease = claimed(LEASE).await;
            assert_eq!(store.renew(&lease, 10 * LEASE).await?, LeaseStatus::Applied);
            let claim = other.claim(&key, LEASE).await.unwrap();
            assert!(matches!(claim, Claim::InFlight { retry_after } if retry_after > LEASE), "{claim:?}");
        }
        "forget" => {
            let _lease = claimed(LEASE).await;
            assert!(store.forget(key.as_str()).await?);
            let _free = claimed(LEASE).await;
        }
        "purge" => {
            let lease = claimed(LEASE).await;
            assert_eq!(other.complete(&lease, Duration::from_micros(1)).await.unwrap(), LeaseStatus::Applied);
            assert_eq!(store.purge().await?, 1);
        }
        "record" => {
            let mut transaction = store.pool().begin().await?;
            assert_eq!(store.record_in(&mut transaction, &key, RETENTION).await?, Recorded::New);
            transaction.commit().await?;
            assert!(is_done().await);
        }
        _ => one_commit(call == "advance", store, &key).await?,
    }
    if matches!(call, "begin" | "advance") {
        assert!(is_done().await);
    }
    Ok(())
}

async fn one_commit(
    advances: bool,
    store: &PostgresStore,
    key: &IdempotencyKey,
) -> Result<(), SqlStoreError> {
    let Begun::New(mut transaction) = store.begin(key, RETENTION).await? else { panic!("{key} is free") };
    if advances {
        assert_eq!(transaction.advance(key.as_str(), 2).await?, Advance::Newer);
        assert_eq!(transaction.advance(key.as_str(), 1).await?, Advance::Older);
    }
    store.commit(key, transaction).await
}

/// Two stores whose statements have the same names and parameters, and differ only in the table. Each prepares its
/// statements in a session of its own, and then runs them in the other's.
#[tokio::test]
async fn in_transaction_mode_a_store_on_another_table_does_no_work_of_this_one() {
    let Some(server) = Server::postgres() else { return };
    let Some(pooler) = Server::pgbouncer(&server, "transaction", 2) else { return };
    let direct = PostgresStore::connect(&server.url()).await.unwrap();
    let behind = |connections| {
        let pool = PostgresStore::pool_options().max_connections(connections);
        PostgresStore::connect_lazy_with(pool, pooler.url().parse().unwrap())
    };
    let tables = ["first", "second"].map(|table| TableName::new(table).unwrap());
    let direct = tables.each_ref().map(|table| direct.clone().with_table(table));
    for store in &direct {
        store.migrate().await.unwrap();
    }
    // There are two sessions: who holds one of them leaves the other to everybody else.
    let holder = behind(2);
    let hold = async || -> (Transaction<'static, Postgres>, i32) {
        let mut transaction = holder.pool().begin().await.unwrap();
        let pid = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await.unwrap();
        let pid = sqlx::Row::try_get_unchecked::<String, _>(&pid, 0).unwrap().parse().unwrap();
        (transaction, pid)
    };
    for name in CALLS {
        let stores = tables.each_ref().map(|table| behind(1).with_table(table));
        let (mut first, _) = hold().await;
        let (mut second, _) = hold().await;
        for session in [&mut first, &mut second] {
            sqlx::raw_sql("DEALLOCATE ALL").execute(&mut **session).await.unwrap();
        }
        second.rollback().await.unwrap();
        call(name, &stores[0], &direct[0]).await.unwrap();
        let (second, pid) = hold().await;
        first.rollback().await.unwrap();
        call(name, &stores[1], &direct[1]).await.unwrap();
        let (other, _) = hold().await;
        second.rollback().await.unwrap();
        // Only the session in which the first store has prepared its statements is free.
        let (check, free) = hold().await;
        assert_eq!(free, pid);
        check.rollback().await.unwrap();
        if let Err(error) = call(name, &stores[1], &direct[1]).await {
            // In a transaction of the caller's own, nothing can be repeated.
            assert!(matches!(name, "record" | "advance"), "{name}: {error:?}");
            assert_eq!(error.code(), "store_failed", "{name}");
            call(name, &stores[1], &direct[1]).await.unwrap();
        } else {
            println!("{name}");
        }
        other.rollback().await.unwrap();
    }
}
