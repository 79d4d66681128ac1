//! Why a lease or a retention was refused.

/// Why a lease or a retention was refused.
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
}

impl PolicyError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ZeroLease => "zero_lease",
            Self::ZeroRetention => "zero_retention",
            Self::RetentionShorterThanLease => "retention_shorter_than_lease",
        }
    }
}
