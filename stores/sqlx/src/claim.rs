//! Claims, and their tokens.

use std::time::Duration;

use countersign::store::{Claim, Lease};

use crate::error::{BoxError, SqlStoreError};

/// Makes a token that no other claim has.
pub(crate) fn random_token() -> Result<[u8; 16], SqlStoreError> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(|error| SqlStoreError::random(BoxError::from(error)))?;
    Ok(token)
}

/// Makes a claim from the row that the claim statement returned.
pub(crate) fn claimed(lease: Lease, inserted: bool, done: bool, left: Duration) -> Claim {
    if inserted {
        Claim::Acquired(lease)
    } else if done {
        Claim::Done
    } else {
        Claim::InFlight { retry_after: left.max(Duration::from_millis(1)) }
    }
}
