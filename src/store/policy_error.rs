//! Why a policy was refused.

/// Why a lease, a retention or a renewal was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A lease of no time would lapse before the handler begins.
    #[error("a lease must be longer than zero")]
    ZeroLease,
    /// A key that is not remembered is handled at every delivery.
    #[error("a retention must be longer than zero")]
    ZeroRetention,
    /// A key would be forgotten while the lease under which it was handled could still last.
    #[error("a retention must not be shorter than the lease")]
    RetentionShorterThanLease,
    /// A key would be forgotten while its delivery is still accepted, so that a replay would be handled.
    #[error("a retention must be at least twice the maximum age")]
    RetentionShorterThanMaxAge,
    /// Nothing would be renewed.
    #[error("the ceiling of a renewal must not be shorter than the lease")]
    RenewalShorterThanLease,
}

impl PolicyError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ZeroLease => "zero_lease",
            Self::ZeroRetention => "zero_retention",
            Self::RetentionShorterThanLease => "retention_shorter_than_lease",
            Self::RetentionShorterThanMaxAge => "retention_shorter_than_max_age",
            Self::RenewalShorterThanLease => "renewal_shorter_than_lease",
        }
    }
}
