//! The file: many on it at once, locked, full, or none.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{
    Delivery, IdempotencyKey, IdempotencyStore, Provider, Receiver, Scheme, Secret, UnknownEvent, Webhook,
};
use countersign_sqlx::{SqlStoreError, SqliteStore, SqliteTransaction, sqlx};
use http::HeaderMap;
use tempfile::TempDir;

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
    race::one_wins_each_of_5_000_rounds(&stores).await;
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

/// A file system of 8 MB, which ends with the test; none where this process may not mount one, but under CI
/// that is a failure.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(directory.path());
        match mount.stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Some(Self(directory)),
            _ => crate::common::servers::missing("the right to mount a file system"),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_disk_that_was_full_leaves_a_store_that_works() {
    fill_and_free(false).await;
}

#[tokio::test]
async fn a_disk_that_was_full_leaves_a_store_that_works_in_one_commit() {
    fill_and_free(true).await;
}

/// Delivers until the disk is full, and after it has room again: in the store's transaction, or in the handler's.
async fn fill_and_free(in_one_commit: bool) {
    let Some(disk) = SmallDisk::new() else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6_000_000]).unwrap();
    let store = open(&disk.0).await;
    sqlx::raw_sql("CREATE TABLE effects (key TEXT, size BLOB)").execute(store.pool()).await.unwrap();
    let receiver = Receiver::new(crate::common::webhook::<ThreeQpr>(), store);
    let deliver = async |event: usize, size: i64| {
        let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
        let headers = crate::common::signed(receiver.webhook(), body.as_bytes());
        let delivery = receiver.webhook().verify(&headers, body.as_bytes()).unwrap();
        if in_one_commit {
            let handler = async |delivery: Delivery<'_, ThreeQpr>, mut transaction: SqliteTransaction| {
                let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(?2))");
                effect.bind(delivery.id()).bind(size).execute(&mut *transaction).await?;
                Ok::<_, SqlStoreError>(transaction)
            };
            return receiver.handle_in_transaction(delivery, handler).await;
        }
        let store = receiver.store();
        let handler = async |_: Delivery<'_, ThreeQpr>, lease: &Lease| {
            let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await?;
            let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(?2))");
            effect.bind(lease.key().as_str()).bind(size).execute(&mut *transaction).await?;
            let fenced = store.complete_in(&mut transaction, lease, receiver.retention()).await?;
            transaction.commit().await?;
            Ok::<_, SqlStoreError>(fenced)
        };
        receiver.handle_with_lease(delivery, handler).await
    };
    let mut handled = 0;
    let failed = loop {
        let outcome = deliver(handled, 50_000).await;
        if outcome.status() != 200 {
            break outcome;
        }
        handled += 1;
    };
    assert_eq!(failed.status(), 503, "{failed:?}");
    assert!(handled > 10, "the disk was full from the beginning");
    // Full it stays: nothing is acknowledged.
    assert_eq!(deliver(handled + 1, 50_000).await.status(), 503);
    std::fs::remove_file(ballast).unwrap();
    for event in 1_000..1_050 {
        assert_eq!(deliver(event, 1).await.status(), 200, "{event}");
    }
    let effects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(receiver.store().pool()).await.unwrap();
    assert_eq!(usize::try_from(effects).unwrap(), handled + 50);
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
