//! A queue of calls, which a task empties.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;

/// How many calls wait at most.
const MAX_WAITING: usize = 16_384;

/// Calls in the order in which they came. If a caller hangs up, its call is removed. The task is spawned when the queue
/// fills, and ends when it is empty.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    calls: VecDeque<(u64, T)>,
    next_id: u64,
    has_task: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { calls: VecDeque::new(), next_id: 0, has_task: false }
    }
}

impl<T> Queue<T> {
    pub(crate) fn is_full(&self) -> bool {
        self.calls.len() >= MAX_WAITING
    }

    pub(crate) fn has_task(&self) -> bool {
        self.has_task
    }

    /// Adds a call, and returns its number, and whether its caller has to spawn the task.
    pub(crate) fn push(&mut self, call: T) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        self.calls.push_back((id, call));
        (id, !std::mem::replace(&mut self.has_task, true))
    }

    /// Removes a call, unless it has left the queue.
    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        let place = self.calls.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        self.calls.remove(place).map(|(_, call)| call)
    }

    /// Takes those that have waited longest.
    pub(crate) fn take(&mut self, count: usize) -> Vec<T> {
        let count = count.min(self.calls.len());
        self.calls.drain(..count).map(|(_, call)| call).collect()
    }

    /// Whether the task has to go on. If not, it has ended.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.has_task = !self.calls.is_empty();
        self.has_task
    }

    /// Takes all calls from a task that was dropped. The next call spawns another one.
    pub(crate) fn abandon(&mut self) -> Vec<T> {
        self.has_task = false;
        self.take(usize::MAX)
    }
}

/// A call's wait for its answer.
#[derive(Debug)]
pub(crate) struct Wait<A> {
    pub(crate) id: u64,
    pub(crate) answer: oneshot::Receiver<A>,
}

/// The call was still in the queue when its time was over.
pub(crate) struct TimedOut;

impl<A> Wait<A> {
    /// Waits up to `timeout` to leave the queue, then for the answer. `leave` removes the call, and tells whether it was
    /// still queued. Returns `None` if the call was dropped unanswered.
    pub(crate) async fn answer(
        &mut self,
        timeout: Duration,
        leave: impl FnOnce(u64) -> bool,
    ) -> Result<Option<A>, TimedOut> {
        match tokio::time::timeout(timeout, &mut self.answer).await {
            Ok(answer) => Ok(answer.ok()),
            Err(_) if leave(self.id) => Err(TimedOut),
            // The task has it.
            Err(_) => Ok((&mut self.answer).await.ok()),
        }
    }
}
