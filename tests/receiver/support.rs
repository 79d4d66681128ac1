//! A receiver on a store that fails where it is told to.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use countersign::provider::NowToPrint;
use countersign::store::{Claim, Lease, LeaseStatus};
use countersign::{Delivery, IdempotencyKey, IdempotencyStore, MemoryStore, Outcome, Receiver};

use crate::common::{NOWTOPRINT, signed, webhook};

pub(crate) type Handled = Result<(), io::Error>;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn receiver<S: IdempotencyStore>(store: S) -> Receiver<NowToPrint, S> {
    Receiver::new(webhook(), store)
}

/// Receives NowToPrint's documented delivery.
pub(crate) async fn receive<S, H>(receiver: &Receiver<NowToPrint, S>, handler: H) -> Outcome
where
    S: IdempotencyStore,
    H: AsyncFnOnce(Delivery<'_, NowToPrint>) -> Handled,
{
    let headers = signed(receiver.webhook(), NOWTOPRINT.as_bytes());
    receiver.receive(&headers, NOWTOPRINT.as_bytes(), handler).await
}

pub(crate) fn answer(outcome: &Outcome) -> (u16, &'static str, Option<u64>) {
    (outcome.status(), outcome.code(), outcome.retry_after_secs())
}

pub(crate) async fn unreached(_: Delivery<'_, NowToPrint>) -> Handled {
    panic!("the handler must not run")
}

/// A store that counts the calls it gets, and fails or loses where told.
#[derive(Default)]
pub(crate) struct Faulty {
    pub(crate) store: MemoryStore,
    pub(crate) calls: AtomicUsize,
    pub(crate) fail_claim: bool,
    pub(crate) fail_complete: bool,
    pub(crate) fail_release: bool,
    pub(crate) fail_renew: bool,
    /// So many completions fail: before they are applied, or after, as when the answer is lost.
    pub(crate) cut_completions: Mutex<usize>,
    pub(crate) cut_after: bool,
    /// How long a renewal takes.
    pub(crate) renewing: Option<(HandClock, Duration)>,
    /// What the renewals asked for.
    pub(crate) renewals: Mutex<Vec<Duration>>,
}

/// A clock that is moved by hand, and sleeps by it.
#[derive(Clone, Default)]
pub(crate) struct HandClock(pub(crate) Arc<AtomicU64>);

impl HandClock {
    pub(crate) fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }

    /// The sleep counts from now or, if it is lazy, from when it is first polled.
    pub(crate) fn sleep(&self, time: Duration, lazy: bool) -> impl Future<Output = ()> + Send + use<> {
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
        let cut = {
            let mut left = self.cut_completions.lock().unwrap();
            let cut = *left > 0;
            *left = left.saturating_sub(1);
            cut
        };
        if cut && !self.cut_after {
            return Err(io::Error::other("the connection was cut"));
        }
        let status = self.store.complete(lease, retention).await.map_err(io::Error::other);
        if cut { Err(io::Error::other("the answer was lost")) } else { status }
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
