//! The renewal of a lease while its handler runs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use countersign::store::{Claim, MemoryStoreError};
use countersign::{IdempotencyStore, MemoryStore};

use crate::common::{NOWTOPRINT, signed};
use crate::support::{Faulty, HandClock, MINUTE, answer, receive, receiver, unreached};

#[tokio::test]
async fn a_renewed_lease_outlasts_a_long_handler_up_to_the_ceiling() {
    let store = Arc::new(MemoryStore::new());
    let renewing = receiver(Arc::clone(&store))
        .with_lease_duration(Duration::from_millis(150))
        .unwrap()
        .with_renewal(Duration::from_millis(900), tokio::time::sleep)
        .unwrap();
    let other = receiver(Arc::clone(&store));
    let outcome = receive(&renewing, async |_| {
        for _ in 0..7 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(receive(&other, unreached).await.code(), "in_flight");
        }
        Ok(())
    })
    .await;
    assert_eq!(outcome.code(), "handled");

    // Beyond the ceiling the lease lapses, and another may begin; the handler itself goes on.
    assert!(store.forget("nowtoprint:evt_01js3q7d9w4b2k8m1z0h3v6x7y").await.unwrap());
    let outcome = receive(&renewing, async |_| {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(receive(&other, async |_| Ok(())).await.code(), "handled");
        Ok(())
    })
    .await;
    assert_eq!(outcome.code(), "lease_lost");
}

#[tokio::test]
async fn what_renewals_take_counts_toward_the_ceiling_but_for_the_last() {
    const CEILING: u64 = 100;
    let body = NOWTOPRINT.as_bytes();
    // With a lease of 30 seconds, a renewal is due every 10.
    for (takes, lazy) in [0, 4, 15, 19].into_iter().flat_map(|takes| [(takes, false), (takes, true)]) {
        let clock = HandClock::default();
        let (read, wait) = (clock.clone(), clock.clone());
        let renewing = Some((clock.clone(), Duration::from_secs(takes)));
        let store = MemoryStore::new().with_clock(move || read.now());
        let receiver = receiver(Faulty { store, renewing, ..Faulty::default() })
            .with_lease_duration(MINUTE / 2)
            .unwrap()
            .with_renewal(Duration::from_secs(CEILING), move |time| wait.sleep(time, lazy))
            .unwrap();
        let headers = signed(receiver.webhook(), body);
        let key = receiver.webhook().verify(&headers, body).unwrap().idempotency_key();

        let mut handling = pin!(receive(&receiver, async |_| std::future::pending().await));
        let mut second = 0;
        loop {
            clock.0.store(second, Ordering::Relaxed);
            assert!(handling.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            // Another gets the key as soon as the lease has lapsed.
            if let Claim::Acquired(_) = receiver.store().claim(&key, MINUTE).await.unwrap() {
                break;
            }
            second += 1;
            assert!(second <= CEILING + takes, "{takes} {lazy}: it does not lapse");
        }
        assert!(second >= CEILING, "{takes} {lazy}: lapsed after {second} s");
    }
}

#[tokio::test]
async fn renewals_are_due_every_third_of_the_lease_and_none_is_for_longer_than_the_ceiling_or_for_nothing() {
    let cases: [(u64, u64, u64, &[u64]); 5] = [
        (30_000, 60_000, 10_000, &[30_000, 30_000, 30_000, 20_000]),
        (30_000, 65_000, 10_000, &[30_000, 30_000, 30_000, 25_000, 15_000]),
        (30_000, 30_000, 10_000, &[20_000]),
        // No lease is too short for a step of a millisecond.
        (1, 3, 1, &[1, 1]),
        (1, 1, 1, &[]),
    ];
    let millis = Duration::from_millis;
    for (lease, ceiling, step, expected) in cases {
        let clock = HandClock::default();
        let wait = clock.clone();
        let sleep = move |time| {
            assert_eq!(time, millis(step));
            wait.sleep(Duration::from_secs(1), false)
        };
        let receiver = receiver(Faulty::default())
            .with_lease_duration(millis(lease))
            .unwrap()
            .with_renewal(millis(ceiling), sleep)
            .unwrap();
        let mut handling = pin!(receive(&receiver, async |_| std::future::pending().await));
        for second in 0..20 {
            clock.0.store(second, Ordering::Relaxed);
            assert!(handling.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let expected: Vec<_> = expected.iter().copied().map(millis).collect();
        assert_eq!(*receiver.store().renewals.lock().unwrap(), expected, "{lease} ms up to {ceiling} ms");
    }
}

#[tokio::test]
async fn a_handler_is_stopped_at_once_when_its_lease_is_lost() {
    let receiver = receiver(MemoryStore::new())
        .with_lease_duration(Duration::from_millis(150))
        .unwrap()
        .with_renewal(MINUTE, tokio::time::sleep)
        .unwrap();
    let outcome = receive(&receiver, async |delivery| {
        // An operator forgets the key, which loses the lease.
        assert!(receiver.store().forget(delivery.idempotency_key().as_str()).await.unwrap());
        tokio::time::sleep(MINUTE / 6).await;
        panic!("it was not stopped")
    })
    .await;
    assert_eq!(answer(&outcome), (409, "lease_lost", Some(1)));
}

/// The renewal cannot tell a done key from a lost one without a write that might be too early.
#[tokio::test]
async fn a_handler_that_lingers_after_completing_its_lease_itself_is_stopped_and_nothing_is_lost() {
    let receiver = receiver(MemoryStore::new())
        .with_lease_duration(Duration::from_millis(90))
        .unwrap()
        .with_renewal(MINUTE, tokio::time::sleep)
        .unwrap();
    let body = NOWTOPRINT.as_bytes();
    let headers = signed(receiver.webhook(), body);
    let delivery = receiver.webhook().verify(&headers, body).unwrap();
    let outcome = receiver.handle_with_lease(delivery, async |_, lease| {
        let status = receiver.store().complete(lease, receiver.retention()).await?;
        tokio::time::sleep(MINUTE / 6).await;
        Ok::<_, MemoryStoreError>(status)
    });
    assert_eq!(outcome.await.code(), "lease_lost");
    assert_eq!(receive(&receiver, unreached).await.code(), "duplicate");
}

#[tokio::test]
async fn the_shortest_lease_can_be_renewed() {
    let receiver = receiver(MemoryStore::new())
        .with_lease_duration(Duration::from_nanos(1))
        .unwrap()
        .with_renewal(MINUTE, tokio::time::sleep)
        .unwrap();
    let outcome = receive(&receiver, async |_| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    });
    assert_eq!(outcome.await.code(), "handled");
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_stops_nothing() {
    let receiver = receiver(Faulty { fail_renew: true, ..Faulty::default() })
        .with_lease_duration(Duration::from_millis(90))
        .unwrap()
        .with_renewal(MINUTE, tokio::time::sleep)
        .unwrap();
    let outcome = receive(&receiver, async |_| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    })
    .await;
    assert_eq!(outcome.code(), "handled");
    // A claim, a completion, and several renewals.
    assert!(receiver.store().calls.load(Ordering::Relaxed) > 4);
}
