//! Events that arrive out of order: `advance`.

use std::time::Duration;

use countersign_sqlx::{Advance, PostgresStore, TableName, Version};

use crate::backend::{Backend, BoxError, Scan, Service, delivery, on_both_stores, with_effect};

on_both_stores! {
    a_version_is_newer_than_all_that_were_handled_or_not,
    an_object_without_a_valid_name_is_an_error,
    of_many_versions_at_once_the_newest_remains,
    a_version_is_purged_after_the_retention,
}

async fn handle<S: Backend>(
    service: &Service<S>,
    instance: usize,
    id: u32,
    object: &str,
    version: i64,
    fails: bool,
) -> Result<Advance, &'static str> {
    let mut told = None;
    let advancing = async |delivery: Scan, mut transaction: S::Transaction| {
        told = Some(S::advance(&mut transaction, object, Version::from(version)).await?);
        let transaction = with_effect::<S>(delivery, transaction).await?;
        if fails { Err(BoxError::from("no")) } else { Ok(transaction) }
    };
    let outcome = service.receivers[instance].handle_in_transaction(delivery(id), advancing).await;
    match outcome.code() {
        "handled" => Ok(told.unwrap()),
        code => Err(code),
    }
}

async fn a_version_is_newer_than_all_that_were_handled_or_not<S: Backend>(service: Service<S>) {
    let steps = [
        ("a", 5, false, Ok(Advance::Newer)),
        ("a", 5, false, Ok(Advance::Same)),
        ("a", 4, false, Ok(Advance::Older)),
        // Rolled back: as if it had never come.
        ("a", 9, true, Err("handler_failed")),
        ("a", 6, false, Ok(Advance::Newer)),
        ("a", 5, false, Ok(Advance::Older)),
        ("A", 1, false, Ok(Advance::Newer)),
        ("a ", 1, false, Ok(Advance::Newer)),
        ("b'\"; --", -3, false, Ok(Advance::Newer)),
        ("b'\"; --", i64::MIN, false, Ok(Advance::Older)),
        ("b'\"; --", i64::MAX, false, Ok(Advance::Newer)),
        ("b'\"; --", i64::MAX, false, Ok(Advance::Same)),
    ];
    for (id, (object, version, fails, expected)) in (1..).zip(steps) {
        let told = handle(&service, id as usize % 2, id, object, version, fails).await;
        assert_eq!(told, expected, "{object} {version}");
        assert_eq!(told.is_ok_and(Advance::is_newer), told == Ok(Advance::Newer));
    }
}

async fn an_object_without_a_valid_name_is_an_error<S: Backend>(service: Service<S>) {
    for (id, object) in (1..).zip(["", "a\0b", &"o".repeat(1_025)]) {
        let told = handle(&service, 0, id, object, 1, false).await;
        assert_eq!(told, Err("store_unavailable"), "{object:?}");
        assert_eq!(service.effects(id).await, 0);
    }
    assert_eq!(handle(&service, 0, 9, &"o".repeat(1_024), 1, false).await, Ok(Advance::Newer));
}

async fn of_many_versions_at_once_the_newest_remains<S: Backend>(service: Service<S>) {
    let service = std::sync::Arc::new(service);
    let tasks: Vec<_> = (0..24_u32)
        .map(|n| {
            let service = service.clone();
            // In no order.
            let version = i64::from(n * 7 % 24);
            tokio::spawn(async move {
                loop {
                    match handle(&service, n as usize % 2, n, "a", version, false).await {
                        Ok(told) => return (version, told),
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            })
        })
        .collect();
    let mut newer = Vec::new();
    for task in tasks {
        let (version, told) = task.await.unwrap();
        assert_ne!(told, Advance::Same);
        if told.is_newer() {
            newer.push(version);
        }
    }
    assert!(newer.contains(&23));
    assert_eq!(service.store().number("SELECT version FROM countersign_keys_versions").await, 23);
}

async fn a_version_is_purged_after_the_retention<S: Backend>(mut service: Service<S>) {
    service.receivers =
        service.receivers.map(|receiver| receiver.with_retention(Duration::from_secs(1)).unwrap());
    assert_eq!(handle(&service, 0, 1, "a", 5, false).await, Ok(Advance::Newer));
    assert_eq!(service.store().purge_all().await, 0);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // The key and the version.
    assert_eq!(service.store().purge_all().await, 2);
    // A newer version begins the retention anew.
    assert_eq!(handle(&service, 0, 2, "a", 4, false).await, Ok(Advance::Newer));
    service.receivers =
        service.receivers.map(|receiver| receiver.with_retention(Duration::from_secs(3_600)).unwrap());
    assert_eq!(handle(&service, 0, 3, "a", 5, false).await, Ok(Advance::Newer));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    // The key of the first of them.
    assert_eq!(service.store().purge_all().await, 1);
    assert_eq!(handle(&service, 0, 4, "a", 4, false).await, Ok(Advance::Older));
}

/// Two transactions on one object run one after the other, and none waits longer than the lock timeout.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_another_transaction_holds_is_waited_for_no_longer_than_the_lock_timeout() {
    let Some(mut service) = Service::<PostgresStore>::new().await else { return };
    let store = service.store().clone().with_lock_timeout(Duration::from_millis(200));
    service.receivers =
        [store.clone(), store].map(|store| countersign::Receiver::new(crate::common::webhook(), store));
    let mut other = service.store().pool().begin().await.unwrap();
    let insert = "INSERT INTO countersign_keys_versions VALUES ('a', 3, now())";
    countersign_sqlx::sqlx::raw_sql(insert).execute(&mut *other).await.unwrap();
    assert_eq!(handle(&service, 0, 1, "a", 4, false).await, Err("store_unavailable"));
    assert_eq!(handle(&service, 0, 2, "b", 4, false).await, Ok(Advance::Newer));
    other.commit().await.unwrap();
    assert_eq!(handle(&service, 0, 1, "a", 4, false).await, Ok(Advance::Newer));
}

#[tokio::test]
async fn the_table_of_the_versions_is_named_after_that_of_the_keys() {
    let Some(mut service) = Service::<PostgresStore>::new().await else { return };
    let longest = "k".repeat(TableName::MAX_LEN);
    let store = service.store().clone().with_table(&TableName::new(&*longest).unwrap());
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    service.receivers =
        [store.clone(), store].map(|store| countersign::Receiver::new(crate::common::webhook(), store));
    assert_eq!(handle(&service, 0, 1, "a", 4, false).await, Ok(Advance::Newer));
    assert_eq!(service.store().number(&format!("SELECT version FROM {longest}_versions")).await, 4);
}
