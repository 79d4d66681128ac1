//! Commits that fail, servers that go away, and pools that are closed.

use std::time::Duration;

use countersign::IdempotencyKey;
use countersign::store::{Begun, TransactionalStore, conformance};
use countersign_sqlx::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use countersign_sqlx::sqlx::{self, ConnectOptions, Connection, PgConnection};
use countersign_sqlx::{PostgresStore, SqlStoreError, SqliteStore, TableName};
use futures_util::FutureExt;

use crate::backend::{Backend, BoxError, Scan, Service, delivery, on_both_stores, with_effect};

on_both_stores! {
    a_commit_that_fails_commits_neither_key_nor_effect,
    a_closed_pool_acknowledges_nothing,
    a_table_that_is_missing_is_named,
}

async fn a_commit_that_fails_commits_neither_key_nor_effect<S: Backend>(service: Service<S>) {
    let tables = "CREATE TABLE parents (id BIGINT PRIMARY KEY);
         CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
    service.store().run_alone(tables).await;
    for id in 1..=3 {
        let orphan = async |delivery: Scan, transaction: S::Transaction| {
            let mut transaction = with_effect::<S>(delivery, transaction).await?;
            // It is checked at the commit.
            S::run(&mut transaction, "INSERT INTO children VALUES (7)").await?;
            Ok::<_, BoxError>(transaction)
        };
        let outcome = service.receiver().handle_in_transaction(delivery(id), orphan).await;
        assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503), "{outcome:?}");
        let cause = std::error::Error::source(outcome.error().unwrap()).unwrap().to_string();
        assert!(cause.to_lowercase().contains("foreign key"), "{cause}");
        assert_eq!(service.effects(id).await, 0);
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1);
    }
}

async fn a_closed_pool_acknowledges_nothing<S: Backend>(service: Service<S>) {
    service.store().close().await;
    let outcome = service.deliver(1).await;
    assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503));
    let other = &service.receivers[1];
    assert_eq!(other.handle_in_transaction(delivery(1), with_effect::<S>).await.code(), "handled");
}

async fn a_table_that_is_missing_is_named<S: Backend>(service: Service<S>) {
    service.store().run_alone("ALTER TABLE countersign_keys RENAME TO mislaid").await;
    let outcome = service.deliver(1).await;
    assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503));
    let cause = std::error::Error::source(outcome.error().unwrap()).unwrap().to_string();
    assert!(cause.contains("countersign_keys"), "{cause}");
    service.store().run_alone("ALTER TABLE mislaid RENAME TO countersign_keys").await;
    service.deliver_until_acknowledged(1).await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_handler_acknowledges_nothing() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    for (id, ignores) in [(1, false), (2, true)] {
        let breaking = async |delivery: Scan, transaction| {
            let mut transaction = with_effect::<PostgresStore>(delivery, transaction).await?;
            let end = "SELECT pg_terminate_backend(pg_backend_pid())";
            match PostgresStore::run(&mut transaction, end).await {
                Err(error) if !ignores => Err(SqlStoreError::from(error).into()),
                _ => Ok::<_, BoxError>(transaction),
            }
        };
        let outcome = service.receiver().handle_in_transaction(delivery(id), breaking).await;
        assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503), "{outcome:?}");
        assert_eq!(service.effects(id).await, 0);
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1);
    }
}

/// As if the machine of the first delivery had vanished: nothing tells the server so.
#[tokio::test]
async fn a_transaction_that_postgres_waits_for_in_vain_ends_and_its_event_is_handled() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    let stalling = async |delivery: Scan, transaction| {
        let mut transaction = with_effect::<PostgresStore>(delivery, transaction).await?;
        let limit = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout");
        let limit: String = limit.fetch_one(&mut *transaction).await?;
        assert_eq!(limit, "1min");
        PostgresStore::run(&mut transaction, "SET LOCAL idle_in_transaction_session_timeout = '1s'").await?;
        service.deliver_until_acknowledged(1).await;
        Ok::<_, BoxError>(transaction)
    };
    let outcome = service.receiver().handle_in_transaction(delivery(1), stalling).await;
    assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503), "{outcome:?}");
    assert_eq!(service.effects(1).await, 1);
}

/// The server does nothing after a shutdown in the middle of a delivery, and serves again after its start.
#[tokio::test]
async fn a_server_that_restarts_in_the_handler_has_nothing_of_it() {
    let Some(mut server) = crate::common::servers::Server::postgres() else { return };
    let connect =
        || PostgresStore::connect_lazy_with(PostgresStore::pool_options(), server.url().parse().unwrap());
    let service = Service::on([connect(), connect()], ());
    service.store().migrate().await.unwrap();
    service.store().run_alone("CREATE TABLE effects (id BIGINT NOT NULL)").await;
    let restarting = async |delivery: Scan, transaction| {
        let transaction = with_effect::<PostgresStore>(delivery, transaction).await?;
        server.stop();
        server.start();
        Ok::<_, BoxError>(transaction)
    };
    let outcome = service.receiver().handle_in_transaction(delivery(1), restarting).await;
    assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503), "{outcome:?}");
    service.deliver_until_acknowledged(1).await;
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    let effects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(&mut connection).await.unwrap();
    assert_eq!(effects, 1);
}

/// A store on a pool of one's own, without WAL, where a writer keeps readers out.
async fn without_wal(directory: &tempfile::TempDir) -> (SqliteStore, SqliteConnectOptions) {
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("webhooks.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete)
        .busy_timeout(Duration::from_millis(50));
    let pool = SqlitePoolOptions::new().max_connections(1);
    let store = SqliteStore::connect_with(pool, options.clone()).await.unwrap();
    store.migrate().await.unwrap();
    (store, options)
}

/// Otherwise what comes next on the connection would be acknowledged, and never committed.
#[tokio::test]
async fn a_beginning_that_fails_leaves_no_transaction_open() {
    let directory = tempfile::tempdir().unwrap();
    let (store, options) = without_wal(&directory).await;
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let key = conformance::fresh_key();
    assert!(store.begin(&key, Duration::from_secs(60)).await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    let Begun::New(transaction) = store.begin(&key, Duration::from_secs(60)).await.unwrap() else { panic!() };
    store.commit(&key, transaction).await.unwrap();
    let keys = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM countersign_keys").fetch_one(&mut other);
    assert_eq!(keys.await.unwrap(), 1);
}

/// A statement that its handler no longer waits for ends the transaction, and another one waits behind it. Alone, that
/// one would be committed at once, without the key.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_left_in_the_connections_queue_is_not_committed() {
    let directory = tempfile::tempdir().unwrap();
    for store in
        [SqliteStore::open(directory.path().join("own.db")).await.unwrap(), without_wal(&directory).await.0]
    {
        let tables = "CREATE TABLE singles (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK); CREATE TABLE notes (id BIGINT);
             INSERT INTO singles VALUES (50000)";
        sqlx::raw_sql(tables).execute(store.pool()).await.unwrap();
        for hands_in in [false, true] {
            let key = conformance::fresh_key();
            let Begun::New(mut transaction) = store.begin(&key, Duration::from_secs(60)).await.unwrap()
            else {
                panic!()
            };
            let slow = "INSERT INTO singles WITH RECURSIVE ids (id) AS
                 (SELECT 1 UNION ALL SELECT id + 1 FROM ids LIMIT 50000) SELECT id FROM ids";
            for statement in [slow, "INSERT INTO notes VALUES (1)"] {
                // It is sent at once.
                let _dropped = sqlx::query(statement).execute(&mut *transaction).now_or_never();
            }
            if hands_in {
                assert!(store.commit(&key, transaction).await.is_err());
            } else {
                drop(transaction);
            }
            let notes = "SELECT count(*) FROM notes";
            assert_eq!(sqlx::query_scalar::<_, i64>(notes).fetch_one(store.pool()).await.unwrap(), 0);
            // The connection is anybody's again.
            let Begun::New(transaction) = store.begin(&key, Duration::from_secs(60)).await.unwrap() else {
                panic!()
            };
            store.commit(&key, transaction).await.unwrap();
            sqlx::query("DELETE FROM notes").execute(store.pool()).await.unwrap();
        }
    }
}

/// Only the store that began a transaction can commit it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_another_store_is_not_committed() {
    async fn check<S: Backend>([one, other]: [S; 2]) {
        let begin = async |store: &S, key: &IdempotencyKey| match store
            .begin(key, Duration::from_secs(60))
            .await
            .unwrap()
        {
            Begun::New(transaction) => transaction,
            _ => panic!("the key is not new"),
        };
        let key = conformance::fresh_key();
        let transaction = begin(&one, &key).await;
        assert!(matches!(other.commit(&key, transaction).await, Err(SqlStoreError::NotCommitted)));
        for store in [&one, &other] {
            // Another key: the rollback may be yet to come.
            let key = conformance::fresh_key();
            let transaction = begin(store, &key).await;
            store.clone().commit(&key, transaction).await.unwrap();
        }
    }
    check([SqliteStore::in_memory().await.unwrap(), SqliteStore::in_memory().await.unwrap()]).await;
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    let others = || service.store().clone().with_table(&TableName::new("others").unwrap());
    others().migrate().await.unwrap();
    check([service.store().clone(), others()]).await;
    // The same table on the same pool is the same store.
    let key = conformance::fresh_key();
    let Begun::New(transaction) = others().begin(&key, Duration::from_secs(60)).await.unwrap() else {
        panic!()
    };
    others().commit(&key, transaction).await.unwrap();
}

/// A commit that fails before SQLite asks its hook leaves the connection to whoever comes next.
#[tokio::test]
async fn a_commit_that_fails_refuses_nothing_of_others() {
    let directory = tempfile::tempdir().unwrap();
    for store in
        [SqliteStore::open(directory.path().join("own.db")).await.unwrap(), without_wal(&directory).await.0]
    {
        let tables = "CREATE TABLE parents (id BIGINT PRIMARY KEY); CREATE TABLE notes (id BIGINT);
             CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
        sqlx::raw_sql(tables).execute(store.pool()).await.unwrap();
        for count in 1..=20 {
            let key = conformance::fresh_key();
            let Begun::New(mut transaction) = store.begin(&key, Duration::from_secs(60)).await.unwrap()
            else {
                panic!()
            };
            sqlx::query("INSERT INTO children VALUES (7)").execute(&mut *transaction).await.unwrap();
            assert!(store.commit(&key, transaction).await.is_err());
            sqlx::query("INSERT INTO notes VALUES (1)").execute(store.pool()).await.unwrap();
            let notes = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes").fetch_one(store.pool());
            assert_eq!(notes.await.unwrap(), count);
        }
    }
}
