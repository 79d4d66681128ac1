//! The tags of a MAC: the one that was computed, and the candidates that it is compared with.

use subtle::{Choice, ConstantTimeEq};

/// The greatest length of a tag, in bytes.
pub(crate) const MAX_TAG_LEN: usize = 64;

/// A tag of one algorithm's length, with zeros behind it. Tags of two algorithms are not compared.
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

    /// Compares tags in constant time.
    #[inline]
    pub(crate) fn ct_eq(&self, other: &Self) -> Choice {
        // Comparing words, and all differences at the end, is a tenth of the work. Shorter tags have zeros in both.
        let words = self.0.as_chunks().0.iter().zip(other.0.as_chunks().0);
        let differences = words.fold(0, |differences, (one, other)| {
            differences | (u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other))
        });
        differences.ct_eq(&0)
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
    first: Option<Tag>,
    /// The others, which few deliveries have.
    others: Option<[Tag; Self::MAX - 1]>,
    len: usize,
}

impl Candidates {
    /// The most candidates that a delivery may have. Each is compared with the tag of each secret.
    pub(crate) const MAX: usize = 16;

    #[inline]
    pub(crate) fn new() -> Self {
        Self { first: None, others: None, len: 0 }
    }

    /// Adds a candidate. Returns false if there are too many.
    #[inline]
    pub(crate) fn push(&mut self, tag: Tag) -> bool {
        if self.len == Self::MAX {
            return false;
        }
        match self.len.checked_sub(1) {
            None => self.first = Some(tag),
            Some(at) => self.others.get_or_insert([Tag::EMPTY; Self::MAX - 1])[at] = tag,
        }
        self.len += 1;
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The candidates, in two slices.
    #[inline]
    pub(crate) fn as_slices(&self) -> [&[Tag]; 2] {
        let others = self.others.as_ref().map_or(&[][..], |others| &others[..self.len.saturating_sub(1)]);
        [self.first.as_slice(), others]
    }
}
