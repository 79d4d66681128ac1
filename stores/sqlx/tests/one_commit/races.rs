//! Deliveries of one event at the same time, and the number of commits.

use std::time::{Duration, Instant};

use countersign::store::{Claim, LeaseStatus};
use countersign::{IdempotencyStore, Outcome, Receiver, provider::ThreeQpr};
use countersign_sqlx::{PostgresStore, SqliteStore};
use tokio::sync::oneshot;

use crate::backend::{Backend, BoxError, Scan, Service, delivery, on_both_stores, with_effect};

on_both_stores! {
    of_two_instances_that_race_for_an_event_one_handles_it,
}

async fn of_two_instances_that_race_for_an_event_one_handles_it<S: Backend>(service: Service<S>) {
    for id in 1..=25 {
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let receiver = service.receivers[n % 2].clone();
                tokio::spawn(async move {
                    // Some of the handlers fail; then another one's turn comes.
                    let mut fails = n < 2;
                    loop {
                        let handler = async |delivery: Scan, transaction: S::Transaction| {
                            let transaction = with_effect::<S>(delivery, transaction).await?;
                            if std::mem::take(&mut fails) {
                                Err(BoxError::from("no"))
                            } else {
                                Ok(transaction)
                            }
                        };
                        let outcome = receiver.handle_in_transaction(delivery(id), handler).await;
                        if outcome.is_acknowledged() {
                            return outcome.code();
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        let mut handled = 0;
        for racer in racers {
            handled += usize::from(racer.await.unwrap() == "handled");
        }
        assert_eq!((handled, service.effects(id).await), (1, 1));
    }
}

/// Begins to handle an event, and holds its transaction until told to go on.
async fn hold<S: Backend>(
    receiver: &Receiver<ThreeQpr, S>,
    id: u32,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Outcome>) {
    let (go_on, wait) = oneshot::channel();
    let (begun, has_begun) = oneshot::channel();
    let handler = async move |delivery: Scan, transaction: S::Transaction| {
        let transaction = with_effect::<S>(delivery, transaction).await?;
        begun.send(()).unwrap();
        wait.await?;
        Ok::<_, BoxError>(transaction)
    };
    let receiver = receiver.clone();
    let handling = tokio::spawn(async move { receiver.handle_in_transaction(delivery(id), handler).await });
    has_begun.await.unwrap();
    (go_on, handling)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_told_at_once_by_postgres_that_the_first_is_in_flight() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    let (go_on, first) = hold(service.receiver(), 1).await;
    let start = Instant::now();
    for receiver in &service.receivers {
        let outcome = receiver.handle_in_transaction(delivery(1), with_effect::<PostgresStore>).await;
        assert_eq!(
            (outcome.code(), outcome.status(), outcome.retry_after_secs()),
            ("in_flight", 409, Some(1))
        );
        // The other form sees it too.
        let outcome = receiver.handle(delivery(1), async |_| -> Result<(), BoxError> { panic!() }).await;
        assert_eq!(outcome.code(), "in_flight");
    }
    // Other events go on.
    assert_eq!(service.deliver(2).await.code(), "handled");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    go_on.send(()).unwrap();
    assert_eq!(first.await.unwrap().code(), "handled");
    assert_eq!(service.deliver(1).await.code(), "duplicate");
}

/// A completion in an open transaction of the user's own locks the key's row, and nobody waits for it.
#[tokio::test]
async fn postgres_does_not_wait_for_a_completion_that_is_not_committed() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    let (store, key) = (service.store(), delivery(1).idempotency_key());
    let Claim::Acquired(lease) = store.claim(&key, Duration::from_secs(60)).await.unwrap() else { panic!() };
    let mut transaction = store.pool().begin().await.unwrap();
    let retention = Duration::from_secs(3600);
    assert_eq!(store.complete_in(&mut transaction, &lease, retention).await.unwrap(), LeaseStatus::Applied);
    let start = Instant::now();
    assert_eq!(service.deliver(1).await.code(), "in_flight");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    transaction.commit().await.unwrap();
    assert_eq!(service.deliver(1).await.code(), "duplicate");
}

/// SQLite has one writer at a time: a duplicate waits, in its own process or in another.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_waits_in_sqlite_no_longer_than_a_provider_does() {
    let Some(service) = Service::<SqliteStore>::new().await else { return };
    for (n, receiver) in service.receivers.iter().enumerate() {
        let (go_on, first) = hold(service.receiver(), 1).await;
        let start = Instant::now();
        let outcome = receiver.handle_in_transaction(delivery(1), with_effect::<SqliteStore>).await;
        assert_eq!((outcome.code(), outcome.status()), ("store_unavailable", 503), "instance {n}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let waiting = tokio::spawn({
            let receiver = receiver.clone();
            async move { receiver.handle_in_transaction(delivery(1), with_effect::<SqliteStore>).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        go_on.send(()).unwrap();
        assert_eq!(first.await.unwrap().code(), "handled");
        assert_eq!(waiting.await.unwrap().code(), "duplicate");
        service.store().run_alone("DELETE FROM countersign_keys").await;
    }
}

/// A duplicate is only read, which waits for no writer. A new event waits, also if it has read before the writer wrote.
#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_answered_by_sqlite_while_another_process_writes() {
    let Some(service) = Service::<SqliteStore>::new().await else { return };
    assert_eq!(service.deliver(1).await.code(), "handled");
    let (go_on, writing) = hold(&service.receivers[1], 2).await;
    let start = Instant::now();
    assert_eq!(service.deliver(1).await.code(), "duplicate");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let receiver = service.receiver().clone();
    let new = tokio::spawn(async move {
        receiver.handle_in_transaction(delivery(3), with_effect::<SqliteStore>).await.code()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    go_on.send(()).unwrap();
    assert_eq!(writing.await.unwrap().code(), "handled");
    assert_eq!(new.await.unwrap(), "handled");
}

#[tokio::test]
async fn a_handled_delivery_is_one_transaction_of_postgres_and_a_duplicate_writes_nothing() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    // Each transaction that writes takes the next number; so does the query itself.
    let number = async || service.store().number("SELECT txid_current()").await;
    for (id, code, taken) in [(1, "handled", 1), (1, "duplicate", 0), (2, "handled", 1)] {
        let before = number().await;
        assert_eq!(service.deliver(id).await.code(), code);
        assert_eq!(number().await - before - 1, taken, "{code}");
    }
}

#[tokio::test]
async fn a_handled_delivery_is_one_commit_of_sqlite_and_a_duplicate_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("webhooks.db");
    let open = async || SqliteStore::open(&path).await.unwrap();
    let service = Service::on([open().await, open().await], ());
    service
        .store()
        .run_alone("CREATE TABLE effects (id BIGINT NOT NULL); PRAGMA wal_autocheckpoint = 0")
        .await;
    // A frame of the write-ahead log that ends a commit has the size of the database in its bytes 4 to 8.
    let page = usize::try_from(service.store().number("PRAGMA page_size").await).unwrap();
    let commits = || {
        let log = std::fs::read(directory.path().join("webhooks.db-wal")).unwrap();
        log[32..].chunks_exact(24 + page).filter(|frame| frame[4..8] != [0; 4]).count()
    };
    for (id, code, taken) in [(1, "handled", 1), (1, "duplicate", 0), (2, "handled", 1)] {
        let before = commits();
        assert_eq!(service.deliver(id).await.code(), code);
        assert_eq!(commits() - before, taken, "{code}");
    }
}
