//! AWS-LC. Its assembly is faster on a CPU without SHA extensions, and it has a FIPS build.

use aws_lc_rs::{digest, hmac};

use crate::mac::tag::MAX_TAG_LEN;
use crate::mac::{Algorithm, Tag};

/// A keyed HMAC of the message so far. It is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Mac(hmac::Context);

impl Mac {
    /// Whether its state, of which copies stay on the stack, is larger than that of SHA-256 by RustCrypto.
    pub(super) fn is_large(&self) -> bool {
        true
    }

    pub(super) fn keyed(algorithm: Algorithm, key: &[u8]) -> Self {
        let algorithm = match algorithm {
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        };
        Self(hmac::Context::with_key(&hmac::Key::new(algorithm, key)))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The tag of the message so far and these pieces.
    #[inline]
    pub(crate) fn tag_with(&self, pieces: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        for piece in pieces {
            mac.update(piece);
        }
        let tag = mac.sign();
        let mut padded = [0; MAX_TAG_LEN];
        padded[..tag.as_ref().len()].copy_from_slice(tag.as_ref());
        Tag::padded(padded)
    }
}

/// The SHA-256 of the pieces together.
pub(crate) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        hash.update(piece);
    }
    let mut array = [0; 32];
    array.copy_from_slice(hash.finish().as_ref());
    array
}
