//! Many deliveries at once that share commits, on SQLite.

use std::sync::Arc;
use std::time::Duration;

use countersign::IdempotencyStore as _;
use countersign::store::{Claim, conformance};
use countersign_sqlx::SqliteStore;

use crate::backend::{Backend as _, Service, delivery};
use crate::shared::Deed::*;
use crate::shared::{Counted, H, deliver, together};

/// Handlers that fail, panic, are slow, end the transaction or are dropped at random times, on two instances: an event
/// has its effect and its key, or neither; and it has them if it was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn at_random_times_nothing_is_lost_and_nothing_is_doubled() {
    for shares in [true, false] {
        let Counted { service, .. } = Counted::new(shares).await;
        let service = Arc::new(service);
        let tasks: Vec<_> = (0..32_u32)
            .map(|worker| {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for n in 0..40_u32 {
                        let id = worker * 1_000 + n;
                        let random = (id.wrapping_mul(2_654_435_761) >> 8) % 1_000;
                        let deed = match random {
                            0..2 => Run("ROLLBACK"),
                            2..4 => Run("COMMIT"),
                            8..60 => RunAndFail("INSERT INTO effects VALUES (99)"),
                            60..62 => Sleep,
                            _ => Nothing,
                        };
                        let receiver = service.receivers[usize::from(worker % 16 == 0)].clone();
                        let time = match random % 4 {
                            0 => Duration::from_micros(u64::from(random) * 20),
                            _ => Duration::from_secs(60),
                        };
                        let handled = tokio::time::timeout(time, deliver(receiver, id, deed)).await;
                        if handled == Ok(H) {
                            acknowledged.push(id);
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        assert!(acknowledged.len() > 500, "{}", acknowledged.len());
        service.store().close().await;
        let other = service.receivers[1].store();
        assert_eq!(other.number("SELECT count(*) FROM effects WHERE id = 99").await, 0);
        let twice = "SELECT count(*) FROM (SELECT id FROM effects GROUP BY id HAVING count(*) > 1)";
        assert_eq!(other.number(twice).await, 0);
        let effects = other.number("SELECT count(*) FROM effects").await;
        assert_eq!(other.number("SELECT count(*) FROM countersign_keys").await, effects);
        for worker in 0..32 {
            for id in (0..40).map(|n| worker * 1_000 + n) {
                let key = delivery(id).idempotency_key();
                let keys = format!("SELECT count(*) FROM countersign_keys WHERE key = '{key}'");
                let found = other.number(&format!("SELECT count(*) FROM effects WHERE id = {id}")).await;
                assert_eq!(other.number(&keys).await, found, "{id}");
                assert!(found == 1 || !acknowledged.contains(&id), "{id} was acknowledged");
            }
        }
    }
}

#[test]
fn a_runtime_that_ends_takes_no_later_delivery_with_it() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let main = runtime();
    let Counted { service, .. } = main.block_on(Counted::new(true));
    for moment in 1..=20 {
        let (ending, first) = (runtime(), moment * 1_000);
        ending.block_on(async {
            for id in first..first + 200 {
                tokio::spawn(deliver(service.receiver().clone(), id, Nothing));
            }
            tokio::time::sleep(Duration::from_micros(u64::from(moment) * 300)).await;
        });
        let waiting = std::thread::spawn({
            let receiver = service.receiver().clone();
            move || {
                runtime().block_on(async {
                    let ids = first + 300..first + 350;
                    let deliveries = ids.map(|id| deliver(receiver.clone(), id, Nothing));
                    futures_util::future::join_all(deliveries).await
                })
            }
        });
        ending.shutdown_timeout(Duration::from_secs(10));
        let during = waiting.join().unwrap();
        for id in first + 400..first + 450 {
            main.block_on(service.deliver_until_acknowledged(id));
        }
        for (id, code) in (first + 300..).zip(during) {
            let effects = main.block_on(service.effects(id));
            assert!(effects == 1 || code != H, "{id}: {code}");
        }
    }
    let twice = "SELECT count(*) FROM (SELECT id FROM effects GROUP BY id HAVING count(*) > 1)";
    assert_eq!(main.block_on(service.store().number(twice)), 0);
}

/// Claims and deliveries share the connection, each many at once.
#[tokio::test(flavor = "multi_thread")]
async fn neither_claims_nor_deliveries_starve_the_others() {
    let Counted { service, .. } = Counted::new(true).await;
    let end = std::time::Instant::now() + Duration::from_secs(2);
    let tasks: Vec<_> = (0..64_u32)
        .map(|worker| {
            let receiver = service.receiver().clone();
            tokio::spawn(async move {
                let mut count = 0;
                while std::time::Instant::now() < end {
                    if worker % 2 == 0 {
                        deliver(receiver.clone(), worker * 100_000 + count, Nothing).await;
                    } else {
                        let key = conformance::fresh_key();
                        let _claim = receiver.store().claim(&key, Duration::from_secs(60)).await;
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut counts = [0, 0];
    for (worker, task) in tasks.into_iter().enumerate() {
        counts[worker % 2] += task.await.unwrap();
    }
    let [deliveries, claims] = counts;
    assert!(deliveries * 50 > claims && claims * 50 > deliveries, "{deliveries} deliveries, {claims} claims");
}

/// sqlx then rolls back the whole transaction, at last, and a savepoint of the next handler would begin another one.
#[tokio::test]
async fn a_savepoint_whose_beginning_is_dropped_acknowledges_nothing_that_is_undone() {
    let service = Service::<SqliteStore>::new().await.unwrap();
    let other = service.receivers[1].store();
    for round in 0..40 {
        let first = round * 10;
        let codes = together(&service, first, &[DropBegin, Nothing, DropBegin, Nothing]).await;
        for (id, code) in (first..).zip(&codes) {
            let effects = other.number(&format!("SELECT count(*) FROM effects WHERE id = {id}")).await;
            assert_eq!(effects, i64::from(*code == H), "{id}: {codes:?}");
        }
        // What is acknowledged afterwards is there, also for others.
        service.deliver_until_acknowledged(first + 5).await;
        let key = conformance::fresh_key();
        let Ok(Claim::Acquired(lease)) = service.store().claim(&key, Duration::from_secs(60)).await else {
            panic!("{codes:?}")
        };
        let _ = service.store().complete(&lease, Duration::from_secs(60)).await.unwrap();
        assert_eq!(other.claim(&key, Duration::from_secs(60)).await.unwrap(), Claim::Done, "{codes:?}");
    }
}
