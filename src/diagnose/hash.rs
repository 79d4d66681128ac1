//! The hashes, and the limit of their number.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::mac::{self, WipedStack, sha256};

/// How a tag was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hmac(mac::Algorithm),
    /// Without a key.
    PlainSha256,
}

/// The work so far, and its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) hashes: u64,
    pub(super) bytes: u64,
}

impl Work {
    pub(super) const MAX_HASHES: u64 = 1 << 16;
    pub(super) const MAX_BYTES: u64 = 1 << 29;

    /// Counts a hash of this many bytes. If it exceeds a limit, returns false and does not count it.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let spent = Self { hashes: self.hashes + 1, bytes: self.bytes + bytes as u64 };
        let is_within = spent.hashes <= Self::MAX_HASHES && spent.bytes <= Self::MAX_BYTES;
        if is_within {
            *self = spent;
        }
        is_within
    }
}

/// Whether the key makes this tag for the message. The time does not depend on how much of the tag is right.
pub(super) fn makes(
    stack: &WipedStack,
    algorithm: Algorithm,
    key: &[u8],
    message: &[&[u8]],
    tag: &[u8],
) -> bool {
    let computed = match algorithm {
        Algorithm::Hmac(algorithm) => {
            let computed = stack.mac(algorithm, key).tag_with(message);
            Zeroizing::new(computed.bytes(algorithm.tag_len()).to_vec())
        }
        Algorithm::PlainSha256 => Zeroizing::new(sha256(message).to_vec()),
    };
    computed.ct_eq(tag).into()
}
