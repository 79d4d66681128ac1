//! Who may commit on a connection that a handler has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;

/// Refuses every commit but the store's own while a handler has the connection.
///
/// SQLite ends a transaction by itself after some errors: a full disk, an I/O error, `ON CONFLICT ROLLBACK`. Each
/// further write would then be a transaction of its own, which commits at once, without the key. The guard turns such a
/// commit into a rollback, and the statement fails.
///
/// The connection may have its next transaction before the guard of the last one is dropped, so each has a number.
#[derive(Debug)]
pub(crate) struct CommitGuard {
    state: Shared,
    number: u64,
}

type Shared = Arc<Mutex<State>>;

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// The number of the last transaction that was guarded, and of the last of them that was committed.
    number: u64,
    committed: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The handler has the transaction.
    Open,
    /// The transaction has ended before the store committed it.
    Ended,
    /// The store commits it.
    Committing,
    /// The connection is anybody's: the store has committed, or the connection has returned to the pool. In the other phases,
    /// statements of the handler may still wait for it, also where the transaction was dropped.
    #[default]
    Free,
}

/// The guard of a pool with one connection at a time, which has the hooks for as long as it lives.
///
/// Each connection has a state of its own: one that is being closed may still run a statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hooks(Arc<Mutex<Shared>>);

impl Hooks {
    fn newest(&self) -> MutexGuard<'_, Shared> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the hooks of a new connection.
    pub(crate) async fn set(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let state = Shared::default();
        *self.newest() = Arc::clone(&state);
        let (commits, rolls_back) = (Arc::clone(&state), state);
        let mut handle = connection.lock_handle().await?;
        handle.set_commit_hook(move || change(&commits, may_commit));
        handle.set_rollback_hook(move || change(&rolls_back, roll_back));
        Ok(())
    }

    /// Guards the connection, which has just begun a transaction.
    pub(crate) fn guard(&self) -> CommitGuard {
        let state = Arc::clone(&self.newest());
        let number = change(&state, |state| {
            state.phase = Phase::Open;
            state.number += 1;
            state.number
        });
        CommitGuard { state, number }
    }

    /// Lifts the guard, once no statement waits for the connection.
    pub(crate) fn free(&self) {
        change(&self.newest(), |state| state.phase = Phase::Free);
    }
}

/// Removes the hooks of a connection, once no statement waits for it.
pub(crate) async fn remove_hooks(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    handle.remove_commit_hook();
    handle.remove_rollback_hook();
    Ok(())
}

impl CommitGuard {
    /// Whether SQLite has committed the transaction.
    pub(crate) fn has_committed(&self) -> bool {
        change(&self.state, |state| state.committed == self.number)
    }

    /// Whether the transaction is still the one that was begun.
    pub(crate) fn is_open(&self) -> bool {
        change(&self.state, |state| state.number == self.number && state.phase == Phase::Open)
    }

    /// Lets the transaction commit, and returns whether it is still the one that was begun.
    pub(crate) fn allow(&self) -> bool {
        change(&self.state, |state| {
            let is_open = state.number == self.number && state.phase == Phase::Open;
            if is_open {
                state.phase = Phase::Committing;
            }
            is_open
        })
    }
}

fn change<T>(state: &Shared, change: impl FnOnce(&mut State) -> T) -> T {
    // No code panics while it holds the lock.
    change(&mut state.lock().unwrap_or_else(PoisonError::into_inner))
}

fn may_commit(state: &mut State) -> bool {
    match state.phase {
        Phase::Open | Phase::Ended => false,
        Phase::Committing => {
            state.phase = Phase::Free;
            state.committed = state.number;
            true
        }
        Phase::Free => true,
    }
}

fn roll_back(state: &mut State) {
    // Also before the store's commit comes, which fails then.
    if state.phase != Phase::Free {
        state.phase = Phase::Ended;
    }
}
