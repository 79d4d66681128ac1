//! The file: many on it at once, locked, or none.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign::store::{Claim, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore, Provider, Scheme, Secret, UnknownEvent, Webhook};
use countersign_sqlx::sqlx::Connection;
use countersign_sqlx::{SqliteStore, sqlx};
use http::HeaderMap;

use crate::race;
use crate::support::{LEASE, RETENTION, open};

#[tokio::test(flavor = "multi_thread")]
async fn of_16_connections_on_one_key_one_acquires_it_and_none_fails() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).await;
    // The same locks, but no wait for the disk, with which the rounds would take half an hour: a race
    // is tried here, not a power cut.
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("webhooks.db"))
        .synchronous(sqlx::sqlite::SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5));
    let mut stores = Vec::new();
    for _ in 0..race::RACERS {
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        stores.push(SqliteStore::connect_with(pool, options.clone()).await.unwrap());
    }
    race::one_wins_each_of_1_000_rounds(&stores).await;
}

/// The keys that the processes race for.
fn keys() -> impl Iterator<Item = IdempotencyKey> {
    #[derive(Default)]
    struct Racing;

    impl Provider for Racing {
        type Event = UnknownEvent;
        const NAME: &'static str = "racing";

        const SCHEME: Scheme<'static> = Scheme::new("x-signature").with_prefix("sha256=");
    }

    let webhook = Webhook::<Racing>::new(Secret::new("the-secret-of-the-racers").unwrap()).unwrap();
    (0..500).map(move |n| {
        let body = format!(r#"{{"event":"race","id":"{n}"}}"#);
        let mut headers = HeaderMap::new();
        headers.insert("x-signature", webhook.sign(body.as_bytes()).parse().unwrap());
        webhook.verify(&headers, body.as_bytes()).unwrap().idempotency_key()
    })
}

/// One of the processes of the test below, which runs it by name with a file; without, it is idle.
#[tokio::test]
async fn racer() {
    let Some(path) = std::env::var_os("COUNTERSIGN_RACE_FOR") else { return };
    let store = SqliteStore::open(path).await.unwrap();
    for key in keys() {
        if let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() {
            println!("won {key}");
            assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        }
    }
}

#[test]
fn of_8_processes_on_one_file_one_wins_each_of_500_keys() {
    let directory = tempfile::tempdir().unwrap();
    let racers: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "file::racer", "--nocapture"])
                // No process has opened the file before, so they race to make it as well.
                .env("COUNTERSIGN_RACE_FOR", directory.path().join("race.db"))
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut won = Vec::new();
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        won.extend(output.lines().filter_map(|line| Some(line.split_once("won ")?.1.to_owned())));
    }
    won.sort();
    let mut keys: Vec<_> = keys().map(|key| key.to_string()).collect();
    keys.sort();
    assert_eq!(won, keys);
}

#[tokio::test]
async fn a_file_is_opened_for_many_and_for_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(store.pool()).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(store.pool()).await.unwrap();
    let busy: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(store.pool()).await.unwrap();
    // FULL is 2.
    assert_eq!((&*journal, synchronous, busy), ("wal", 2, 2_500));
}

#[tokio::test]
async fn open_refuses_what_is_no_file() {
    let names =
        ["", ":memory:", "file::memory:", "file::memory:?cache=shared", "file:a.db?mode=memory", "file:a.db"];
    for name in names {
        let error = SqliteStore::open(name).await.unwrap_err();
        assert_eq!(
            (error.code(), &*error.to_string()),
            (
                "store_not_a_file",
                "the path of the store is empty, :memory: or a URI, and so may be no file: give a path, \
                 or call SqliteStore::in_memory in a test"
            )
        );
        assert!(std::error::Error::source(&error).is_none());
    }
    assert!(!std::path::Path::new("a.db").exists());
    // With its folder, such a name is a file's.
    let directory = tempfile::tempdir().unwrap();
    for name in [":memory:", "file:a.db"] {
        let path = directory.path().join(name);
        let store = SqliteStore::open(&path).await.unwrap();
        assert!(matches!(store.claim(&conformance::fresh_key(), LEASE).await, Ok(Claim::Acquired(_))));
        assert!(path.exists(), "{name}");
    }
}

#[tokio::test]
async fn a_locked_file_is_an_error_after_a_while_and_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    open(&directory).await;
    let options = || sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let quick = options().busy_timeout(Duration::from_millis(100));
    let store = SqliteStore::connect_with(Default::default(), quick).await.unwrap();

    let locker = sqlx::SqlitePool::connect_with(options()).await.unwrap();
    let mut lock = locker.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *lock).await.unwrap();
    let key = conformance::fresh_key();
    let start = Instant::now();
    let error = store.claim(&key, LEASE).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!((error.code(), &*error.to_string()), ("store_locked", "another transaction is in the way"));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("locked"));

    // As soon as the lock is gone, the store works again.
    sqlx::raw_sql("ROLLBACK").execute(&mut *lock).await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// SQLite itself does not wait for all of them where the file has no write-ahead log yet.
#[tokio::test]
async fn open_waits_for_the_writer_of_a_new_file() {
    for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("webhooks.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut writer = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(begin).execute(&mut writer).await.unwrap();
        sqlx::raw_sql("CREATE TABLE theirs (id)").execute(&mut writer).await.unwrap();
        let start = Instant::now();
        assert_eq!(SqliteStore::open(&path).await.unwrap_err().code(), "store_locked", "{begin}");
        assert!(start.elapsed() >= Duration::from_secs(2), "{begin}");

        let writes = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
        };
        let (store, ()) = tokio::join!(SqliteStore::open(&path), writes);
        let claim = store.unwrap().claim(&conformance::fresh_key(), LEASE).await;
        assert!(matches!(claim, Ok(Claim::Acquired(_))), "{begin}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_or_cannot_be_made_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.db");
    std::fs::write(&path, "this is not a database, but it is longer than a header").unwrap();
    for path in [path.as_path(), directory.path(), &directory.path().join("no/such/directory.db")] {
        let error = SqliteStore::open(path).await.unwrap_err();
        assert_eq!(error.code(), "store_failed", "{path:?}");
    }
}

#[tokio::test]
async fn a_missing_table_is_an_error_until_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("yours.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let store = SqliteStore::connect_with(Default::default(), options).await.unwrap();
    let key = conformance::fresh_key();
    let error = store.claim(&key, LEASE).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("countersign_keys"));
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// While another process writes, a done or claimed key is answered at once. A claim that must write
/// is refused in time, with the right error.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_writes_is_read_at_once_and_waited_for_no_longer_than_a_provider_waits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (claimed, done) = (conformance::fresh_key(), conformance::fresh_key());
    let Claim::Acquired(_) = store.claim(&claimed, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(lease) = store.claim(&done, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);

    let other = open(&directory).await;
    let _writing = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let start = Instant::now();
    assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&claimed, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let claims: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let start = Instant::now();
                let error = store.claim(&conformance::fresh_key(), LEASE).await.unwrap_err();
                (error.code(), start.elapsed())
            })
        })
        .collect();
    for claim in claims {
        let (code, time) = claim.await.unwrap();
        assert_eq!(code, "store_locked");
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
}
