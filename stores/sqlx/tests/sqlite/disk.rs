//! A disk that fills, and has room again.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use countersign::provider::ThreeQpr;
use countersign::store::{Claim, Lease, LeaseStatus, conformance};
use countersign::{Delivery, IdempotencyStore, Receiver};
use countersign_sqlx::{SqlStoreError, SqliteStore, SqliteTransaction, sqlx};
use tempfile::TempDir;

use crate::many;
use crate::support::{LEASE, RETENTION, open};

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
    fill_and_free(Form::Lease).await;
}

#[tokio::test]
async fn a_disk_that_was_full_leaves_a_store_that_works_in_one_commit() {
    fill_and_free(Form::OneCommit).await;
}

/// The error ends the transaction, and the handler writes on.
#[tokio::test]
async fn a_disk_that_was_full_leaves_a_store_that_works_whatever_the_handler_ignores() {
    fill_and_free(Form::OneCommitThatIgnoresErrors).await;
}

#[derive(PartialEq)]
enum Form {
    Lease,
    OneCommit,
    OneCommitThatIgnoresErrors,
}

/// Delivers until the disk is full, and after it has room again: in the store's transaction, or in the handler's.
async fn fill_and_free(form: Form) {
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
        if form != Form::Lease {
            let handler = async |delivery: Delivery<'_, ThreeQpr>, mut transaction: SqliteTransaction| {
                let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(?2))");
                let effect = effect.bind(delivery.id()).bind(size).execute(&mut *transaction).await;
                if form == Form::OneCommit {
                    effect?;
                } else if effect.is_err() {
                    let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(1))");
                    let _ignored = effect.bind(delivery.id()).execute(&mut *transaction).await;
                }
                Ok::<_, SqlStoreError>(transaction)
            };
            return receiver.handle_in_transaction(delivery, handler).await;
        }
        let store = receiver.store();
        let handler = async |_: Delivery<'_, ThreeQpr>, lease: &Lease| {
            let mut transaction = store.pool().begin_with("BEGIN IMMEDIATE").await?;
            let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(?2))");
            effect.bind(lease.key().as_str()).bind(size).execute(&mut *transaction).await?;
            let status = store.complete_in(&mut transaction, lease, receiver.retention()).await?;
            transaction.commit().await?;
            Ok::<_, SqlStoreError>(status)
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

/// Many calls at once share a flush, which fails for all of them; but what was told to be done is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_under_many_calls_at_once_loses_nothing_that_was_completed() {
    let Some(disk) = SmallDisk::new() else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6_000_000]).unwrap();
    let store = open(&disk.0).await;
    // Otherwise the log is reused before the disk is full.
    sqlx::raw_sql("PRAGMA wal_autocheckpoint = 0").execute(store.pool()).await.unwrap();
    let completed = Arc::new(Mutex::new(Vec::new()));
    many::at_once(0..64, |_| {
        let (store, completed): (SqliteStore, _) = (store.clone(), Arc::clone(&completed));
        async move {
            let mut failures = 0;
            while failures < 5 {
                let key = conformance::fresh_key();
                let done = async {
                    let Claim::Acquired(lease) = store.claim(&key, LEASE).await? else {
                        panic!("{key} is free")
                    };
                    assert_eq!(store.complete(&lease, RETENTION).await?, LeaseStatus::Applied);
                    Ok::<_, SqlStoreError>(())
                };
                match done.await {
                    Ok(()) => completed.lock().unwrap().push(key),
                    Err(error) => {
                        assert!(matches!(error.code(), "store_failed" | "store_locked"), "{error:?}");
                        failures += 1;
                    }
                }
            }
        }
    })
    .await;
    let completed = std::mem::take(&mut *completed.lock().unwrap());
    assert!(completed.len() > 100, "the disk was full from the beginning");
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(many::claim_all(&store, &many::keys(100)).await.len(), 100);
    let store = open(&disk.0).await;
    for key in completed {
        assert_eq!(store.claim(&key, LEASE).await.unwrap(), Claim::Done, "{key}");
    }
}

/// Many handlers at once share a commit, which fails for all of them; but what was acknowledged is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_under_many_handlers_at_once_loses_nothing_that_was_acknowledged() {
    let Some(disk) = SmallDisk::new() else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6_000_000]).unwrap();
    let store = open(&disk.0).await;
    let tables = "PRAGMA wal_autocheckpoint = 0; CREATE TABLE effects (key TEXT, size BLOB)";
    sqlx::raw_sql(tables).execute(store.pool()).await.unwrap();
    let receiver = Receiver::new(crate::common::webhook::<ThreeQpr>(), store);
    let deliver = async |receiver: Receiver<ThreeQpr, SqliteStore>, event: usize| {
        let body = format!(r#"{{"event":"scan.created","id":"evt_{event}"}}"#);
        let headers = crate::common::signed(receiver.webhook(), body.as_bytes());
        let delivery = receiver.webhook().verify(&headers, body.as_bytes()).unwrap();
        let handler = async |delivery: Delivery<'_, ThreeQpr>, mut transaction: SqliteTransaction| {
            let effect = sqlx::query("INSERT INTO effects VALUES (?1, zeroblob(2000))");
            effect.bind(delivery.idempotency_key().as_str()).execute(&mut *transaction).await?;
            Ok::<_, SqlStoreError>(transaction)
        };
        receiver.handle_in_transaction(delivery, handler).await.is_acknowledged()
    };
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    many::at_once(0..64, |worker| {
        let (receiver, acknowledged) = (receiver.clone(), Arc::clone(&acknowledged));
        async move {
            let (mut failures, mut event) = (0, worker * 10_000);
            while failures < 5 {
                match deliver(receiver.clone(), event).await {
                    true => acknowledged.lock().unwrap().push(event),
                    false => failures += 1,
                }
                event += 1;
            }
        }
    })
    .await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert!(acknowledged.len() > 100, "the disk was full from the beginning");
    std::fs::remove_file(ballast).unwrap();
    for event in 1_000_000..1_000_300 {
        assert!(deliver(receiver.clone(), event).await, "{event}");
    }
    let store = open(&disk.0).await;
    let number =
        async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(store.pool()).await.unwrap();
    let unequal = "SELECT count(*) FROM countersign_keys FULL JOIN effects USING (key)
         WHERE token IS NULL OR size IS NULL";
    assert_eq!(number(unequal).await, 0);
    let count = usize::try_from(number("SELECT count(*) FROM countersign_keys").await).unwrap();
    assert_eq!(count, acknowledged.len() + 300);
}
