//! Calls that wait at the same moment share one flush.
//!
//! A durable write waits for the disk, however small it is. While few calls are under way, each runs alone. Beyond that,
//! calls wait in a queue, and a task writes all that wait in one transaction. The task is spawned when the queue
//! fills, and ends when the queue is empty.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::call::{Answer, Call, Kind, Waiting};
use crate::queue::{Queue, TimedOut, Wait};

/// How many calls one transaction writes.
pub(crate) const MAX_BATCH: usize = 128;

/// How long a batch may take: far longer than a flush and the waits for locks.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A store that can write many calls in one transaction.
pub(crate) trait Batches: Clone + Send + Sync + 'static {
    type Connection: Send;

    /// How many calls run alone at the same time. With fewer, sharing a flush is slower than not sharing it.
    fn alone(&self) -> usize;

    /// How long a call waits for a connection, and how long it waits in the queue.
    fn acquire_timeout(&self) -> Duration;

    fn connection(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Writes the batch in one transaction, and answers each call once that is committed. A call without
    /// an answer is repeated alone. So this answers nothing if the transaction fails, unless no call could
    /// succeed.
    fn write(&self, connection: Self::Connection, batch: Batch) -> impl Future<Output = ()> + Send;
}

/// The calls of a store and its clones.
#[derive(Debug, Default)]
pub(crate) struct Flush(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// All calls that have begun and not ended, whether they wait or run alone.
    under_way: usize,
    queue: Queue<Waiting>,
}

impl Flush {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call: in the queue if enough others are under way.
    pub(crate) fn begin<S: Batches>(
        self: &Arc<Self>,
        store: &S,
        kind: Kind,
        call: impl FnOnce() -> Call,
    ) -> Result<Turn<'_>, sqlx::Error> {
        let mut state = self.state();
        let runs_alone = state.under_way < store.alone();
        // Without a runtime the call runs alone.
        let runtime = if runs_alone { None } else { Handle::try_current().ok() };
        let Some(runtime) = runtime else {
            state.under_way += 1;
            return Ok(Turn { flush: self, waits: None });
        };
        // A claim fails as if it had timed out. Completions are limited by the claims that were granted.
        if state.queue.is_full() && kind == Kind::Claim {
            return Err(sqlx::Error::PoolTimedOut);
        }
        let (caller, answer) = oneshot::channel();
        state.under_way += 1;
        let (id, needs_task) = state.queue.push(Waiting::new(call(), caller));
        drop(state);
        if needs_task {
            runtime.spawn(Writer { flush: Arc::clone(self), has_ended: false }.run(store.clone()));
        }
        Ok(Turn { flush: self, waits: Some(Wait { id, answer }) })
    }

    /// Removes a call from the queue, unless it has left it.
    fn remove(&self, id: u64) -> Option<Waiting> {
        self.state().queue.remove(id)
    }
}

/// Begins a call, and waits for the answer of a batch. Without one, the call runs alone, and keeps its turn meanwhile. So does
/// a completion that has waited for too long, for example behind a connection that hangs: its handler would run again.
pub(crate) async fn share<'a, S: Batches>(
    flush: Option<&'a Arc<Flush>>,
    store: &S,
    kind: Kind,
    call: impl FnOnce() -> Call,
) -> Result<(Option<Turn<'a>>, Option<Answer>), sqlx::Error> {
    let Some(flush) = flush else { return Ok((None, None)) };
    let mut turn = flush.begin(store, kind, call)?;
    match turn.answer(store.acquire_timeout()).await {
        Ok(answer) => Ok((Some(turn), answer)),
        Err(TimedOut) if kind == Kind::Complete => Ok((Some(turn), None)),
        Err(TimedOut) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// A call's place among those under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    flush: &'a Flush,
    waits: Option<Wait<Answer>>,
}

impl Turn<'_> {
    /// Waits for the answer of a batch. `None` if the call has to run alone.
    async fn answer(&mut self, acquire_timeout: Duration) -> Result<Option<Answer>, TimedOut> {
        let Some(wait) = &mut self.waits else { return Ok(None) };
        let leave = |id| self.flush.remove(id).is_some();
        wait.answer(acquire_timeout, leave).await
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // A caller that hangs up leaves the queue. What is being written stays so.
        let _waited = self.waits.as_ref().and_then(|wait| self.flush.remove(wait.id));
        self.flush.state().under_way -= 1;
    }
}

/// The task that empties the queue. A runtime that ends drops it at any point.
struct Writer {
    flush: Arc<Flush>,
    has_ended: bool,
}

impl Writer {
    async fn run<S: Batches>(mut self, store: S) {
        while self.goes_on() {
            match store.connection().await {
                Ok(connection) => {
                    let batch = self.next();
                    // Its calls run alone then: one connection that hangs must not hold up all.
                    let _written = tokio::time::timeout(WRITE_TIMEOUT, store.write(connection, batch)).await;
                }
                // The calls watch their time themselves.
                Err(sqlx::Error::PoolTimedOut) => {}
                // Each call meets the error alone.
                Err(_) => drop(self.next()),
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        let goes_on = self.flush.state().queue.goes_on();
        self.has_ended = !goes_on;
        goes_on
    }

    /// Takes the calls that have waited longest.
    fn next(&self) -> Batch {
        let calls = self.flush.state().queue.take(MAX_BATCH);
        Batch::of(calls)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.has_ended {
            // Its calls run alone, and the next call that has to wait spawns another task.
            let calls = self.flush.state().queue.abandon();
            drop(calls);
        }
    }
}
