//! Why a policy was refused.

/// Why a lease duration, a retention or a renewal was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The lease duration is zero: the lease would lapse before the handler begins.
    #[error("a lease must be longer than zero")]
    ZeroLease,
    /// The retention is zero: the event would be handled at each delivery.
    #[error("a retention must be longer than zero")]
    ZeroRetention,
    /// The retention is shorter than the lease: a key could be forgotten before its lease ends.
    #[error("a retention must not be shorter than the lease")]
    RetentionShorterThanLease,
    /// The retention is shorter than twice the maximum age, or, without one, than the sum of the scheme's tolerances: a key
    /// would be forgotten while its delivery is still accepted, and a replay would be handled.
    #[error(
        "a retention must be at least twice the maximum age, or without one the sum of the scheme's tolerances"
    )]
    RetentionShorterThanReplayWindow,
    /// The ceiling of a renewal is shorter than the lease, which would not be renewed.
    #[error("the ceiling of a renewal must not be shorter than the lease")]
    RenewalShorterThanLease,
}

impl PolicyError {
    /// The error's code, which never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ZeroLease => "zero_lease",
            Self::ZeroRetention => "zero_retention",
            Self::RetentionShorterThanLease => "retention_shorter_than_lease",
            Self::RetentionShorterThanReplayWindow => "retention_shorter_than_replay_window",
            Self::RenewalShorterThanLease => "renewal_shorter_than_lease",
        }
    }
}
