//! A call that can share a flush, and what it is answered.

use std::time::Duration;

use countersign::store::{Claim, Lease, LeaseStatus};
use tokio::sync::oneshot;

use crate::error::{Shared, SqlStoreError};

/// What a call writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Claims the key for the time, with the lease's token.
    Claim,
    /// Marks the lease's key done for the time.
    Complete,
}

/// A call that can share a flush.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) lease: Lease,
    pub(crate) time: Duration,
}

/// What a batch tells one of its calls.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The key is claimed, or done, as the call asked.
    Applied,
    /// The key is claimed with the lease of a caller that has hung up.
    Inherited(Lease),
    /// Another claim holds the key for so long.
    InFlight(Duration),
    /// The key is done.
    Done,
    /// The transaction could not begin.
    Failed(Shared),
}

impl Answer {
    /// The answer to a claim with this lease.
    pub(crate) fn claim(self, lease: Lease) -> Result<Claim, SqlStoreError> {
        match self {
            Self::Applied => Ok(Claim::Acquired(lease)),
            Self::Inherited(lease) => Ok(Claim::Acquired(lease)),
            Self::InFlight(left) => Ok(Claim::InFlight { retry_after: left.max(Duration::from_millis(1)) }),
            Self::Done => Ok(Claim::Done),
            Self::Failed(error) => Err(error.into()),
        }
    }

    /// The answer to a completion.
    pub(crate) fn status(self) -> Result<LeaseStatus, SqlStoreError> {
        match self {
            Self::Applied => Ok(LeaseStatus::Applied),
            Self::Inherited(_) | Self::InFlight(_) | Self::Done => Ok(LeaseStatus::Lost),
            Self::Failed(error) => Err(error.into()),
        }
    }
}

/// A call in the queue or in a batch. If it is dropped without an answer, the call is repeated alone.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) call: Call,
    caller: oneshot::Sender<Answer>,
}

impl Waiting {
    pub(crate) fn new(call: Call, caller: oneshot::Sender<Answer>) -> Self {
        Self { call, caller }
    }

    /// Answers the call, and returns whether its caller is still there.
    pub(crate) fn answer(self, answer: Answer) -> bool {
        self.caller.send(answer).is_ok()
    }
}
