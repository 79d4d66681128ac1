//! The result of recording a key in a transaction.

use std::time::Duration;

use countersign::store::Claim;

/// The result of recording a key in a transaction, with a SQL store's `record_in`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// The key is new: write the effect in the same transaction, and commit.
    New,
    /// The key was recorded or completed before: acknowledge the delivery.
    Done,
    /// Another handler holds a claim on the key, and may still fail: do not acknowledge the delivery.
    InFlight {
        /// How long that claim's lease still lasts.
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
