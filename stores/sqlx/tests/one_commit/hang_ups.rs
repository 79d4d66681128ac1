//! Clients that hang up: the future is dropped at every point at which it waits, and at random times.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use countersign::Outcome;
use countersign_sqlx::{PostgresStore, SqliteStore, sqlx};

use crate::backend::{Backend, BoxError, Scan, Service, delivery, with_effect};

/// Polls a future so many times at most. It is dropped as soon as it waits after that, or, if `late`, when
/// what it waited for has come.
async fn polled<F: Future>(future: F, times: usize, late: bool) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polls == times && !late => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn handle<S: Backend>(service: &Service<S>, id: u32) -> Outcome {
    let handler = async |delivery: Scan, transaction: S::Transaction| {
        let mut transaction = with_effect::<S>(delivery, transaction).await?;
        S::run(&mut transaction, "SELECT 1").await?;
        Ok::<_, BoxError>(transaction)
    };
    service.receiver().handle_in_transaction(delivery(id), handler).await
}

/// Whoever is told that a delivery was handled has to find its effect after the connections are closed.
async fn a_hang_up_at_any_point_loses_nothing_and_doubles_nothing<S: Backend>(service: Service<S>) -> usize {
    let (mut id, mut dropped) = (0, 0);
    let mut acknowledged = BTreeSet::new();
    let mut next = || {
        id += 1;
        id
    };
    // At every point: until so many polls are enough, for a few times.
    for late in [false, true] {
        for times in 1.. {
            let mut ended = 0;
            for _ in 0..4 {
                let id = next();
                let outcome = polled(handle(&service, id), times, late).await;
                match outcome {
                    Some(outcome) => {
                        assert_eq!(outcome.code(), "handled");
                        acknowledged.insert(id);
                        ended += 1;
                    }
                    None => dropped += 1,
                }
                // Others use the connection that the hang-up left.
                let other = next();
                service.deliver_until_acknowledged(other).await;
                acknowledged.insert(other);
            }
            if ended == 4 {
                break;
            }
        }
    }
    // At random times.
    for n in 0..300_u64 {
        let id = next();
        let time = Duration::from_micros(n * 7_919 % 6_000);
        match tokio::time::timeout(time, handle(&service, id)).await {
            Ok(outcome) if outcome.is_acknowledged() => {
                acknowledged.insert(id);
            }
            Ok(_) | Err(_) => dropped += 1,
        }
    }
    // The provider of each one that was not acknowledged tries again, until the last id.
    service.store().close().await;
    let other = &service.receivers[1];
    for id in 1..=id {
        let found = other.store().number(&format!("SELECT count(*) FROM effects WHERE id = {id}")).await;
        if acknowledged.contains(&id) {
            assert_eq!(found, 1, "{id} was acknowledged");
        }
        for tries in 0.. {
            let outcome = other.handle_in_transaction(delivery(id), with_effect::<S>).await;
            if outcome.is_acknowledged() {
                assert_eq!(outcome.code() == "duplicate", found == 1, "{id} has {found} effects");
                break;
            }
            assert!(tries < 100, "{outcome:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let found = other.store().number(&format!("SELECT count(*) FROM effects WHERE id = {id}")).await;
        assert_eq!(found, 1, "{id}");
    }
    dropped
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite() {
    let Some(service) = Service::<SqliteStore>::new().await else { return };
    let dropped = a_hang_up_at_any_point_loses_nothing_and_doubles_nothing(service).await;
    assert!(dropped > 20, "{dropped}");
}

/// With one connection, so that whatever a hang-up leaves on it is met.
#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let pool = PostgresStore::pool_options().max_connections(1);
    let Some(service) = Service::with_pools(pool).await else { return };
    let dropped = a_hang_up_at_any_point_loses_nothing_and_doubles_nothing(service).await;
    assert!(dropped > 20, "{dropped}");
}

/// Whatever an earlier user left on the only connection, the next delivery is handled, and commits nothing of it.
#[tokio::test]
async fn what_was_left_on_a_connection_of_postgres_is_neither_committed_nor_in_the_way() {
    let pool = PostgresStore::pool_options().max_connections(1);
    let Some(service) = Service::with_pools(pool).await else { return };
    let [this, other] = [0, 1].map(|n| service.receivers[n].store().pool().clone());
    let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    let leftovers = [
        (&this, "BEGIN"),
        (&this, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM effects"),
        (&this, "BEGIN; DECLARE countersign CURSOR FOR SELECT 1"),
        (&this, "BEGIN; INSERT INTO effects VALUES (99)"),
        (&this, "BEGIN; INSERT INTO effects VALUES (99); SELECT 1 / 0"),
        (&other, ends),
    ];
    for (id, (pool, left)) in (1..).zip(leftovers) {
        let _error = sqlx::raw_sql(left).execute(pool).await;
        assert_eq!(service.deliver(id).await.code(), "handled", "{left}");
        assert_eq!([service.effects(id).await, service.effects(99).await], [1, 0], "{left}");
    }
}
