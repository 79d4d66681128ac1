//! The SQLite store: the contract, restarts, and many processes on one file.

mod common;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::race;
use countersign::store::{Claim, ErasedStore, Fenced, conformance};
use countersign::{
    IdempotencyKey, IdempotencyStore, Provider, Secret, SqliteStore, UnknownEvent, Webhook, sqlx,
};
use http::{HeaderMap, HeaderName};
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(3600);

async fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path().join("webhooks.db")).await.unwrap()
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let pass = async |time| tokio::time::sleep(time).await;
    conformance::check(&store, pass).await;
    let erased: Arc<dyn ErasedStore> = Arc::new(store);
    conformance::check(&erased, pass).await;
}

#[tokio::test]
async fn the_sqlite_store_keeps_the_contract_by_an_injected_clock() {
    let directory = tempfile::tempdir().unwrap();
    let millis = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&millis);
    let store =
        open(&directory).await.with_clock(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    conformance::check(&store, async |time: Duration| {
        millis.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    })
    .await;
}

#[tokio::test]
async fn a_lease_is_neither_longer_than_asked_for_nor_none_whatever_the_clocks_fraction() {
    let directory = tempfile::tempdir().unwrap();
    let micros = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&micros);
    let store =
        open(&directory).await.with_clock(move || Duration::from_micros(clock.load(Ordering::Relaxed)));
    for fraction in [0, 1, 499, 500, 999] {
        micros.store(1_000_000 + fraction, Ordering::Relaxed);
        for lease in [LEASE, Duration::from_millis(2)] {
            let key = conformance::fresh_key();
            let Claim::Acquired(_) = store.claim(&key, lease).await.unwrap() else { panic!() };
            let Claim::InFlight { retry_after } = store.claim(&key, lease).await.unwrap() else { panic!() };
            assert!(
                retry_after <= lease && retry_after >= lease - Duration::from_millis(1),
                "{retry_after:?}"
            );
        }
        let key = conformance::fresh_key();
        let Claim::Acquired(_) = store.claim(&key, Duration::from_nanos(1)).await.unwrap() else { panic!() };
        assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    }
}

#[tokio::test]
async fn claims_and_done_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (claimed, done) = (conformance::fresh_key(), conformance::fresh_key());
    let store = open(&directory).await;
    let Claim::Acquired(lease) = store.claim(&claimed, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(other) = store.claim(&done, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&other, RETENTION).await.unwrap(), Fenced::Applied);
    drop(store);

    let store = open(&directory).await;
    assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&claimed, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Applied);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_tasks_on_one_key_one_acquires_it_in_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    open(&directory).await;
    // Several connections, which do not wait for the disk: a race, not a power cut, is tried here.
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("webhooks.db"))
        .synchronous(sqlx::sqlite::SqliteSynchronous::Off)
        .busy_timeout(Duration::from_secs(30));
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(4);
    let store = Arc::new(SqliteStore::new(pool.connect_with(options).await.unwrap()));
    for round in 0..2_000 {
        assert_eq!(race(&store, &conformance::fresh_key(), 64).await, 1, "round {round}");
    }
}

/// The keys that the processes race for.
fn keys() -> impl Iterator<Item = IdempotencyKey> {
    #[derive(Default)]
    struct Racing;

    impl Provider for Racing {
        type Event = UnknownEvent;
        const NAME: &'static str = "racing";

        fn signature_header(&self) -> HeaderName {
            HeaderName::from_static("x-signature")
        }
    }

    let webhook = Webhook::<Racing>::new(Secret::new("the-secret-of-the-racers").unwrap());
    (0..500).map(move |n| {
        let body = format!(r#"{{"event":"race","id":"{n}"}}"#);
        let mut headers = HeaderMap::new();
        headers.insert("x-signature", webhook.sign(body.as_bytes()).to_string().parse().unwrap());
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
            assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), Fenced::Applied);
        }
    }
}

#[test]
fn of_8_processes_on_one_file_one_wins_each_of_500_keys() {
    let directory = tempfile::tempdir().unwrap();
    let racers: Vec<_> = (0..8)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "racer", "--nocapture"])
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
            assert_eq!(store.complete(&lease, retention).await.unwrap(), Fenced::Applied);
        }
        keys.push((key, lease));
    }
    assert_eq!(store.purge().await.unwrap(), 0);
    // Lapsed claims linger for an hour, since they can still be completed.
    seconds.fetch_add(3_600, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 1_100);
    assert_eq!(store.complete(&keys[0].1, RETENTION).await.unwrap(), Fenced::Applied);
    seconds.fetch_add(60, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 99);
    assert_eq!(store.claim(&keys[0].0, LEASE).await.unwrap(), Claim::Done);
    assert_eq!(store.claim(&keys[1].0, LEASE).await.unwrap(), Claim::Done);
    seconds.fetch_add(1_000_000, Ordering::Relaxed);
    assert_eq!(store.purge().await.unwrap(), 101);
}

#[tokio::test]
async fn a_locked_file_is_an_error_after_a_while_and_no_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    open(&directory).await;
    let options = || sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let quick = options().busy_timeout(Duration::from_millis(100));
    let store = SqliteStore::new(sqlx::SqlitePool::connect_with(quick).await.unwrap());

    let locker = sqlx::SqlitePool::connect_with(options()).await.unwrap();
    let mut lock = locker.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *lock).await.unwrap();
    let key = conformance::fresh_key();
    let start = Instant::now();
    let error = store.claim(&key, LEASE).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(
        (error.code(), error.status(), &*error.to_string()),
        ("store_failed", 503, "the SQLite store failed")
    );
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("locked"));

    // As soon as the lock is gone, the store works again.
    sqlx::raw_sql("ROLLBACK").execute(&mut *lock).await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

#[tokio::test]
async fn a_file_that_is_no_database_or_cannot_be_made_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("text.db");
    std::fs::write(&path, "this is not a database, but it is longer than a header").unwrap();
    for path in [path.as_path(), directory.path(), &directory.path().join("no/such/directory.db")] {
        let error = SqliteStore::open(path).await.unwrap_err();
        assert_eq!((error.code(), error.status()), ("store_failed", 503), "{path:?}");
    }
}

#[tokio::test]
async fn a_missing_table_is_an_error_until_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("yours.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let store = SqliteStore::new(sqlx::SqlitePool::connect_with(options).await.unwrap());
    let key = conformance::fresh_key();
    let error = store.claim(&key, LEASE).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("countersign_keys"));
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}
