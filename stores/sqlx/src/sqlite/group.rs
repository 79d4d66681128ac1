//! Handlers that wait at the same moment share one commit.
//!
//! SQLite has one writer at a time, and a commit waits for the disk. While a delivery is alone, it begins and commits by
//! itself. Others wait in a queue. A task begins a transaction, hands it to one handler after another, each in a
//! savepoint of its own, and commits for all. The task is spawned when the queue fills, and ends when the queue is empty.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign::store::{Begun, Claim, Lease};
use sqlx::{Executor, Sqlite, Transaction};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{CommitGuard, SqliteStore, in_the_way};
use crate::error::{Shared, SqlStoreError};
use crate::flush::MAX_BATCH;
use crate::queue::{Queue, TimedOut, Wait};
use crate::sqlite_transaction::SqliteTransaction;

/// How long a handler may take for others to share its commit, and they do not wait for the next one's.
const QUICK: Duration = Duration::from_millis(5);

/// How long a transaction takes in further handlers. The first one waits for them.
const FILLS: Duration = Duration::from_millis(20);

/// How many transactions have one handler each after one that was not quick: more of its kind may come.
const ALONE_AFTER_SLOW: usize = 32;

/// How many transactions have one handler each after one that failed: the event at fault is delivered again.
const ALONE_AFTER_FAILURE: usize = 128;

/// A transaction of the store, and the guard of its connection.
pub(crate) struct Open {
    /// Declared first, so that it is dropped before the transaction rolls back.
    pub(crate) guard: CommitGuard,
    pub(crate) transaction: Transaction<'static, Sqlite>,
}

impl Open {
    /// Commits, if the transaction is still the one that was begun.
    pub(crate) async fn commit(self) -> Result<(), Failure> {
        // What is bound last is dropped first: the guard.
        let Self { transaction, guard } = self;
        if !guard.allow() {
            return Err(Failure::NotCommitted);
        }
        transaction.commit().await?;
        // sqlx would also release a savepoint that a handler left open, and call that a commit.
        if guard.has_committed() { Ok(()) } else { Err(Failure::NotCommitted) }
    }
}

/// Why a transaction was not committed, for all that shared it.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    NotCommitted,
    Database(Shared),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Shared::new(error))
    }
}

impl From<Failure> for SqlStoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotCommitted => Self::NotCommitted,
            Failure::Database(error) => error.into(),
        }
    }
}

/// What a delivery in the queue is told.
type Answer = Result<Begun<SqliteTransaction>, SqlStoreError>;

/// A delivery in the queue. If it is dropped without an answer, the delivery begins alone.
struct Waiting {
    record: Lease,
    retention: Duration,
    caller: oneshot::Sender<Answer>,
}

/// A transaction that comes back from a handler.
pub(crate) struct Returned {
    pub(crate) open: Open,
    /// Who waits for the commit; nobody if the handler failed or its caller hung up.
    pub(crate) handed_in: Option<oneshot::Sender<Result<(), Failure>>>,
    /// How long the handler had it.
    pub(crate) took: Duration,
}

/// The deliveries of a store and its clones.
#[derive(Default)]
pub(crate) struct Group(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many deliveries have a transaction that is not shared.
    alone: usize,
    queue: Queue<Waiting>,
    /// How many of the next transactions have one handler each.
    unshared: usize,
}

/// How a delivery begins.
pub(crate) enum Place {
    Alone(Alone),
    Queued(Queued),
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a delivery: in the queue if others are under way, and if there is a runtime.
    pub(crate) fn join(
        self: &Arc<Self>,
        store: &SqliteStore,
        record: &Lease,
        retention: Duration,
    ) -> Result<Place, sqlx::Error> {
        let mut state = self.state();
        let is_alone = state.alone == 0 && !state.queue.has_task();
        let runtime = if is_alone { None } else { Handle::try_current().ok() };
        let Some(runtime) = runtime else {
            drop(state);
            return Ok(Place::Alone(self.alone()));
        };
        if state.queue.is_full() {
            return Err(sqlx::Error::PoolTimedOut);
        }
        let (caller, answer) = oneshot::channel();
        let (id, needs_task) = state.queue.push(Waiting { record: record.clone(), retention, caller });
        drop(state);
        if needs_task {
            let task = Task { group: Arc::clone(self), store: store.clone(), has_ended: false };
            runtime.spawn(task.run());
        }
        Ok(Place::Queued(Queued { group: Arc::clone(self), wait: Wait { id, answer } }))
    }

    /// Counts a delivery that does not wait for the task.
    pub(crate) fn alone(self: &Arc<Self>) -> Alone {
        self.state().alone += 1;
        Alone(Arc::clone(self))
    }

    /// Removes a delivery from the queue, unless it has left it.
    fn remove(&self, id: u64) -> Option<Waiting> {
        self.state().queue.remove(id)
    }
}

/// A delivery that is under way alone, until it is dropped.
pub(crate) struct Alone(Arc<Group>);

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.state().alone -= 1;
    }
}

/// A delivery's place in the queue, until it is dropped.
pub(crate) struct Queued {
    group: Arc<Group>,
    wait: Wait<Answer>,
}

impl Queued {
    /// Waits for the delivery's turn. `None` if it has to begin alone.
    pub(crate) async fn answer(&mut self, acquire_timeout: Duration) -> Option<Answer> {
        // A delivery that has left the queue is already being recorded.
        let leave = |id| self.group.remove(id).is_some();
        match self.wait.answer(acquire_timeout, leave).await {
            Ok(answer) => answer,
            Err(TimedOut) => Some(Err(in_the_way(sqlx::Error::PoolTimedOut))),
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        let _waited = self.group.remove(self.wait.id);
    }
}

/// The task that empties the queue. A runtime that ends drops it at any point.
struct Task {
    group: Arc<Group>,
    store: SqliteStore,
    has_ended: bool,
}

/// Who waits for a commit.
#[derive(Default)]
struct Members {
    /// The deliveries whose handlers have succeeded, and their keys.
    records: Vec<Lease>,
    callers: Vec<oneshot::Sender<Result<(), Failure>>>,
    /// Deliveries whose keys are done in the transaction. They are done only once that is committed.
    duplicates: Vec<oneshot::Sender<Answer>>,
}

impl Members {
    fn tell(self, ended: &Result<(), Failure>) {
        for caller in self.callers {
            let _hung_up = caller.send(ended.clone());
        }
        for caller in self.duplicates {
            let _hung_up = caller.send(ended.clone().map(|()| Begun::Done).map_err(Into::into));
        }
    }
}

impl Task {
    async fn run(mut self) {
        while self.goes_on() {
            match self.store.begin_transaction().await {
                Ok(transaction) => {
                    let mut members = Members::default();
                    let ended = self.share(transaction, &mut members).await;
                    if ended.is_err() {
                        self.unshare(ALONE_AFTER_FAILURE);
                    }
                    members.tell(&ended);
                }
                // The deliveries watch their time themselves.
                Err(sqlx::Error::PoolTimedOut) => {}
                // Each delivery meets the error alone.
                Err(_) => {
                    let queue = self.group.state().queue.take(usize::MAX);
                    drop(queue);
                }
            }
        }
    }

    fn goes_on(&mut self) -> bool {
        let goes_on = self.group.state().queue.goes_on();
        self.has_ended = !goes_on;
        goes_on
    }

    fn next(&self) -> Option<Waiting> {
        self.group.state().queue.take(1).pop()
    }

    /// Lets so many of the next transactions have one handler each.
    fn unshare(&self, transactions: usize) {
        let mut state = self.group.state();
        state.unshared = state.unshared.max(transactions);
    }

    /// Whether the next transaction may have several handlers.
    fn is_shared(&self) -> bool {
        let mut state = self.group.state();
        let is_shared = state.unshared == 0;
        state.unshared = state.unshared.saturating_sub(1);
        is_shared
    }

    /// Runs handlers in the transaction, and commits it for those that succeeded, which are the members.
    async fn share(
        &self,
        mut transaction: Transaction<'static, Sqlite>,
        members: &mut Members,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        // The first one has no savepoint: if it fails, nobody else is in the transaction.
        let Some(mut waiting) = self.first(&mut transaction).await else { return Ok(()) };
        let mut open = match self.store.guard(transaction).await {
            Ok(open) => open,
            Err(error) => {
                let _hung_up = waiting.caller.send(Err(error.into()));
                return Ok(());
            }
        };
        let is_shared = self.is_shared();
        let mut has_savepoint = false;
        loop {
            let (back, returned) = oneshot::channel();
            let Waiting { record, retention, caller, .. } = waiting;
            let lent = SqliteTransaction::lent(open, back, &self.store, &record, retention);
            // If the caller has hung up, it is dropped here, and so comes back at once.
            drop(caller.send(Ok(Begun::New(lent))));
            let Ok(returned) = returned.await else { return Err(Failure::NotCommitted) };
            open = returned.open;
            let is_slow = returned.took > QUICK;
            if is_slow {
                self.unshare(ALONE_AFTER_SLOW);
            }
            let has_failed = returned.handed_in.is_none();
            if let Some(caller) = returned.handed_in {
                members.records.push(record);
                members.callers.push(caller);
            } else if members.records.is_empty() {
                return Ok(());
            }
            // SQLite or a handler has ended the transaction, for all.
            if !open.guard.is_open() {
                return Err(Failure::NotCommitted);
            }
            if has_failed {
                self.store.undo_savepoint(&mut open.transaction).await?;
            }
            if is_slow || !is_shared || members.records.len() == MAX_BATCH {
                break;
            }
            match self.further(&mut open, members, &mut has_savepoint, start).await? {
                Some(next) => waiting = next,
                None => break,
            }
        }
        if has_savepoint && !self.store.all_are_recorded(&mut open.transaction, &members.records).await? {
            return Err(Failure::NotCommitted);
        }
        open.commit().await
    }

    /// The first delivery whose key is new, which is recorded then.
    async fn first(&self, transaction: &mut Transaction<'static, Sqlite>) -> Option<Waiting> {
        loop {
            let waiting = self.next()?;
            let answer = match self.store.record(transaction, &waiting.record, waiting.retention).await {
                Ok(Claim::Acquired(_)) => return Some(waiting),
                Ok(Claim::InFlight { retry_after }) => Ok(Begun::InFlight { retry_after }),
                Ok(Claim::Done) => Ok(Begun::Done),
                Err(error) => Err(error),
            };
            let has_failed = answer.is_err();
            let _hung_up = waiting.caller.send(answer);
            if has_failed {
                return None;
            }
        }
    }

    /// The next delivery whose key is new, which is recorded in a savepoint then.
    async fn further(
        &self,
        open: &mut Open,
        members: &mut Members,
        has_savepoint: &mut bool,
        start: Instant,
    ) -> Result<Option<Waiting>, Failure> {
        while start.elapsed() < FILLS {
            let Some(waiting) = self.next() else { break };
            let recorded = self.store.record_in_savepoint(
                &mut open.transaction,
                std::mem::replace(has_savepoint, true),
                &waiting.record,
                waiting.retention,
            );
            let (answer, failure) = match recorded.await {
                Ok(Claim::Acquired(_)) if open.guard.is_open() => return Ok(Some(waiting)),
                // A handler has ended the transaction, at last: the savepoint has begun another one.
                Ok(Claim::Acquired(_)) => {
                    let _ended = open.transaction.execute("ROLLBACK").await;
                    return Err(Failure::NotCommitted);
                }
                // A handler before it may have completed the key, in this transaction.
                Ok(Claim::Done) => {
                    members.duplicates.push(waiting.caller);
                    continue;
                }
                Ok(Claim::InFlight { retry_after }) => (Ok(Begun::InFlight { retry_after }), None),
                // If it is this key's error alone, the savepoint is there to be undone.
                Err(error) => (Err(error), self.store.undo_savepoint(&mut open.transaction).await.err()),
            };
            let _hung_up = waiting.caller.send(answer);
            match failure {
                Some(failure) => return Err(failure),
                None if !open.guard.is_open() => return Err(Failure::NotCommitted),
                None => {}
            }
        }
        Ok(None)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.has_ended {
            // Its deliveries begin alone, and the next one that has to wait spawns another task.
            let queue = self.group.state().queue.abandon();
            drop(queue);
        }
    }
}
