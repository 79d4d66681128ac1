//! Many calls at once, with a shared flush and without.

use std::error::Error;
use std::time::{Duration, Instant};

use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{IdempotencyKey, IdempotencyStore};
use countersign_sqlx::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use countersign_sqlx::{SqlStoreError, SqliteStore, sqlx};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::common::until;
use crate::many;
use crate::support::open;

const WAIT: Duration = Duration::from_secs(60);

/// Stores with and without a shared flush, each on a file of its own. Without one, hundreds of calls at once wait for as many
/// flushes, which on a busy disk takes longer than calls wait by default.
async fn both(directories: &[tempfile::TempDir; 2]) -> [SqliteStore; 2] {
    let path = directories[1].path().join("webhooks.db");
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(60));
    let patient = SqliteStore::connect_with(pool, options).await.unwrap();
    patient.migrate().await.unwrap();
    [open(&directories[0]).await, patient.without_shared_flush()]
}

fn directories() -> [tempfile::TempDir; 2] {
    [(); 2].map(|()| tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_many_times_at_once() {
    let directories = directories();
    for store in both(&directories).await {
        many::the_contract_is_kept_at_once(&store, 16).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_8_claims_acquires_each_of_800_keys() {
    let directories = directories();
    for store in both(&directories).await {
        many::one_of_8_claims_acquires_each_of_800_keys(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_fails_alone() {
    let directories = directories();
    for store in both(&directories).await {
        let refused = conformance::fresh_key();
        let trigger = format!(
            "CREATE TRIGGER refuses BEFORE INSERT ON countersign_keys WHEN NEW.key = '{refused}'
             BEGIN SELECT raise(ABORT, 'refused'); END"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(store.pool()).await.unwrap();
        many::a_refused_key_fails_alone(&store, &refused).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_disturbs_nobody() {
    let directories = directories();
    for store in both(&directories).await {
        many::who_hangs_up_disturbs_nobody(&store).await;
    }
}

#[test]
fn a_runtime_that_ends_takes_no_later_call_with_it() {
    let directories = directories();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for store in runtime.block_on(both(&directories)) {
        many::a_runtime_that_ends_takes_no_later_call_with_it(&store, false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pool_fails_each_call() {
    let directories = directories();
    for store in both(&directories).await {
        many::a_closed_pool_fails_each_call(&store, store.pool().close()).await;
    }
}

/// As the log of what is written tells: each transaction adds a page to it at least.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_share_transactions() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let log = directory.path().join("webhooks.db-wal");
    let pages = async || {
        let pages = std::fs::metadata(&log).unwrap().len() / 4_096;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(store.pool()).await.unwrap();
        pages
    };
    pages().await;
    let leases = many::claim_all(&store, &many::keys(300)).await;
    let claimed = pages().await;
    many::complete_all(&store, leases).await;
    let completed = pages().await;
    assert!(claimed < 150 && completed < 150, "{claimed} and {completed} pages for 300 calls each");
}

/// However many wait, none waits for longer than a provider does; and once the file is free, all go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_writes_holds_up_many_no_longer_than_one() {
    let directories = directories();
    for store in [open(&directories[0]).await, open(&directories[1]).await.without_shared_flush()] {
        let writing = another(&store).await.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
        let errors = many::at_once(many::keys(100), |key| {
            let store = store.clone();
            async move {
                use countersign::IdempotencyStore;
                let start = Instant::now();
                let error = store.claim(&key, Duration::from_secs(60)).await.unwrap_err();
                (error.code(), start.elapsed())
            }
        })
        .await;
        for (code, time) in errors {
            assert_eq!(code, "store_locked");
            assert!(time < Duration::from_secs(5), "{time:?}");
        }
        writing.rollback().await.unwrap();
        // Few enough for one flush each on a busy disk.
        assert_eq!(many::claim_all(&store, &many::keys(20)).await.len(), 20);
    }
}

/// Makes three calls at once while the only connection is taken for a time: the first one waits for it alone, and the
/// completion and the last claim in the queue.
async fn behind_a_taken_connection(
    store: &SqliteStore,
    time: Duration,
    lease: &Lease,
    last: &IdempotencyKey,
) -> (Result<LeaseStatus, SqlStoreError>, Result<Claim, SqlStoreError>) {
    let connection = store.pool().acquire().await.unwrap();
    let first = conformance::fresh_key();
    let calls = async {
        tokio::join!(biased; store.claim(&first, WAIT), store.complete(lease, WAIT), store.claim(last, WAIT))
    };
    let release = async {
        tokio::time::sleep(time).await;
        drop(connection);
    };
    let ((_, completed, claimed), ()) = tokio::join!(calls, release);
    (completed, claimed)
}

/// Its handler would run again. A claim costs only a retry.
#[tokio::test]
async fn a_completion_that_waited_in_vain_for_a_shared_flush_runs_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (key, other) = (conformance::fresh_key(), conformance::fresh_key());
    let Claim::Acquired(lease) = store.claim(&key, WAIT).await.unwrap() else { panic!() };
    // For longer than a call waits in the queue.
    let (completed, claimed) =
        behind_a_taken_connection(&store, Duration::from_secs(3), &lease, &other).await;
    assert_eq!(completed.unwrap(), LeaseStatus::Applied);
    assert_eq!(claimed.unwrap_err().code(), "store_locked");
    assert_eq!(store.claim(&key, WAIT).await.unwrap(), Claim::Done);
}

/// A completion that is asked for first counts before a claim of its key, also where both are written together.
#[tokio::test]
async fn a_late_completion_comes_before_a_claim_of_its_lapsed_key() {
    let directories = directories();
    for store in both(&directories).await {
        let key = conformance::fresh_key();
        let Claim::Acquired(lease) = store.claim(&key, Duration::from_millis(1)).await.unwrap() else {
            panic!()
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        let time = Duration::from_millis(50);
        let (completed, claimed) = behind_a_taken_connection(&store, time, &lease, &key).await;
        assert_eq!((completed.unwrap(), claimed.unwrap()), (LeaseStatus::Applied, Claim::Done));
    }
}

/// A task that did not end would take the connection again and again. Nothing else is spawned in this runtime.
#[tokio::test]
async fn no_task_outlives_the_calls_that_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    many::claim_all(&store, &many::keys(50)).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    until("no task is left", || metrics.num_alive_tasks() == 0).await;
}

/// The file of a store, opened by somebody else.
async fn another(store: &SqliteStore) -> SqliteStore {
    let path: String =
        sqlx::query_scalar("SELECT file FROM pragma_database_list").fetch_one(store.pool()).await.unwrap();
    SqliteStore::open(path).await.unwrap()
}

/// Claims keys that wait together for the only connection, and that one batch writes. Somebody else writes the file
/// meanwhile.
async fn claimed_together_of_a_locked_file(
    store: &SqliteStore,
    keys: &[IdempotencyKey],
) -> (Vec<Result<Claim, SqlStoreError>>, sqlx::Transaction<'static, sqlx::Sqlite>) {
    let other = another(store).await;
    let connection = store.pool().acquire().await.unwrap();
    let first = conformance::fresh_key();
    let mut alone = Box::pin(store.claim(&first, WAIT));
    assert!((&mut alone).now_or_never().is_none());
    let mut claims = join_all(keys.iter().map(|key| store.claim(key, WAIT)));
    assert!((&mut claims).now_or_never().is_none());
    // Its caller hangs up, so that the batch comes first.
    drop(alone);
    let writing = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    drop(connection);
    (claims.await, writing)
}

/// Alone, the first of them would wait for the file once more, and the others in vain for the connection.
#[tokio::test]
async fn calls_that_wait_together_for_a_locked_file_fail_together() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let (claims, _writing) = claimed_together_of_a_locked_file(&store, &many::keys(20)).await;
    let alone = store.claim(&conformance::fresh_key(), WAIT).await.unwrap_err();
    let expected = chain(&alone);
    for claim in claims {
        let error = claim.unwrap_err();
        assert_eq!((error.code(), chain(&error)), ("store_locked", expected.clone()));
    }
}

/// An error's message, and those of its sources.
fn chain(error: &SqlStoreError) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        messages.push(error.to_string());
        source = error.source();
    }
    messages
}

/// A batch of keys that are done is only read.
#[tokio::test]
async fn calls_that_wait_together_for_done_keys_wait_for_no_writer() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let keys = many::keys(3);
    let leases = many::claim_all(&store, &keys).await;
    many::complete_all(&store, leases).await;
    let (claims, _writing) = claimed_together_of_a_locked_file(&store, &keys).await;
    for claim in claims {
        assert_eq!(claim.unwrap(), Claim::Done);
    }
    // A batch that waited for the file would have it for longer than the pool waits.
    let _connection = store.pool().acquire().await.expect("a free connection");
}

/// A claim that fails costs a retry. A completion's handler would run again.
#[tokio::test]
async fn in_a_full_queue_a_claim_fails_at_once_and_a_completion_waits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).await;
    let Claim::Acquired(lease) = store.claim(&conformance::fresh_key(), WAIT).await.unwrap() else {
        panic!()
    };
    let connection = store.pool().acquire().await.unwrap();
    let key = conformance::fresh_key();
    let mut waiting = Vec::new();
    let refused = loop {
        let mut claim = Box::pin(store.claim(&key, WAIT));
        match (&mut claim).now_or_never() {
            None => waiting.push(claim),
            Some(refused) => break refused,
        }
    };
    assert_eq!(refused.unwrap_err().code(), "store_locked");
    assert_eq!(waiting.len(), 1 + 16_384);
    let mut completion = Box::pin(store.complete(&lease, WAIT));
    assert!((&mut completion).now_or_never().is_none());
    drop(waiting);
    drop(connection);
    assert_eq!(completion.await.unwrap(), LeaseStatus::Applied);
}
