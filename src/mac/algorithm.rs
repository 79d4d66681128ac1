//! The hash functions of an HMAC.

/// The algorithm of a signature: an HMAC with one of three hash functions.
///
/// ```
/// use countersign::Algorithm;
///
/// assert_eq!(Algorithm::HmacSha256.tag_len(), 32);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC-SHA-256, with tags of 32 bytes. Nearly all providers use it.
    #[default]
    HmacSha256,
    /// HMAC-SHA-1, with tags of 20 bytes. No attack on the HMAC is known, although SHA-1 has collisions.
    HmacSha1,
    /// HMAC-SHA-512, with tags of 64 bytes.
    HmacSha512,
}

impl Algorithm {
    /// The length of a tag, in bytes.
    #[must_use]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha1 => 20,
            Self::HmacSha512 => 64,
        }
    }
}
