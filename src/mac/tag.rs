//! The tags of a MAC: the one that was computed, and the candidates that it is compared with.

use subtle::{Choice, ConstantTimeEq};

/// The greatest length of a tag, in bytes.
pub(crate) const MAX_TAG_LEN: usize = 64;

/// A tag of one algorithm's length, with zeros behind it. Tags of two algorithms are never compared.
#[derive(Clone, Copy)]
pub(crate) struct Tag([u8; MAX_TAG_LEN]);

impl Tag {
    pub(crate) const EMPTY: Self = Self([0; MAX_TAG_LEN]);

    /// Takes a tag's bytes, and zeros behind them.
    pub(crate) fn padded(bytes: [u8; MAX_TAG_LEN]) -> Self {
        Self(bytes)
    }

    /// The first bytes, as many as the algorithm's tags have.
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        &self.0[..length]
    }

    /// Compares in constant time.
    pub(crate) fn ct_eq(&self, other: &Self) -> Choice {
        // Comparing words is a fifth of the work.
        let words = |tag: &Self| -> [u64; MAX_TAG_LEN / 8] {
            std::array::from_fn(|at| u64::from_ne_bytes(tag.0.as_chunks().0[at]))
        };
        words(self).ct_eq(&words(other))
    }
}

impl<const LEN: usize> From<[u8; LEN]> for Tag {
    fn from(bytes: [u8; LEN]) -> Self {
        let mut tag = Self::EMPTY;
        tag.0[..LEN].copy_from_slice(&bytes);
        tag
    }
}

/// The tags that a delivery brings, of which one must be right.
pub(crate) struct Candidates {
    tags: [Tag; Self::MAX],
    len: usize,
}

impl Candidates {
    /// The most candidates that a delivery may have. Each is compared with the tag of each secret.
    pub(crate) const MAX: usize = 16;

    pub(crate) fn new() -> Self {
        Self { tags: [Tag::EMPTY; Self::MAX], len: 0 }
    }

    /// Adds a candidate. Returns false if there are too many.
    pub(crate) fn push(&mut self, tag: Tag) -> bool {
        match self.tags.get_mut(self.len) {
            Some(place) => {
                *place = tag;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    pub(crate) fn as_slice(&self) -> &[Tag] {
        &self.tags[..self.len]
    }
}
