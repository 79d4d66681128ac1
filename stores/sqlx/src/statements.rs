//! The statements of a store, and what their rows say.

use std::time::Duration;

use countersign::store::{Claim, Lease};

use crate::error::{BoxError, SqlStoreError};

/// A token for a claim, which no other claim has.
pub(crate) fn random_token() -> Result<[u8; 16], SqlStoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| SqlStoreError::random(BoxError::from(error)))?;
    Ok(token)
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
    pub(crate) fn of(claim: Claim) -> Self {
        match claim {
            Claim::Acquired(_) => Self::New,
            Claim::Done => Self::Done,
            Claim::InFlight { retry_after } => Self::InFlight { retry_after },
        }
    }
}

/// The claim that the row of a claim's statement tells of, which always returns one.
pub(crate) fn claimed(lease: Lease, inserted: bool, done: bool, left: Duration) -> Claim {
    if inserted {
        Claim::Acquired(lease)
    } else if done {
        Claim::Done
    } else {
        Claim::InFlight { retry_after: left.max(Duration::from_millis(1)) }
    }
}
