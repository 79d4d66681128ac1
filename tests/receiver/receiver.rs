//! A receiver: what it answers, and when the handler runs.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::common::{NOWTOPRINT, QUOTE3D, headers, signed, webhook};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::store::{Claim, DynIdempotencyStore, Lease, LeaseStatus, MemoryStoreError};
use countersign::{
    Delivery, Error, IdempotencyKey, IdempotencyStore, MemoryStore, Outcome, PolicyError, Provider, Receiver,
    UnknownEvent, Webhook,
};
use http::HeaderName;

type Handled = Result<(), io::Error>;

const MINUTE: Duration = Duration::from_secs(60);

fn receiver<S: IdempotencyStore>(store: S) -> Receiver<NowToPrint, S> {
    Receiver::new(webhook(), store)
}

/// Receives NowToPrint's documented delivery.
async fn receive<S, H>(receiver: &Receiver<NowToPrint, S>, handler: H) -> Outcome
where
    S: IdempotencyStore,
    H: AsyncFnOnce(Delivery<'_, NowToPrint>) -> Handled,
{
    let headers = signed(receiver.webhook(), NOWTOPRINT.as_bytes());
    receiver.receive(&headers, NOWTOPRINT.as_bytes(), handler).await
}

fn answer(outcome: &Outcome) -> (u16, &'static str, Option<u64>) {
    (outcome.status(), outcome.code(), outcome.retry_after_secs())
}

async fn unreached(_: Delivery<'_, NowToPrint>) -> Handled {
    panic!("the handler must not run")
}

/// A store that counts the calls it gets, and fails or loses where told.
#[derive(Default)]
struct Faulty {
    store: MemoryStore,
    calls: AtomicUsize,
    fail_claim: bool,
    fail_complete: bool,
    fail_release: bool,
    fail_renew: bool,
    /// So many completions fail: before they are applied, or after, as when the answer is lost.
    cut_completions: AtomicUsize,
    cut_after: bool,
    /// How long a renewal takes.
    renewing: Option<(HandClock, Duration)>,
    /// What the renewals asked for.
    renewals: Mutex<Vec<Duration>>,
}

/// A clock that is moved by hand, and sleeps by it.
#[derive(Clone, Default)]
struct HandClock(Arc<AtomicU64>);

impl HandClock {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// The sleep counts from now or, if it is lazy, from when it is first polled.
    fn sleep(&self, time: Duration, lazy: bool) -> impl Future<Output = ()> + Send + use<> {
        let clock = self.clone();
        let mut end = (!lazy).then(|| clock.now() + time);
        std::future::poll_fn(move |_| {
            let end = *end.get_or_insert_with(|| clock.now() + time);
            if clock.now() >= end { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

impl Faulty {
    fn call(&self, fail: bool) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if fail { Err(io::Error::other("the database is gone")) } else { Ok(()) }
    }
}

impl IdempotencyStore for Faulty {
    type Error = io::Error;

    async fn claim(&self, key: &IdempotencyKey, lease_duration: Duration) -> io::Result<Claim> {
        self.call(self.fail_claim)?;
        self.store.claim(key, lease_duration).await.map_err(io::Error::other)
    }

    async fn complete(&self, lease: &Lease, retention: Duration) -> io::Result<LeaseStatus> {
        self.call(self.fail_complete)?;
        let cut = |left: usize| left.checked_sub(1);
        let cut = self.cut_completions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, cut).is_ok();
        if cut && !self.cut_after {
            return Err(io::Error::other("the connection was cut"));
        }
        let fenced = self.store.complete(lease, retention).await.map_err(io::Error::other);
        if cut { Err(io::Error::other("the answer was lost")) } else { fenced }
    }

    async fn release(&self, lease: &Lease) -> io::Result<LeaseStatus> {
        self.call(self.fail_release)?;
        self.store.release(lease).await.map_err(io::Error::other)
    }

    async fn renew(&self, lease: &Lease, lease_duration: Duration) -> io::Result<LeaseStatus> {
        self.renewals.lock().unwrap().push(lease_duration);
        self.call(self.fail_renew)?;
        if let Some((clock, time)) = &self.renewing {
            clock.sleep(*time, false).await;
        }
        self.store.renew(lease, lease_duration).await.map_err(io::Error::other)
    }

    async fn forget(&self, key: &str) -> io::Result<bool> {
        self.call(false)?;
        self.store.forget(key).await.map_err(io::Error::other)
    }
}

#[tokio::test]
async fn an_event_is_handled_once_however_often_it_is_delivered() {
    let receiver = receiver(MemoryStore::new());
    let handled = AtomicUsize::new(0);
    for round in 0..5 {
        let outcome = receive(&receiver, async |delivery| {
            assert_eq!(delivery.event_name(), "quote.received");
            handled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .await;
        let expected = if round == 0 { (200, "handled", None) } else { (200, "duplicate", None) };
        assert_eq!(answer(&outcome), expected);
        assert!(outcome.is_acknowledged());
    }
    assert_eq!(handled.into_inner(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_deliveries_at_once_one_is_handled_and_the_others_are_not_acknowledged() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let handled = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (receiver, handled) = (Arc::clone(&receiver), Arc::clone(&handled));
            tokio::spawn(async move {
                let outcome = receive(&receiver, async |_| {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    handled.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
                answer(&outcome.await)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert_eq!(handled.load(Ordering::Relaxed), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == (200, "handled", None)).count(), 1);
    let in_flight = |answer: &&(u16, &str, Option<u64>)| {
        (answer.0, answer.1) == (409, "in_flight")
            && answer.2.is_some_and(|seconds| (1..=60).contains(&seconds))
    };
    assert_eq!(answers.iter().filter(in_flight).count(), 63);
}

#[tokio::test]
async fn a_refused_delivery_never_reaches_the_store() {
    let receiver = Receiver::new(webhook::<Quote3d>(), Faulty::default());
    let right = &receiver.webhook().sign(QUOTE3D.as_bytes()).to_string();
    let other = &receiver.webhook().sign(b"other").to_string();
    let (signature, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    let cases: [(&[(&str, &str)], &str, u16, &str); 7] = [
        (&[event], QUOTE3D, 401, "missing_signature"),
        (&[event, (signature, right), (signature, right)], QUOTE3D, 401, "duplicate_signature"),
        (&[event, (signature, "sha256=")], QUOTE3D, 401, "malformed_signature"),
        (&[event, (signature, other)], QUOTE3D, 401, "signature_mismatch"),
        (&[event, (signature, other)], "other", 400, "malformed_payload"),
        (&[(signature, right)], QUOTE3D, 400, "missing_event_header"),
        (&[(signature, right), ("x-webhook-event", "quote.failed")], QUOTE3D, 400, "event_mismatch"),
    ];
    for (pairs, body, status, code) in cases {
        let handler = async |_: Delivery<'_, Quote3d>| -> Handled { panic!("the handler must not run") };
        let outcome = receiver.receive(&headers(pairs), body.as_bytes(), handler).await;
        assert_eq!(answer(&outcome), (status, code, None));
        assert!(matches!(outcome, Outcome::Rejected(_)));
    }
    assert_eq!(receiver.store().calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_handler_that_fails_gives_the_key_back() {
    let receiver = receiver(MemoryStore::new());
    for _ in 0..3 {
        let outcome = receive(&receiver, async |_| Err(io::Error::other("no disk"))).await;
        assert_eq!(answer(&outcome), (500, "handler_failed", None));
        assert_eq!(outcome.error().unwrap().to_string(), "no disk");
    }
    assert_eq!(answer(&receive(&receiver, async |_| Ok(())).await), (200, "handled", None));
}

#[tokio::test]
async fn a_handlers_error_may_be_any_and_this_crates_has_its_status() {
    let receiver = Receiver::new(webhook::<NowToPrint>(), MemoryStore::new());
    let body = br#"{"event":"quote.received","id":"evt_1","data":{}}"#;
    let headers = signed(receiver.webhook(), body);
    let outcome = receiver.receive(&headers, body, async |_| Err("text")).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    let outcome = receiver.receive(&headers, body, async |_| Err("text".to_owned())).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    let outcome = receiver.receive(&headers, body, async |delivery| delivery.event().map(drop)).await;
    assert_eq!(answer(&outcome), (422, "invalid_event", None));
    assert!(matches!(outcome, Outcome::Failed(_)));
    // Any other error of this crate is the handler's own business: the provider is not told 401.
    let outcome = receiver.receive(&headers, body, async |_| Err(Error::SignatureMismatch)).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
}

#[test]
fn a_providers_type_need_be_nothing_but_a_provider() {
    struct Plain;

    impl Provider for Plain {
        type Event = UnknownEvent;
        const NAME: &'static str = "plain";

        fn signature_header(&self) -> HeaderName {
            HeaderName::from_static("x-signature")
        }
    }

    fn is_cloned_and_shown<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    is_cloned_and_shown::<Webhook<Plain>>();
    is_cloned_and_shown::<Delivery<'static, Plain>>();
    is_cloned_and_shown::<Receiver<Plain, Arc<MemoryStore>>>();
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_nothing_is_acknowledged() {
    let store = receiver(Faulty { fail_claim: true, ..Faulty::default() });
    let outcome = receive(&store, unreached).await;
    assert_eq!(answer(&outcome), (503, "store_unavailable", None));
    assert_eq!(outcome.error().unwrap().to_string(), "the database is gone");

    let store = receiver(Faulty { fail_complete: true, ..Faulty::default() });
    let outcome = receive(&store, async |_| Ok(())).await;
    assert_eq!(answer(&outcome), (503, "store_unavailable", None));
    // It may or may not be done; until the lease lapses, nobody else handles it.
    assert_eq!(receive(&store, unreached).await.status(), 409);

    let store = receiver(Faulty { fail_release: true, ..Faulty::default() });
    let outcome = receive(&store, async |_| Err(io::Error::other("no disk"))).await;
    assert_eq!(answer(&outcome), (500, "handler_failed", None));
    assert_eq!(outcome.error().unwrap().to_string(), "no disk");
}

#[tokio::test]
async fn a_completion_that_fails_is_tried_once_more_so_that_the_effect_is_not_repeated() {
    for cut_after in [false, true] {
        let faulty = |times| Faulty { cut_completions: times, cut_after, ..Faulty::default() };
        let store = receiver(faulty(AtomicUsize::new(1)));
        assert_eq!(answer(&receive(&store, async |_| Ok(())).await), (200, "handled", None));
        // A claim and two completions.
        assert_eq!(store.store().calls.load(Ordering::Relaxed), 3);
        assert_eq!(receive(&store, unreached).await.code(), "duplicate");

        // Once more, and not for ever.
        let store = receiver(faulty(AtomicUsize::new(2)));
        assert_eq!(answer(&receive(&store, async |_| Ok(())).await), (503, "store_unavailable", None));
        assert_eq!(store.store().calls.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn a_handler_that_outlasts_its_lease_is_not_acknowledged_once_another_has_begun() {
    let store = Arc::new(MemoryStore::new());
    let slow = receiver(Arc::clone(&store)).with_lease_duration(Duration::from_millis(50)).unwrap();
    let next = receiver(Arc::clone(&store));
    let outcome = receive(&slow, async |_| {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(receive(&next, async |_| Ok(())).await.code(), "handled");
        Ok(())
    })
    .await;
    assert_eq!(answer(&outcome), (409, "lease_lost", Some(1)));
    assert_eq!(receive(&slow, unreached).await.code(), "duplicate");
}

#[tokio::test]
async fn a_handler_that_outlasts_its_lease_is_acknowledged_if_nobody_else_began() {
    let receiver = receiver(MemoryStore::new()).with_lease_duration(Duration::from_millis(10)).unwrap();
    let outcome = receive(&receiver, async |_| {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    })
    .await;
    assert_eq!(answer(&outcome), (200, "handled", None));
}

#[tokio::test]
async fn a_dropped_handler_leaves_the_claim_to_its_lease() {
    let receiver = receiver(MemoryStore::new()).with_lease_duration(Duration::from_millis(200)).unwrap();
    {
        // The client hangs up while the handler runs.
        let mut future = pin!(receive(&receiver, async |_| std::future::pending().await));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
    }
    let outcome = receive(&receiver, unreached).await;
    assert_eq!(answer(&outcome), (409, "in_flight", Some(1)));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
}

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
        let fenced = receiver.store().complete(lease, receiver.retention()).await?;
        tokio::time::sleep(MINUTE / 6).await;
        Ok::<_, MemoryStoreError>(fenced)
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

#[tokio::test]
async fn a_handler_may_complete_its_lease_itself() {
    let receiver = receiver(MemoryStore::new());
    let body = NOWTOPRINT.as_bytes();
    let headers = signed(receiver.webhook(), body);
    let delivery = || receiver.webhook().verify(&headers, body).unwrap();
    let store = receiver.store();

    let failing = receiver.handle_with_lease(delivery(), async |_, _| Err::<LeaseStatus, _>("no disk"));
    assert_eq!(failing.await.code(), "handler_failed");
    let losing = receiver.handle_with_lease(delivery(), async |delivery, lease| {
        assert!(store.forget(delivery.idempotency_key().as_str()).await?);
        store.complete(lease, receiver.retention()).await
    });
    assert_eq!(losing.await.code(), "lease_lost");
    let unable = receiver.handle_with_lease(delivery(), async |delivery, _| {
        let full = MemoryStore::new().with_capacity(0);
        full.claim(&delivery.idempotency_key(), MINUTE).await.map(|_| LeaseStatus::Lost)
    });
    assert_eq!(answer(&unable.await), (503, "store_unavailable", None));
    let completing = receiver
        .handle_with_lease(delivery(), async |_, lease| store.complete(lease, receiver.retention()).await);
    assert_eq!(completing.await.code(), "handled");
    let again =
        receiver.handle_with_lease(delivery(), async |_, _| -> Result<LeaseStatus, Error> { panic!() });
    assert_eq!(again.await.code(), "duplicate");
}

#[tokio::test]
async fn a_handler_that_panics_leaves_the_claim_to_its_lease() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let task = tokio::spawn({
        let receiver = Arc::clone(&receiver);
        async move { receive(&receiver, async |_| panic!("a bug")).await.status() }
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(receive(&receiver, unreached).await.status(), 409);
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
            "retention_shorter_than_max_age",
            "a retention must be at least twice the maximum age",
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

#[tokio::test]
async fn a_forgotten_key_is_handled_again() {
    let receiver = receiver(MemoryStore::new());
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
    // An operator has the key as text, from a log.
    assert!(receiver.store().forget("nowtoprint:evt_01js3q7d9w4b2k8m1z0h3v6x7y").await.unwrap());
    assert_eq!(receive(&receiver, async |_| Ok(())).await.code(), "handled");
}

#[tokio::test]
async fn two_providers_may_share_a_store_and_an_id() {
    let store: Arc<dyn DynIdempotencyStore> = Arc::new(MemoryStore::new());
    let body = br#"{"event":"quote.updated","id":"evt_1"}"#;
    let one = Receiver::new(webhook::<NowToPrint>(), Arc::clone(&store));
    let other = Receiver::new(webhook::<ThreeQpr>(), store);
    let outcome = one.receive(&signed(one.webhook(), body), body, async |_| Ok::<_, Error>(())).await;
    assert_eq!(outcome.code(), "handled");
    let outcome = other.receive(&signed(other.webhook(), body), body, async |_| Ok::<_, Error>(())).await;
    assert_eq!(outcome.code(), "handled");
}

/// Compiles only if the future can be spawned, with a handler that borrows and awaits.
#[tokio::test(flavor = "multi_thread")]
async fn the_future_can_be_spawned() {
    let receiver = Arc::new(receiver(MemoryStore::new()));
    let log = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let task = tokio::spawn({
        let log = Arc::clone(&log);
        async move {
            let body = NOWTOPRINT.as_bytes().to_vec();
            let headers = signed(receiver.webhook(), &body);
            let outcome = receiver.receive(&headers, &body, async |delivery| {
                let name = delivery.event_name().to_owned();
                tokio::task::yield_now().await;
                log.lock().await.push(name);
                delivery.event().map(drop)
            });
            outcome.await.status()
        }
    });
    assert_eq!(task.await.unwrap(), 200);
    assert_eq!(*log.lock().await, ["quote.received"]);
}
