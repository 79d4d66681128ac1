//! What an operator meets: migrations, purges, rights that are missing, and a server that is gone.

use std::time::{Duration, Instant};

use countersign::IdempotencyStore;
use countersign::store::{Claim, LeaseStatus, conformance};
use countersign_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use countersign_sqlx::{PostgresStore, Recorded, sqlx};

use crate::common::servers::Server;
use crate::support::{LEASE, RETENTION, acquired, connect_once, sleep, store};

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

/// Instances that migrate at once make the tables one after the other; none waits longer than the lock timeout.
#[tokio::test]
async fn migrate_waits_for_another_instance_no_longer_than_its_lock_timeout() {
    let Some((_server, store)) = store().await else { return };
    let store = store.with_lock_timeout(Duration::from_millis(200));
    sqlx::raw_sql("DROP TABLE countersign_keys_versions").execute(store.pool()).await.unwrap();
    let mut other = store.pool().begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7205759403792793601)").execute(&mut *other).await.unwrap();
    let start = Instant::now();
    assert_eq!(store.migrate().await.unwrap_err().code(), "store_locked");
    assert!(start.elapsed() >= Duration::from_millis(200) && start.elapsed() < Duration::from_secs(2));
    other.commit().await.unwrap();
    store.migrate().await.unwrap();
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'countersign_keys%'";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(store.pool()).await.unwrap();
    assert_eq!(tables, 2);
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
}

/// What another transaction has locked is skipped, and does not keep a purge from its end.
#[tokio::test]
async fn purge_skips_what_another_transaction_holds() {
    let Some((_server, store)) = store().await else { return };
    let insert = "INSERT INTO countersign_keys
         SELECT 'k' || n, '\\x00', true, clock_timestamp() FROM generate_series(1, 1500) AS n";
    sqlx::raw_sql(insert).execute(store.pool()).await.unwrap();
    let mut other = store.pool().begin().await.unwrap();
    let lock = "SELECT FROM countersign_keys WHERE key < 'k2' FOR UPDATE";
    let held = sqlx::raw_sql(lock).execute(&mut *other).await.unwrap().rows_affected();
    assert_eq!(store.purge().await.unwrap(), 1_500 - held);
    other.commit().await.unwrap();
    assert_eq!(store.purge().await.unwrap(), held);
}

/// A completion beside its claim changes no index: PostgreSQL calls it HOT.
#[tokio::test]
async fn a_completion_changes_no_index() {
    let Some((_server, store)) = store().await else { return };
    let mut connection = store.pool().acquire().await.unwrap();
    for _ in 0..200 {
        let key = conformance::fresh_key();
        let lease = acquired(store.claim_in(&mut connection, &key, LEASE).await.unwrap());
        let completed = store.complete_in(&mut connection, &lease, RETENTION).await.unwrap();
        assert_eq!(completed, LeaseStatus::Applied);
    }
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
    let updates =
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'countersign_keys'";
    let (updates, hot): (i64, i64) = sqlx::query_as(updates).fetch_one(store.pool()).await.unwrap();
    assert_eq!(updates, 200);
    assert!(hot >= 190, "{hot} of {updates}");
}

/// So no statement of a purge takes long, nor holds a snapshot for long.
#[tokio::test]
async fn a_purge_reads_a_large_table_in_parts_and_to_its_end() {
    let Some((_server, store)) = store().await else { return };
    let one = store.pool().options().clone().max_connections(1);
    let options = store.pool().connect_options().as_ref().clone();
    // A session may count a read of the whole table, which making its index is, as late as when it ends.
    store.pool().close().await;
    let store = PostgresStore::connect_with(one, options).await.unwrap();
    let fill = "INSERT INTO countersign_keys
         SELECT 'k' || n || repeat('-', 240), '\\x00', true, clock_timestamp() + interval '1 day'
         FROM generate_series(1, 45000) AS n";
    sqlx::raw_sql(fill).execute(store.pool()).await.unwrap();
    let ask = async |question: &str| -> i64 {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(store.pool()).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(question)).fetch_one(store.pool()).await.unwrap()
    };
    let pages = ask("SELECT pg_relation_size('countersign_keys') / 8192").await;
    assert!(pages > 3 * 1_024, "{pages}");
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'countersign_keys'";
    let before = ask(scans).await;
    assert_eq!(store.purge().await.unwrap(), 0);
    assert_eq!(ask(scans).await - before, 0, "reads of the whole table");

    // Some of each part, with the first row and the last.
    let expire = "UPDATE countersign_keys SET expires_at = clock_timestamp()
         WHERE ctid IN (SELECT ctid FROM countersign_keys WHERE key ~ '^k[0-9]*1-' OR key ~ '^k45000-')";
    let expired = sqlx::raw_sql(expire).execute(store.pool()).await.unwrap().rows_affected();
    assert_eq!(expired, 4_501);
    assert_eq!(store.purge().await.unwrap(), expired);
}

/// A purge deletes a thousand keys at a time. What is claimed or renewed after it was found stays.
#[tokio::test]
async fn a_purge_deletes_nothing_that_is_live_again() {
    let Some((_server, store)) = store().await else { return };
    let fill = "INSERT INTO countersign_keys
         SELECT 'k' || n, '\\x00', true, clock_timestamp() FROM generate_series(1, 1500) AS n;
         CREATE FUNCTION revive() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             UPDATE countersign_keys SET expires_at = clock_timestamp() + interval '1 day' WHERE key = 'k1500';
             RETURN NULL;
         END $$;
         CREATE TRIGGER revives AFTER DELETE ON countersign_keys FOR EACH STATEMENT EXECUTE FUNCTION revive()";
    sqlx::raw_sql(fill).execute(store.pool()).await.unwrap();
    assert_eq!(store.purge().await.unwrap(), 1_499);
    let left: String =
        sqlx::query_scalar("SELECT key FROM countersign_keys").fetch_one(store.pool()).await.unwrap();
    assert_eq!(left, "k1500");
}

/// A connection that prepared its statements on an empty table does not read the whole table once that has grown.
#[tokio::test]
async fn no_plan_of_an_empty_table_outlives_its_growth() {
    let Some((server, admin)) = store().await else { return };
    // Autovacuum would notice the growth after a minute, and have the statements planned again.
    let empty = "ALTER TABLE countersign_keys SET (autovacuum_enabled = off)";
    sqlx::raw_sql(empty).execute(admin.pool()).await.unwrap();
    sqlx::raw_sql("VACUUM ANALYZE countersign_keys").execute(admin.pool()).await.unwrap();
    // A session may count a read of the whole table, which making its index is, as late as when it ends.
    admin.pool().close().await;
    let (admin, store) = (connect_once(&server).await, connect_once(&server).await);
    let handle = async |keeps: bool| {
        let key = conformance::fresh_key();
        let lease = acquired(store.claim(&key, LEASE).await.unwrap());
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert!(keeps || store.forget(key.as_str()).await.unwrap());
    };
    // After five times, PostgreSQL keeps a plan.
    for _ in 0..10 {
        handle(false).await;
    }
    let insert = "INSERT INTO countersign_keys
         SELECT 'k' || n, '\\x00', true, clock_timestamp() + interval '1 day' FROM generate_series(1, 150000) AS n";
    sqlx::raw_sql(insert).execute(admin.pool()).await.unwrap();
    // More rows than fit into the page that the connection inserted into last.
    for _ in 0..60 {
        handle(true).await;
    }
    let scans = async || {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(store.pool()).await.unwrap();
        let scans = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'countersign_keys'";
        let scans: (i64, i64) = sqlx::query_as(scans).fetch_one(admin.pool()).await.unwrap();
        scans
    };
    let before = scans().await;
    for _ in 0..10 {
        handle(false).await;
    }
    let after = scans().await;
    assert_eq!(after.0 - before.0, 0, "reads of the whole table");
    assert!(after.1 - before.1 >= 40, "{before:?} {after:?}");
}

#[tokio::test]
async fn the_longest_time_is_a_thousand_years() {
    let Some((_server, store)) = store().await else { return };
    let lease = acquired(store.claim(&conformance::fresh_key(), LEASE).await.unwrap());
    assert_eq!(store.complete(&lease, Duration::MAX).await.unwrap(), LeaseStatus::Applied);
    let days = "SELECT round(extract(epoch FROM expires_at - clock_timestamp()) / 86400)::int8 FROM countersign_keys";
    let days: i64 = sqlx::query_scalar(days).fetch_one(store.pool()).await.unwrap();
    assert_eq!(days, 365_000);
}

/// Less than the 5 seconds that 3QPR waits for an answer.
#[tokio::test]
async fn a_call_waits_for_a_connection_for_3_seconds_and_for_a_lock_for_2() {
    assert_eq!(PostgresStore::pool_options().get_acquire_timeout(), Duration::from_secs(3));
    let store = PostgresStore::connect_lazy_with(PgPoolOptions::new(), PgConnectOptions::new());
    assert_eq!(format!("{store:?}"), "PostgresStore { lock_timeout: 2s, .. }");
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
