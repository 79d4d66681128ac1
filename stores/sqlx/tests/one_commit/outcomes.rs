//! What is answered, and what is committed.

use std::time::Duration;

use countersign::store::{Begun, Claim, LeaseStatus};
use countersign::{Error, Outcome};
use countersign_sqlx::sqlx::{self, Connection as _};
use countersign_sqlx::{PostgresStore, PostgresTransaction, SqlStoreError, SqliteStore};

use crate::backend::{Backend, BoxError, Scan, Service, delivery, on_both_stores, with_effect};

on_both_stores! {
    an_event_is_handled_once_and_a_duplicate_runs_no_handler,
    what_the_handler_returns_decides_what_is_answered,
    a_handler_that_panics_undoes_everything,
    a_handler_that_commits_another_deliverys_transaction_commits_nothing,
    a_statement_may_fail_in_a_savepoint,
    a_done_key_is_forgotten_after_the_retention,
    a_lapsed_claim_is_taken_over_and_its_key_is_done,
}

async fn an_event_is_handled_once_and_a_duplicate_runs_no_handler<S: Backend>(service: Service<S>) {
    assert_eq!(service.deliver(1).await.code(), "handled");
    assert_eq!(service.effects(1).await, 1);
    for receiver in &service.receivers {
        let never = async |_: Scan, _: S::Transaction| -> Result<S::Transaction, BoxError> { panic!() };
        let outcome = receiver.handle_in_transaction(delivery(1), never).await;
        assert_eq!((outcome.code(), outcome.status()), ("duplicate", 200));
    }
    // A retry after a lost answer finds the effect, and the other form finds the key.
    let outcome =
        service.receiver().handle(delivery(1), async |_| -> Result<(), BoxError> { panic!() }).await;
    assert_eq!(outcome.code(), "duplicate");
}

async fn what_the_handler_returns_decides_what_is_answered<S: Backend>(service: Service<S>) {
    type Failure = fn() -> BoxError;
    let failures: [(Failure, &str, u16); 3] = [
        (|| "no".into(), "handler_failed", 500),
        (|| Box::new(SqlStoreError::from(sqlx::Error::WorkerCrashed)), "store_unavailable", 503),
        (invalid_event, "invalid_event", 422),
    ];
    for (id, (failure, code, status)) in (1..).zip(failures) {
        let failing = async |delivery: Scan, transaction: S::Transaction| {
            let _transaction = with_effect::<S>(delivery, transaction).await?;
            Err(failure())
        };
        let outcome = service.receiver().handle_in_transaction(delivery(id), failing).await;
        assert_eq!((outcome.code(), outcome.status()), (code, status));
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1, "{code}");
    }
}

fn invalid_event() -> BoxError {
    let webhook = crate::common::webhook::<countersign::provider::Quote3d>();
    let body = br#"{"event":"quote.completed","data":{}}"#;
    let headers = crate::common::signed(&webhook, body);
    let error = webhook.verify(&headers, body).unwrap().event().unwrap_err();
    assert!(matches!(error, Error::InvalidEvent { .. }));
    error.into()
}

async fn a_handler_that_panics_undoes_everything<S: Backend>(service: Service<S>) {
    let receiver = service.receiver().clone();
    let panicking = async |delivery: Scan, transaction: S::Transaction| -> Result<S::Transaction, BoxError> {
        let _transaction = with_effect::<S>(delivery, transaction).await?;
        panic!("a panic of a handler, which is expected here")
    };
    let task = tokio::spawn(async move { receiver.handle_in_transaction(delivery(1), panicking).await });
    assert!(task.await.unwrap_err().is_panic());
    service.deliver_until_acknowledged(1).await;
    assert_eq!(service.effects(1).await, 1);
}

async fn a_handler_that_commits_another_deliverys_transaction_commits_nothing<S: Backend>(
    service: Service<S>,
) {
    let [key, other] = [1, 2].map(|id| delivery(id).idempotency_key());
    let Begun::New(transaction) = service.store().begin(&key, Duration::from_secs(60)).await.unwrap() else {
        panic!()
    };
    let transaction = with_effect::<S>(delivery(1), transaction).await.unwrap();
    let error = service.store().commit(&other, transaction).await.unwrap_err();
    assert_eq!(error.code(), "store_not_committed");
    assert_eq!(
        error.to_string(),
        "the handler's transaction had ended before its commit: an error of a statement was ignored"
    );
    for id in [1, 2] {
        assert_eq!(service.effects(id).await, 0);
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1);
    }
}

async fn a_statement_may_fail_in_a_savepoint<S: Backend>(service: Service<S>) {
    let trying = async |delivery: Scan, mut transaction: S::Transaction| {
        S::attempt(&mut transaction, "INSERT INTO effects VALUES (7)").await;
        S::attempt(&mut transaction, "INSERT INTO effects VALUES (8), (NULL)").await;
        with_effect::<S>(delivery, transaction).await
    };
    assert_eq!(service.receiver().handle_in_transaction(delivery(1), trying).await.code(), "handled");
    assert_eq!([service.effects(1).await, service.effects(7).await, service.effects(8).await], [1, 1, 0]);
}

async fn a_done_key_is_forgotten_after_the_retention<S: Backend>(service: Service<S>) {
    let receiver = service.receiver().clone().with_retention(Duration::from_secs(1)).unwrap();
    for code in ["handled", "duplicate"] {
        assert_eq!(receiver.handle_in_transaction(delivery(1), with_effect::<S>).await.code(), code);
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(service.store().purge_all().await, 1);
    assert_eq!(receiver.handle_in_transaction(delivery(1), with_effect::<S>).await.code(), "handled");
}

async fn a_lapsed_claim_is_taken_over_and_its_key_is_done<S: Backend>(service: Service<S>) {
    let (store, key) = (service.store(), delivery(1).idempotency_key());
    let Claim::Acquired(lapsed) = store.claim(&key, Duration::from_millis(50)).await.unwrap() else {
        panic!()
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    for code in ["handled", "duplicate"] {
        assert_eq!(service.deliver(1).await.code(), code);
    }
    assert_eq!(store.complete(&lapsed, Duration::from_secs(60)).await.unwrap(), LeaseStatus::Lost);
    assert_eq!(service.effects(1).await, 1);
}

/// Delivers an event whose handler runs this SQL after its effect and ignores the error. Returns the outcome, the
/// number of effects, and the code of the next delivery.
async fn misbehave<S: Backend>(
    service: &Service<S>,
    id: u32,
    sql: &'static str,
) -> (Outcome, i64, &'static str) {
    let ignoring = async |delivery: Scan, transaction: S::Transaction| {
        let mut transaction = with_effect::<S>(delivery, transaction).await?;
        let _ignored = S::run(&mut transaction, sql).await;
        Ok::<_, BoxError>(transaction)
    };
    let outcome = service.receiver().handle_in_transaction(delivery(id), ignoring).await;
    let effects = service.effects(id).await;
    // The connection returns to the pool in a task of its own.
    let next = loop {
        match service.deliver(id).await {
            Outcome::InFlight { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
            next => break next.code(),
        }
    };
    (outcome, effects, next)
}

/// What a handler may do to its transaction, the code of the outcome or of its error, the effects that are
/// committed, and the code of the next delivery.
type Misdeeds = [(&'static str, &'static str, i64, &'static str)];

async fn nothing_is_acknowledged_that_is_not_committed<S: Backend>(service: Service<S>, misdeeds: &Misdeeds) {
    for (id, &(sql, code, effects, next)) in (1..).zip(misdeeds) {
        let (outcome, found, then) = misbehave(&service, id, sql).await;
        let cause = outcome.error().and_then(|error| error.downcast_ref()).map(SqlStoreError::code);
        assert_eq!(
            (cause.unwrap_or(outcome.code()), found, then),
            (code, effects, next),
            "{sql}: {outcome:?}"
        );
        assert_eq!(outcome.status(), if code == "handled" { 200 } else { 503 }, "{sql}");
        assert_eq!(service.effects(id).await, 1, "{sql}");
    }
}

#[tokio::test]
async fn an_error_that_the_handler_ignored_is_not_committed_by_postgres() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    let misdeeds = [
        ("SELECT 1", "handled", 1, "duplicate"),
        ("SELECT 1 / 0", "store_not_committed", 0, "handled"),
        ("INSERT INTO effects VALUES (NULL)", "store_not_committed", 0, "handled"),
        ("no SQL", "store_not_committed", 0, "handled"),
        ("ROLLBACK", "store_not_committed", 0, "handled"),
        ("ROLLBACK; BEGIN", "store_not_committed", 0, "handled"),
        ("ROLLBACK AND CHAIN", "store_not_committed", 0, "handled"),
        ("CLOSE ALL", "store_not_committed", 0, "handled"),
        // Then key and effect are committed, and only the answer is wrong.
        ("COMMIT", "store_not_committed", 1, "duplicate"),
        ("COMMIT; BEGIN", "store_not_committed", 1, "duplicate"),
    ];
    nothing_is_acknowledged_that_is_not_committed(service, &misdeeds).await;
}

#[tokio::test]
async fn an_error_that_the_handler_ignored_is_not_committed_by_sqlite() {
    let Some(service) = Service::<SqliteStore>::new().await else { return };
    service.store().run_alone("CREATE TABLE singles (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)").await;
    let misdeeds = [
        ("SELECT 1", "handled", 1, "duplicate"),
        // An error of a statement that ends nothing: the rest is committed, as SQLite has it.
        ("INSERT INTO effects VALUES (NULL)", "handled", 1, "duplicate"),
        ("INSERT INTO singles VALUES (1), (1)", "store_not_committed", 0, "handled"),
        ("ROLLBACK", "store_not_committed", 0, "handled"),
        ("ROLLBACK; BEGIN", "store_not_committed", 0, "handled"),
        ("ROLLBACK; SAVEPOINT mine", "store_not_committed", 0, "handled"),
        // Refused, and rolled back.
        ("COMMIT", "store_not_committed", 0, "handled"),
        ("COMMIT; BEGIN", "store_not_committed", 0, "handled"),
    ];
    nothing_is_acknowledged_that_is_not_committed(service, &misdeeds).await;
}

/// SQLite, or the handler itself, ends the transaction in the middle. What the handler writes after that would be
/// committed at once, without the key.
#[tokio::test]
async fn sqlite_commits_nothing_that_the_handler_writes_after_the_end_of_its_transaction() {
    let Some(service) = Service::<SqliteStore>::new().await else { return };
    no_write_survives_its_transaction(service).await;
}

#[tokio::test]
async fn nor_does_it_on_a_pool_of_your_own() {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("yours.db"))
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(2));
    let open = async || SqliteStore::connect_with(Default::default(), options.clone()).await.unwrap();
    let service = Service::on([open().await, open().await], ());
    service.store().migrate().await.unwrap();
    service.store().run_alone("CREATE TABLE effects (id BIGINT NOT NULL)").await;
    no_write_survives_its_transaction(service).await;
}

async fn no_write_survives_its_transaction(service: Service<SqliteStore>) {
    service.store().run_alone("CREATE TABLE singles (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)").await;
    let ends = ["INSERT INTO singles VALUES (1), (1)", "ROLLBACK", "COMMIT", "END", "ROLLBACK; BEGIN"];
    for (id, end) in (1..).zip(ends) {
        for hangs_up in [false, true] {
            let ending = async |delivery: Scan, mut transaction| {
                let _ignored = SqliteStore::run(&mut transaction, end).await;
                for sql in ["INSERT INTO effects VALUES (99)", "COMMIT", "INSERT INTO effects VALUES (99)"] {
                    let _ignored = SqliteStore::run(&mut transaction, sql).await;
                }
                if hangs_up {
                    Err(BoxError::from("hung up"))
                } else {
                    with_effect::<SqliteStore>(delivery, transaction).await
                }
            };
            let outcome = service.receiver().handle_in_transaction(delivery(id), ending).await;
            assert!(!outcome.is_acknowledged(), "{end}: {outcome:?}");
            assert_eq!([service.effects(id).await, service.effects(99).await], [0, 0], "{end}");
        }
        // The connection serves others, in all forms.
        service.deliver_until_acknowledged(id).await;
        service.store().run_alone("CREATE TABLE t (id); DROP TABLE t").await;
        assert_eq!(service.effects(id).await, 1, "{end}");
    }
}

/// sqlx then rolls back the whole transaction, and what follows would be committed at once.
#[tokio::test]
async fn in_postgres_a_savepoint_that_does_not_begin_leaves_nothing_to_write_with() {
    let Some(service) = Service::<PostgresStore>::new().await else { return };
    for (id, is_no_savepoint) in [(1, true), (2, false)] {
        let receiver = service.receiver().clone();
        let handling = tokio::spawn(async move {
            let handler = async |delivery: Scan, mut transaction: PostgresTransaction| {
                if is_no_savepoint {
                    assert!(transaction.begin_with("BEGIN").await.is_err());
                } else {
                    let _ = PostgresStore::run(&mut transaction, "SELECT 1 / 0").await;
                    assert!(transaction.begin().await.is_err());
                }
                assert!(transaction.advance("object", 1).await.is_err());
                with_effect::<PostgresStore>(delivery, transaction).await
            };
            receiver.handle_in_transaction(delivery(id), handler).await.code()
        });
        assert!(handling.await.unwrap_err().is_panic());
        assert_eq!(service.effects(id).await, 0);
        service.deliver_until_acknowledged(id).await;
        assert_eq!(service.effects(id).await, 1);
    }
}
