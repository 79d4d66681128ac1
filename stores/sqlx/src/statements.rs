//! The statements of a store, and the meaning of their rows.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use countersign::store::{Claim, Lease};

use crate::error::{BoxError, SqlStoreError};

/// Makes a token that no other claim has.
pub(crate) fn random_token() -> Result<[u8; 16], SqlStoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| SqlStoreError::random(BoxError::from(error)))?;
    Ok(token)
}

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

/// Makes a claim from the row of the claim statement, which always returns one.
pub(crate) fn claimed(lease: Lease, inserted: bool, done: bool, left: Duration) -> Claim {
    if inserted {
        Claim::Acquired(lease)
    } else if done {
        Claim::Done
    } else {
        Claim::InFlight { retry_after: left.max(Duration::from_millis(1)) }
    }
}

/// Purges every `interval`, without end. The first purge comes after a random part of the interval or of a minute,
/// whichever is shorter.
pub(crate) async fn purge_every<F: Future<Output = Result<u64, SqlStoreError>>>(
    interval: Duration,
    purge: impl Fn() -> F,
    mut on_error: impl FnMut(SqlStoreError),
) -> Infallible {
    let interval = interval.max(Duration::from_secs(1));
    // The whole of it, if there is no random number.
    let part = random_token().map_or(u8::MAX, |token| token[0]);
    let mut pause = interval.min(Duration::from_secs(60)).mul_f64(f64::from(part) / f64::from(u8::MAX));
    loop {
        tokio::time::sleep(pause).await;
        pause = interval;
        if let Err(error) = purge().await {
            on_error(error);
        }
    }
}
