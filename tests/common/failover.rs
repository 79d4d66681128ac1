//! Deliveries that go on while the server behind their store is killed, and another one takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::until;

#[derive(Default)]
struct Counts {
    /// The next event, which is how many were delivered.
    next: AtomicUsize,
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    /// Whether the failover has been done.
    has_moved: AtomicBool,
}

/// Sixteen workers, which deliver so many events at least, and go on until the failover has been done.
pub struct Load {
    events: usize,
    counts: Arc<Counts>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// `deliver` delivers an event, and returns the status of the answer.
    pub fn start<F>(events: usize, deliver: impl Fn(usize) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = u16> + Send,
    {
        let counts = Arc::new(Counts::default());
        let workers = (0..16).map(|_| {
            let (counts, deliver) = (Arc::clone(&counts), deliver.clone());
            tokio::spawn(async move {
                while counts.next.load(Ordering::Relaxed) < events
                    || !counts.has_moved.load(Ordering::Relaxed)
                {
                    let event = counts.next.fetch_add(1, Ordering::Relaxed);
                    counts.deliver_until_acknowledged(event, &deliver).await;
                }
            })
        });
        Self { events, workers: workers.collect(), counts }
    }

    pub async fn until_half_is_acknowledged(&self) {
        let acknowledged = || self.counts.acknowledged.load(Ordering::Relaxed);
        until("half of the events are acknowledged", || acknowledged() >= self.events / 2).await;
    }

    /// How many events were delivered, or are being delivered.
    pub fn delivered(&self) -> usize {
        self.counts.next.load(Ordering::Relaxed)
    }

    pub async fn until_one_is_refused(&self) {
        until("a delivery meets the failover", || self.counts.refused.load(Ordering::Relaxed) > 0).await;
    }

    /// Ends once the failover has been done. Returns how many events were delivered, all of which are acknowledged, and
    /// how many deliveries were refused.
    pub async fn end(self) -> (usize, usize) {
        self.counts.has_moved.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.unwrap();
        }
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        assert_eq!(count(&self.counts.acknowledged), count(&self.counts.next));
        (count(&self.counts.next), count(&self.counts.refused))
    }
}

impl Counts {
    /// As a provider does, but a thousand times at most.
    async fn deliver_until_acknowledged<F: Future<Output = u16>>(
        &self,
        event: usize,
        deliver: &impl Fn(usize) -> F,
    ) {
        for _ in 0..1_000 {
            if deliver(event).await == 200 {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("event {event} is never acknowledged");
    }
}
