//! The SQLite store: the contract, restarts, and many processes on one file.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/race.rs"]
mod race;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, DynIdempotencyStore, Lease, LeaseStatus, conformance};
use countersign::{
    Delivery, IdempotencyKey, IdempotencyStore, Provider, Receiver, Secret, UnknownEvent, Webhook,
};
use countersign_sqlx::{Recorded, SqlStoreError, SqliteStore, TableName, sqlx};
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
    let erased: Arc<dyn DynIdempotencyStore> = Arc::new(store);
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
async fn a_loser_that_waited_for_the_lock_is_told_no_longer_than_the_lease() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let winner = open(&directory).await.with_clock(move || start.elapsed());
    let loser = open(&directory).await.with_clock(move || start.elapsed());
    let mut transaction = winner.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let key = conformance::fresh_key();
    let waiting = tokio::spawn({
        let key = key.clone();
        async move { loser.claim(&key, LEASE).await.unwrap() }
    });
    // The loser has come by now, and read its clock; only then does the winner's lease begin.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let Claim::Acquired(_) = winner.claim_in(&mut transaction, &key, LEASE).await.unwrap() else { panic!() };
    transaction.commit().await.unwrap();
    let Claim::InFlight { retry_after } = waiting.await.unwrap() else { panic!() };
    assert!(retry_after <= LEASE, "{retry_after:?}");
}

/// All times are the machine's, but the fence is a token: whatever the clock does between two claims,
/// of two that hold a lease on one key only the newer can complete it, and its effect with it.
#[tokio::test]
async fn a_clock_that_jumps_never_lets_two_complete_one_key() {
    const JUMPS: [i64; 4] = [3_600, -3_600, 86_400, -86_400];
    let directory = tempfile::tempdir().unwrap();
    let seconds = Arc::new(AtomicI64::new(1_000_000));
    let clock = Arc::clone(&seconds);
    let store =
        open(&directory).await.with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed) as u64));
    let retention = Duration::from_secs(7 * 86_400);
    for first in JUMPS {
        for second in JUMPS {
            let key = conformance::fresh_key();
            let jumps = [0, first, second];
            let (mut leases, mut last) = (Vec::new(), 0);
            for jump in jumps {
                seconds.fetch_add(jump, Ordering::Relaxed);
                match store.claim(&key, LEASE).await.unwrap() {
                    Claim::Acquired(lease) => leases.push(lease),
                    Claim::InFlight { .. } => last += 1,
                    Claim::Done => panic!("nobody completed it"),
                }
            }
            // Only a clock that went ahead, past all the leases there were, lets another take over.
            assert_eq!(leases.len() + last, jumps.len());
            assert_eq!(leases.len() > 1, first > 0 || first + second > 0, "{jumps:?}");
            let newest = leases.pop().unwrap();
            for late in &leases {
                assert_eq!(store.renew(late, LEASE).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
                assert_eq!(store.complete(late, retention).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
                assert_eq!(store.release(late).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
            }
            assert_eq!(store.complete(&newest, retention).await.unwrap(), LeaseStatus::Applied, "{jumps:?}");
            for late in &leases {
                assert_eq!(store.complete(late, retention).await.unwrap(), LeaseStatus::Lost, "{jumps:?}");
            }
            // Done it stays, by whatever clock, while its retention is longer than the jump.
            for jump in JUMPS {
                seconds.fetch_add(jump, Ordering::Relaxed);
                assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done, "{jumps:?}");
            }
        }
    }
}

#[tokio::test]
async fn claims_and_done_keys_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (claimed, done) = (conformance::fresh_key(), conformance::fresh_key());
    let store = open(&directory).await;
    let Claim::Acquired(lease) = store.claim(&claimed, LEASE).await.unwrap() else { panic!() };
    let Claim::Acquired(other) = store.claim(&done, LEASE).await.unwrap() else { panic!() };
    assert_eq!(store.complete(&other, RETENTION).await.unwrap(), LeaseStatus::Applied);
    drop(store);

    let store = open(&directory).await;
    assert_eq!(store.claim(&done, LEASE).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&claimed, LEASE).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
}

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
async fn key_and_effect_are_committed_together_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    sqlx::raw_sql("CREATE TABLE effects (key TEXT)").execute(store.pool()).await.unwrap();
    let key = conformance::fresh_key();
    let Claim::Acquired(late) = store.claim(&key, Duration::from_millis(1)).await.unwrap() else { panic!() };
    tokio::time::sleep(Duration::from_millis(5)).await;
    let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
    // The first of them is killed before it commits; the late one learns that it is late.
    for (lease, commits, expected) in [
        (&lease, false, LeaseStatus::Applied),
        (&late, true, LeaseStatus::Lost),
        (&lease, true, LeaseStatus::Applied),
        (&late, true, LeaseStatus::Lost),
    ] {
        let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
        let insert = sqlx::query("INSERT INTO effects VALUES (?1)").bind(key.as_str());
        insert.execute(&mut *transaction).await.unwrap();
        let fenced = store.complete_in(&mut transaction, lease, RETENTION).await.unwrap();
        assert_eq!(fenced, expected);
        if commits && fenced == LeaseStatus::Applied {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    let effects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM effects").fetch_one(store.pool()).await.unwrap();
    assert_eq!(effects, 1);
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
}

#[tokio::test]
async fn a_recorded_key_is_new_once_unless_its_transaction_was_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let key = conformance::fresh_key();
    for (commits, expected) in
        [(false, Recorded::New), (true, Recorded::New), (true, Recorded::Done), (false, Recorded::Done)]
    {
        let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert_eq!(store.record_in(&mut transaction, &key, RETENTION).await.unwrap(), expected);
        if commits { transaction.commit().await.unwrap() } else { transaction.rollback().await.unwrap() }
    }
    assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);

    // It expires like any other, and a claim in a transaction is undone with it.
    let key = conformance::fresh_key();
    let mut connection = store.pool().acquire().await.unwrap();
    assert_eq!(
        store.record_in(&mut connection, &key, Duration::from_millis(20)).await.unwrap(),
        Recorded::New
    );
    tokio::time::sleep(Duration::from_millis(30)).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
    assert!(matches!(store.claim_in(&mut connection, &key, LEASE).await.unwrap(), Claim::Acquired(_)));
    sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.unwrap();
    assert_eq!(store.record_in(&mut connection, &key, RETENTION).await.unwrap(), Recorded::New);
    assert!(store.record_in(&mut connection, &key, Duration::ZERO).await.is_err());
    // A claim of somebody's is no record: who holds it may yet fail.
    let key = conformance::fresh_key();
    let Claim::Acquired(lease) = store.claim_in(&mut connection, &key, LEASE).await.unwrap() else {
        panic!()
    };
    let recorded = store.record_in(&mut connection, &key, RETENTION).await.unwrap();
    assert!(matches!(recorded, Recorded::InFlight { retry_after } if retry_after <= LEASE));
    drop(connection);
    assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
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
async fn a_table_of_another_name_is_another_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let other = store.clone().with_table(&TableName::new("hooks").unwrap());
    let key = conformance::fresh_key();
    assert_eq!(other.claim(&key, LEASE).await.unwrap_err().code(), "store_failed");
    other.migrate().await.unwrap();
    conformance::check(&other, async |time| tokio::time::sleep(time).await).await;
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
}

/// Words of SQL's own, and names that the statements use themselves.
#[tokio::test]
async fn any_table_name_will_do() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    for name in ["order", "user", "select", "excluded", "key", "token", "k", "live", "taken"] {
        let store = store.clone().with_table(&TableName::new(name).unwrap());
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.renew(&lease, LEASE).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.release(&lease).await.unwrap(), LeaseStatus::Applied);
        let Claim::Acquired(lease) = store.claim(&key, LEASE).await.unwrap() else { panic!() };
        assert_eq!(store.complete(&lease, RETENTION).await.unwrap(), LeaseStatus::Applied);
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done);
        assert_eq!(store.purge().await.unwrap(), 0);
        assert!(store.forget(key.as_str()).await.unwrap());
    }
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
async fn a_store_in_memory_keeps_the_contract_and_is_one_of_its_own() {
    let store = SqliteStore::in_memory().await.unwrap();
    conformance::check(&store, async |time| tokio::time::sleep(time).await).await;
    let key = conformance::fresh_key();
    assert!(matches!(store.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
    assert!(matches!(store.clone().claim(&key, LEASE).await.unwrap(), Claim::InFlight { .. }));
    let other = SqliteStore::in_memory().await.unwrap();
    assert!(matches!(other.claim(&key, LEASE).await.unwrap(), Claim::Acquired(_)));
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
            _ => common::servers::missing("the right to mount a file system"),
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
    let Some(disk) = SmallDisk::new() else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6_000_000]).unwrap();
    let store = open(&disk.0).await;
    sqlx::raw_sql("CREATE TABLE effects (key TEXT, size BLOB)").execute(store.pool()).await.unwrap();
    let receiver = Receiver::new(common::webhook::<ThreeQpr>(), store);
    let deliver = async |event: usize, size: i64| {
        let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
        let headers = common::signed(receiver.webhook(), body.as_bytes());
        let delivery = receiver.webhook().verify(&headers, body.as_bytes()).unwrap();
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

/// A hundred thousand claims that have lapsed and linger cost a purge nothing.
#[tokio::test]
async fn claims_that_linger_do_not_slow_a_purge() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT key FROM (SELECT key FROM countersign_keys WHERE done AND expires_at <= 1
             ORDER BY expires_at LIMIT 500)
         UNION ALL
         SELECT key FROM (SELECT key FROM countersign_keys WHERE NOT done AND expires_at <= 1
             ORDER BY expires_at LIMIT 500)",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    let plan: Vec<_> = plan.into_iter().map(|(.., line)| line).collect();
    for index in ["countersign_keys_done", "countersign_keys_claimed"] {
        let used = format!("INDEX {index} (expires_at<?)");
        assert!(plan.iter().any(|line| line.contains(&used)), "{plan:?}");
    }
    assert!(!plan.iter().any(|line| line.contains("B-TREE")), "{plan:?}");
}
