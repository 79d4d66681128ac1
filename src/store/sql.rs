//! What the two SQL stores share.

use std::time::Duration;

use sqlx::SqlStr;

use crate::error::{BoxError, PolicyError};
use crate::store::{Claim, Lease, random_token};

/// Why a SQL store could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlStoreError {
    /// Another transaction is in the way, and it may be tried again. In PostgreSQL it holds the key for
    /// longer than the lock timeout or, seen from a transaction stricter than `READ COMMITTED`, has
    /// changed it; in SQLite it has been writing for longer than the busy timeout.
    #[error("another transaction is in the way")]
    #[non_exhaustive]
    Locked {
        /// The driver's error.
        source: BoxError,
    },
    /// The database or its driver failed: no connection, no table, no right to it, a full disk.
    #[error("the store's database failed")]
    #[non_exhaustive]
    Database {
        /// The driver's error.
        source: BoxError,
    },
    /// `SqliteStore::open` was not given the path of a file: a store that ends with the process would handle
    /// an event again after a restart.
    #[error(
        "the path of the store is empty, :memory: or a URI, and so may be no file: give a path, or call \
         SqliteStore::in_memory in a test"
    )]
    NotAFile,
    /// The operating system has no random bytes to give.
    #[error("no random token for a claim")]
    #[non_exhaustive]
    Random {
        /// The operating system's error.
        source: BoxError,
    },
    /// A lease or a retention of no time.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl SqlStoreError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Database { .. } | Self::Random { .. } => "store_failed",
            Self::NotAFile => "store_not_a_file",
            Self::Policy(error) => error.code(),
        }
    }

    /// Always 503: nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }

    pub(super) fn random(source: BoxError) -> Self {
        Self::Random { source }
    }
}

impl From<sqlx::Error> for SqlStoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_locked(&error) {
            Self::Locked { source: error.into() }
        } else {
            Self::Database { source: error.into() }
        }
    }
}

/// The driver's type is asked first: an SQLSTATE of PostgreSQL may have the digits of a SQLite code.
fn is_locked(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        // lock_not_available, serialization_failure and deadlock_detected.
        return matches!(error.code(), "55P03" | "40001" | "40P01");
    }
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The primary result code SQLITE_BUSY is 5; extended codes hold it in their low byte.
        let code = error.code().and_then(|code| code.parse::<u32>().ok());
        return code.is_some_and(|code| code & 0xff == 5);
    }
    false
}

/// What came of recording a key in a transaction, with a SQL store's `record_in`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It is new: write the effect into the same transaction, and commit.
    New,
    /// It was recorded or completed before: acknowledge.
    Done,
    /// Somebody holds a claim on it, who may yet fail: do not acknowledge.
    InFlight {
        /// How long that lease lasts yet.
        retry_after: Duration,
    },
}

impl Recorded {
    pub(super) fn of(claim: Claim) -> Self {
        match claim {
            Claim::Acquired(_) => Self::New,
            Claim::Done => Self::Done,
            Claim::InFlight { retry_after } => Self::InFlight { retry_after },
        }
    }
}

/// The claim that the row of a claim's statement tells of, which always returns one.
pub(super) fn claimed(lease: Lease, inserted: bool, done: bool, left: Duration) -> Claim {
    if inserted {
        Claim::Acquired(lease)
    } else if done {
        Claim::Done
    } else {
        Claim::InFlight { retry_after: left.max(Duration::from_millis(1)) }
    }
}

/// The pauses before and between purges.
pub(super) struct Pauses {
    next: Duration,
    interval: Duration,
}

impl Pauses {
    /// The first is a random part of the interval or of a minute, whichever is shorter.
    pub(super) fn new(interval: Duration) -> Self {
        let interval = interval.max(Duration::from_secs(1));
        // Without a random number, the whole of it.
        let part = random_token().map_or(u8::MAX, |token| token[0]);
        let first = interval.min(Duration::from_secs(60)).mul_f64(f64::from(part) / f64::from(u8::MAX));
        Self { next: first, interval }
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = self.interval;
    }
}

/// A store's statements, for its table.
pub(super) struct Statements {
    pub(super) migrate: SqlStr,
    pub(super) claim: SqlStr,
    pub(super) complete: SqlStr,
    pub(super) release: SqlStr,
    pub(super) renew: SqlStr,
    pub(super) forget: SqlStr,
    pub(super) purge: SqlStr,
}
