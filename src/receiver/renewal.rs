//! Renewing a lease while a handler runs.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::store::{IdempotencyStore, Lease, LeaseStatus};

/// How a receiver renews a lease: until when, and how it waits.
#[derive(Clone)]
pub(crate) struct Renewal {
    ceiling: Duration,
    sleep: Arc<dyn Fn(Duration) -> Sleep + Send + Sync>,
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Another claim has taken over the lease.
pub(crate) struct Lost;

impl Renewal {
    pub(crate) fn new<F>(ceiling: Duration, sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { ceiling, sleep: Arc::new(move |time| Box::pin(sleep(time))) }
    }

    pub(crate) fn ceiling(&self) -> Duration {
        self.ceiling
    }

    /// Runs the work while renewing the lease, and drops the work as soon as the lease is lost.
    pub(crate) async fn run<S: IdempotencyStore, T>(
        &self,
        store: &S,
        lease: &Lease,
        lease_duration: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let mut work = pin!(work);
        let mut lost = pin!(self.lost(store, lease, lease_duration));
        poll_fn(|context| {
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(result));
            }
            lost.as_mut().poll(context).map(|()| Err(Lost))
        })
        .await
    }

    /// Renews the lease until the ceiling. It returns only if the lease is lost.
    async fn lost<S: IdempotencyStore>(&self, store: &S, lease: &Lease, lease_duration: Duration) {
        // Three times per lease, so that a renewal may fail or be late without losing the lease.
        let step = (lease_duration / 3).max(Duration::from_millis(1));
        let mut left = self.ceiling;
        let mut tick = (self.sleep)(step);
        while left > step && left > lease_duration.saturating_sub(step) {
            tick.as_mut().await;
            left -= step;
            // A renewal may take several steps, which count toward the ceiling as well.
            tick = (self.sleep)(step);
            let mut renewal = pin!(store.renew(lease, lease_duration.min(left)));
            let renewed = poll_fn(|context| {
                while !left.is_zero() && tick.as_mut().poll(context).is_ready() {
                    left = left.saturating_sub(step);
                    tick = (self.sleep)(step);
                }
                renewal.as_mut().poll(context)
            });
            // If the store fails, the lease may still last until the store is back.
            if let Ok(LeaseStatus::Lost) = renewed.await {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("ceiling", &self.ceiling).finish_non_exhaustive()
    }
}
