//! SQLite's handlers that wait at the same moment share one commit, and nothing else.

use std::time::Duration;

use countersign::store::{Begun, TransactionalStore, conformance};
use countersign::{IdempotencyStore, Receiver, provider::ThreeQpr};
use countersign_sqlx::sqlx::Connection;
use countersign_sqlx::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use countersign_sqlx::{SqlStoreError, SqliteStore, SqliteTransaction};
use futures_util::FutureExt as _;
use tokio::sync::Notify;

use crate::backend::{Backend, BoxError, Scan, Service, delivery, with_effect};
use crate::common::until;

/// What a handler does after its effect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Nothing,
    /// Runs this SQL, and ignores its error.
    Run(&'static str),
    /// Runs this SQL, and fails.
    RunAndFail(&'static str),
    Panic,
    HangUp,
    /// Begins a savepoint with sqlx, and forgets it.
    Forget,
    /// Begins a savepoint with sqlx, and hangs up before it is there.
    DropBegin,
    Sleep,
}

use Deed::*;

/// How long `Sleep` takes.
const SLOW: Duration = Duration::from_millis(60);

async fn perform(
    deed: Deed,
    hung_up: &Notify,
    delivery: Scan,
    transaction: SqliteTransaction,
) -> Result<SqliteTransaction, BoxError> {
    let mut transaction = with_effect::<SqliteStore>(delivery, transaction).await?;
    match deed {
        Nothing => {}
        Run(sql) => {
            let _ignored = SqliteStore::run(&mut transaction, sql).await;
        }
        RunAndFail(sql) => {
            SqliteStore::run(&mut transaction, sql).await?;
            return Err("no".into());
        }
        Panic => panic!("a panic of a handler, which is expected here"),
        HangUp => {
            hung_up.notify_one();
            std::future::pending::<()>().await;
        }
        Forget => std::mem::forget(transaction.begin().await?),
        DropBegin => {
            let _dropped = transaction.begin().now_or_never();
        }
        Sleep => tokio::time::sleep(SLOW).await,
    }
    Ok(transaction)
}

/// Delivers an event, and returns the code of the outcome, or that of the store's error.
pub(crate) async fn deliver(receiver: Receiver<ThreeQpr, SqliteStore>, id: u32, deed: Deed) -> &'static str {
    let hung_up = Notify::new();
    let handler = async |delivery, transaction| perform(deed, &hung_up, delivery, transaction).await;
    tokio::select! {
        biased;
        () = hung_up.notified() => "hung_up",
        outcome = receiver.handle_in_transaction(delivery(id), handler) => {
            let cause = outcome.error().and_then(|error| error.downcast_ref()).map(SqlStoreError::code);
            cause.unwrap_or(outcome.code())
        }
    }
}

/// Begins a delivery that holds the connection, starts one for each of these deeds, with the ids from `first`, and then
/// commits. On a runtime with one thread, the others wait in their order.
pub(crate) async fn together(
    service: &Service<SqliteStore>,
    first: u32,
    deeds: &[Deed],
) -> Vec<&'static str> {
    all(service, (first..).zip(deeds.iter().copied())).await
}

async fn all(service: &Service<SqliteStore>, deeds: impl Iterator<Item = (u32, Deed)>) -> Vec<&'static str> {
    let (store, key) = (service.store(), conformance::fresh_key());
    let Begun::New(held) = store.begin(&key, Duration::from_secs(60)).await.unwrap() else { panic!() };
    let deliveries: Vec<_> =
        deeds.map(|(id, deed)| tokio::spawn(deliver(service.receiver().clone(), id, deed))).collect();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    store.commit(&key, held).await.unwrap();
    let mut codes = Vec::new();
    for delivery in deliveries {
        codes.push(delivery.await.unwrap_or("panicked"));
    }
    codes
}

/// A service on a file whose commits can be counted.
pub(crate) struct Counted {
    pub(crate) service: Service<SqliteStore>,
    log: std::path::PathBuf,
}

impl Counted {
    pub(crate) async fn new(shares: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("webhooks.db");
        let open = async || SqliteStore::open(&path).await.unwrap();
        let mut stores = [open().await, open().await];
        if !shares {
            stores = stores.map(SqliteStore::without_shared_flush);
        }
        stores[0].run_alone("CREATE TABLE effects (id BIGINT NOT NULL); PRAGMA wal_autocheckpoint = 0").await;
        let log = directory.path().join("webhooks.db-wal");
        Self { service: Service::on(stores, directory), log }
    }

    async fn commits(&self) -> usize {
        // A frame of the write-ahead log that ends a commit has the size of the database in its bytes 4 to 8.
        let page = usize::try_from(self.service.store().number("PRAGMA page_size").await).unwrap();
        let log = std::fs::read(&self.log).unwrap();
        log[32..].chunks_exact(24 + page).filter(|frame| frame[4..8] != [0; 4]).count()
    }
}

/// How often a test is repeated. A machine that stalls ends a transaction early, because a handler seems to be slow.
const TRIES: usize = 100;

#[tokio::test]
async fn handlers_that_wait_share_a_commit_unless_that_is_off_or_they_are_slow() {
    // The deeds, and how many commits they take beside that of the delivery before them.
    let cases: [(bool, &[Deed], usize); 6] = [
        (true, &[Nothing; 20], 1),
        (false, &[Nothing; 20], 20),
        (true, &[Nothing; 200], 2),
        // One that was slow commits at once, and others do not wait for the next, which may be slow too.
        (true, &[Sleep, Nothing, Nothing, Nothing], 4),
        (true, &[Nothing, Nothing, Sleep, Nothing, Nothing], 3),
        (true, &[Nothing, RunAndFail("SELECT 1"), Nothing, HangUp, Nothing], 1),
    ];
    for (shares, deeds, expected) in cases {
        let mut tries = 0;
        loop {
            let counted = Counted::new(shares).await;
            let before = counted.commits().await;
            let codes = together(&counted.service, 1, deeds).await;
            let commits = counted.commits().await - before - 1;
            for (id, code) in (1..).zip(&codes) {
                assert_eq!(counted.service.effects(id).await, i64::from(*code == "handled"), "{id}: {code}");
            }
            // Many take longer than one transaction fills.
            let most = if deeds.len() > 20 { 100 } else { expected };
            if (expected..=most).contains(&commits) {
                break;
            }
            tries += 1;
            assert!(tries < TRIES, "{commits} commits, {shares}, {deeds:?}: {codes:?}");
        }
    }
}

#[tokio::test]
async fn duplicates_among_those_that_wait_commit_nothing() {
    let counted = Counted::new(true).await;
    assert_eq!(together(&counted.service, 1, &[Nothing; 5]).await, ["handled"; 5]);
    let before = counted.commits().await;
    assert_eq!(together(&counted.service, 1, &[Panic; 5]).await, ["duplicate"; 5]);
    assert_eq!(counted.commits().await - before, 1, "that of the delivery before them");
    let mixed = together(&counted.service, 4, &[Nothing; 4]).await;
    assert_eq!(mixed, ["duplicate", "duplicate", "handled", "handled"]);
    // One more, if the machine stalled.
    assert!((3..=4).contains(&(counted.commits().await - before)));
}

/// The key was claimed by another form of the same receiver.
#[tokio::test]
async fn a_key_in_flight_among_those_that_wait_is_refused_alone() {
    let counted = Counted::new(true).await;
    let key = delivery(2).idempotency_key().clone();
    let _claim = counted.service.store().claim(&key, Duration::from_secs(60)).await.unwrap();
    let before = counted.commits().await;
    assert_eq!(together(&counted.service, 1, &[Nothing; 3]).await, [H, "in_flight", H]);
    // That of the delivery before them, and one more if the machine stalled.
    assert!((2..=3).contains(&(counted.commits().await - before)));
}

/// A task that did not end would take the connection again and again. Nothing else is spawned in this runtime.
#[tokio::test]
async fn no_task_outlives_the_handlers_that_share_a_commit() {
    let counted = Counted::new(true).await;
    assert_eq!(together(&counted.service, 1, &[Nothing; 5]).await, ["handled"; 5]);
    let metrics = tokio::runtime::Handle::current().metrics();
    until("no task is left", || metrics.num_alive_tasks() == 0).await;
}

pub(crate) const H: &str = "handled";
pub(crate) const N: &str = "store_not_committed";
pub(crate) const F: &str = "store_failed";

/// What the third of five handlers does, and what becomes of the five.
const MISDEEDS: [(Deed, [&str; 5]); 20] = [
    (Run("SELECT 1"), [H, H, H, H, H]),
    (RunAndFail("SELECT 1"), [H, H, "handler_failed", H, H]),
    (RunAndFail("INSERT INTO effects VALUES (99)"), [H, H, "handler_failed", H, H]),
    (Panic, [H, H, "panicked", H, H]),
    (HangUp, [H, H, "hung_up", H, H]),
    (Run("INSERT INTO effects VALUES (NULL)"), [H, H, H, H, H]),
    (Run("SAVEPOINT mine"), [H, H, H, H, H]),
    // SQLite or the handler ends the transaction of all. Those that come after it have another one.
    (Run("INSERT INTO singles VALUES (1), (1)"), [N, N, N, H, H]),
    (RunAndFail("INSERT INTO singles VALUES (1), (1)"), [N, N, "handler_failed", H, H]),
    (Run("ROLLBACK"), [N, N, N, H, H]),
    (RunAndFail("ROLLBACK"), [N, N, "handler_failed", H, H]),
    (Run("ROLLBACK; BEGIN"), [N, N, N, H, H]),
    (Run("ROLLBACK; SAVEPOINT mine"), [N, N, N, H, H]),
    (Run("COMMIT"), [N, N, N, H, H]),
    (Run("COMMIT; BEGIN; INSERT INTO effects VALUES (99)"), [N, N, N, H, H]),
    // The store's savepoint is the store's.
    (Run("ROLLBACK TO countersign_delivery; INSERT INTO effects VALUES (99)"), [N, N, N, N, N]),
    (Run("RELEASE countersign_delivery"), [F, F, F, F, H]),
    (RunAndFail("RELEASE countersign_delivery"), [F, F, "handler_failed", H, H]),
    (Run(ORPHAN), [F, F, F, F, F]),
    (Forget, [F, F, F, F, F]),
];

/// It is checked at the commit.
const ORPHAN: &str = "INSERT INTO children VALUES (7)";

#[tokio::test]
async fn what_handlers_do_in_one_transaction_is_committed_or_acknowledged_for_none() {
    for (deed, expected) in MISDEEDS {
        let deeds = [Nothing, Nothing, deed, Nothing, Nothing];
        let mut tries = 0;
        let service = loop {
            let service = Service::<SqliteStore>::new().await.unwrap();
            let tables = "CREATE TABLE singles (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK);
                 CREATE TABLE parents (id BIGINT PRIMARY KEY);
                 CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
            service.store().run_alone(tables).await;
            let codes = together(&service, 1, &deeds).await;
            for (id, code) in (1..).zip(&codes) {
                assert_eq!(service.effects(id).await, i64::from(*code == H), "{deed:?}: {id}");
            }
            assert_eq!(service.effects(99).await, 0, "{deed:?}");
            if codes == expected {
                break service;
            }
            tries += 1;
            assert!(tries < TRIES, "{deed:?}: {codes:?}");
        };
        // The provider tries again. Each one has a commit of its own then, and the one at fault fails alone.
        let (deed, third) = match deed {
            Run(ORPHAN) => (deed, F),
            Forget => (deed, N),
            _ => (Nothing, H),
        };
        let codes = together(&service, 1, &[Nothing, Nothing, deed, Nothing, Nothing]).await;
        for ((id, code), before) in (1..).zip(codes).zip(expected) {
            let now = if id == 3 { third } else { H };
            assert_eq!(code, if before == H { "duplicate" } else { now }, "{deed:?}: {id}");
            assert_eq!(service.effects(id).await, i64::from(now == H), "{deed:?}: {id}");
        }
    }
}

/// A second delivery of an event whose commit is yet to come is acknowledged after it, or not at all.
#[tokio::test]
async fn a_duplicate_is_told_no_sooner_than_the_first_that_the_event_is_done() {
    let deeds = [(1, Nothing), (1, Panic), (2, Nothing), (1, Panic)];
    for (last, expected, effects) in [
        (Nothing, [H, "duplicate", H, "duplicate", H], [1, 1, 1]),
        (Run(ORPHAN), [F; 5], [0; 3]),
        (Run("ROLLBACK"), [N; 5], [0; 3]),
    ] {
        let mut tries = 0;
        loop {
            let service = Service::<SqliteStore>::new().await.unwrap();
            let tables = "CREATE TABLE parents (id BIGINT PRIMARY KEY);
                 CREATE TABLE children (parent BIGINT REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED)";
            service.store().run_alone(tables).await;
            let codes = all(&service, deeds.into_iter().chain([(3, last)])).await;
            let found = [service.effects(1).await, service.effects(2).await, service.effects(3).await];
            for ((id, _), code) in deeds.iter().zip(&codes) {
                assert!(
                    found[*id as usize - 1] == 1 || ![H, "duplicate"].contains(code),
                    "{codes:?} {found:?}"
                );
            }
            if codes == expected {
                assert_eq!(found, effects, "{last:?}");
                break;
            }
            tries += 1;
            assert!(tries < TRIES, "{codes:?}");
        }
    }
}

/// A key that the table refuses, among others.
#[tokio::test]
async fn a_key_that_is_refused_fails_alone() {
    for (action, expected) in [("ABORT", [H, H, F, H, H]), ("ROLLBACK", [F, F, F, H, H])] {
        let mut tries = 0;
        loop {
            let service = Service::<SqliteStore>::new().await.unwrap();
            let refused = delivery(3).idempotency_key();
            let trigger = format!(
                "CREATE TRIGGER refuses BEFORE INSERT ON countersign_keys WHEN NEW.key = '{refused}'
                 BEGIN SELECT raise({action}, 'refused'); END"
            );
            service.store().run_alone(&trigger).await;
            let codes = together(&service, 1, &[Nothing; 5]).await;
            for (id, code) in (1..).zip(&codes) {
                assert_eq!(service.effects(id).await, i64::from(*code == H), "{action}: {id}");
            }
            if codes == expected {
                break;
            }
            tries += 1;
            assert!(tries < TRIES, "{action}: {codes:?}");
        }
    }
}

/// A pool of one's own has several connections, and its hooks are set for each transaction.
#[tokio::test]
async fn on_a_pool_of_your_own_they_share_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("yours.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(2));
    let open = async || SqliteStore::connect_with(Default::default(), options.clone()).await.unwrap();
    let service = Service::on([open().await, open().await], ());
    service.store().migrate().await.unwrap();
    service.store().run_alone("CREATE TABLE effects (id BIGINT NOT NULL)").await;
    let deeds = [Nothing, RunAndFail("SELECT 1"), Nothing, Run("ROLLBACK"), Nothing];
    let codes = together(&service, 1, &deeds).await;
    for (id, code) in (1..).zip(&codes) {
        assert_eq!(service.effects(id).await, i64::from(*code == H), "{codes:?}");
    }
    assert_eq!([codes[1], codes[3]], ["handler_failed", N]);
    for id in 1..=5 {
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1);
    }
}
