//! How long a lease, a retention and a ceiling may be, and that they are kept.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use countersign::provider::NowToPrint;
use countersign::{MemoryStore, Outcome, PolicyError, Provider, Receiver, Scheme, TimeUnit, UnknownEvent};

use crate::common::webhook;
use crate::support::{MINUTE, answer, receive, receiver, unreached};

#[tokio::test]
async fn a_done_key_is_remembered_for_the_retention_and_a_claimed_one_for_the_lease() {
    const LEASE: u64 = 30;
    const RETENTION: u64 = 3_600;
    let seconds = Arc::new(AtomicU64::new(0));
    let pass = |time| seconds.fetch_add(time, Ordering::Relaxed);
    let clock = Arc::clone(&seconds);
    let store = MemoryStore::new().with_clock(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
    let given = (Duration::from_secs(LEASE), Duration::from_secs(RETENTION));
    let told = receiver(&store).with_lease_duration(given.0).unwrap().with_retention(given.1).unwrap();
    // Unless told otherwise: a minute and a week.
    let untold = receiver(&store);
    for (receiver, lease, retention) in [(&told, LEASE, RETENTION), (&untold, 60, 7 * 86_400)] {
        assert_eq!(receive(receiver, async |_| Ok(())).await.code(), "handled");
        pass(retention - 1);
        assert_eq!(receive(receiver, unreached).await.code(), "duplicate");
        pass(1);
        {
            let mut future = pin!(receive(receiver, async |_| std::future::pending().await));
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        pass(lease - 1);
        assert_eq!(answer(&receive(receiver, unreached).await), (409, "in_flight", Some(1)));
        pass(1);
        assert_eq!(receive(receiver, async |_| Ok(())).await.code(), "handled");
        pass(10 * retention);
    }
}

/// A provider whose scheme tolerates so many seconds in the past and in the future.
#[derive(Default)]
struct Tolerant<const PAST: u64, const FUTURE: u64>;

impl<const PAST: u64, const FUTURE: u64> Provider for Tolerant<PAST, FUTURE> {
    type Event = UnknownEvent;
    const NAME: &'static str = "tolerant";
    const SCHEME: Scheme<'static> = Scheme::new("x-signature")
        .with_time_header("x-time", TimeUnit::Seconds)
        .with_template("{timestamp}.{body}")
        .with_tolerances(Duration::from_secs(PAST), Duration::from_secs(FUTURE));
}

#[test]
fn a_policy_that_cannot_work_is_refused_when_it_is_built() {
    const WEEK: Duration = Duration::from_secs(7 * 86_400);
    let made = || receiver(MemoryStore::new());
    let aged = |max_age| Receiver::new(webhook::<NowToPrint>().with_max_age(max_age), MemoryStore::new());
    let sleep = tokio::time::sleep;
    let cases = [
        (made().with_lease_duration(Duration::ZERO), "zero_lease", "a lease must be longer than zero"),
        (made().with_retention(Duration::ZERO), "zero_retention", "a retention must be longer than zero"),
        (
            made().with_lease_duration(MINUTE).unwrap().with_retention(MINUTE - Duration::from_nanos(1)),
            "retention_shorter_than_lease",
            "a retention must not be shorter than the lease",
        ),
        (
            made().with_retention(WEEK).unwrap().with_lease_duration(WEEK + Duration::from_nanos(1)),
            "retention_shorter_than_lease",
            "a retention must not be shorter than the lease",
        ),
        (
            aged(MINUTE).with_retention(2 * MINUTE - Duration::from_nanos(1)),
            "retention_shorter_than_replay_window",
            "a retention must be at least twice the maximum age, or without one the sum of the scheme's tolerances",
        ),
        (
            made().with_lease_duration(MINUTE).unwrap().with_renewal(MINUTE - Duration::from_nanos(1), sleep),
            "renewal_shorter_than_lease",
            "the ceiling of a renewal must not be shorter than the lease",
        ),
        (
            made().with_renewal(MINUTE, sleep).unwrap().with_lease_duration(2 * MINUTE),
            "renewal_shorter_than_lease",
            "the ceiling of a renewal must not be shorter than the lease",
        ),
    ];
    for (refused, code, message) in cases {
        let error = refused.unwrap_err();
        assert_eq!((error.code(), &*error.to_string()), (code, message));
    }
    assert!(made().with_lease_duration(MINUTE).unwrap().with_retention(MINUTE).is_ok());
    assert_eq!(made().with_renewal(Duration::ZERO, sleep).unwrap_err(), PolicyError::ZeroLease);
    assert!(aged(MINUTE).with_retention(2 * MINUTE).is_ok());
    // A minute in the past and three in the future, which a maximum age replaces.
    let tolerant = webhook::<Tolerant<60, 180>>;
    let too_short = 4 * MINUTE - Duration::from_nanos(1);
    let refused = Receiver::new(tolerant(), MemoryStore::new()).with_retention(too_short).unwrap_err();
    assert_eq!(refused, PolicyError::RetentionShorterThanReplayWindow);
    assert!(Receiver::new(tolerant(), MemoryStore::new()).with_retention(4 * MINUTE).is_ok());
    let with_max_age = Receiver::new(tolerant().with_max_age(MINUTE), MemoryStore::new());
    assert!(with_max_age.with_retention(2 * MINUTE).is_ok());
    const LONG: u64 = 400_000;
    let long = Receiver::new(webhook::<Tolerant<LONG, LONG>>(), MemoryStore::new());
    assert_eq!(long.retention(), Duration::from_secs(2 * LONG));
    assert!(made().with_renewal(MINUTE, sleep).is_ok());
    // What is not told follows what is, in whatever order.
    let greatest = made().with_lease_duration(Duration::MAX).unwrap();
    assert_eq!(greatest.retention(), Duration::MAX);
    assert!(greatest.with_renewal(Duration::MAX, sleep).unwrap().with_retention(Duration::MAX).is_ok());
    let second = Duration::from_secs(1);
    assert!(made().with_retention(second).unwrap().with_lease_duration(second).is_ok());
    assert!(made().with_renewal(second, sleep).unwrap().with_lease_duration(second).is_ok());
    assert_eq!(made().retention(), WEEK);
    assert_eq!(aged(WEEK).retention(), 2 * WEEK);
    assert_eq!(aged(Duration::MAX).retention(), Duration::MAX);
}

#[tokio::test]
async fn the_longest_lease_and_retention_are_kept() {
    let receiver = receiver(MemoryStore::new()).with_lease_duration(Duration::MAX).unwrap();
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
}

#[test]
fn retry_after_is_in_whole_seconds_and_never_none() {
    for (time, seconds) in [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_secs(1), 1),
        (Duration::from_millis(1001), 2),
        (Duration::from_secs(60), 60),
        (Duration::MAX, u64::MAX),
    ] {
        assert_eq!(Outcome::InFlight { retry_after: time }.retry_after_secs(), Some(seconds));
        assert_eq!(Outcome::LeaseLost { retry_after: time }.retry_after_secs(), Some(seconds));
    }
}
