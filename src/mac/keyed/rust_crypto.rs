//! RustCrypto's `hmac`, `sha2` and `sha1`: the default, written in Rust, for all targets.

use hmac::digest::{FixedOutput, Update};
use hmac::{Hmac, KeyInit};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::mac::{Algorithm, Tag};

/// A keyed HMAC of the message so far. It is wiped when it is dropped.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation for each delivery")]
pub(crate) enum Mac {
    Sha256(Hmac<Sha256>),
    Sha1(Hmac<Sha1>),
    Sha512(Hmac<Sha512>),
}

impl Mac {
    /// Whether its state, of which copies stay on the stack, is larger than that of SHA-256.
    pub(super) fn is_large(&self) -> bool {
        matches!(self, Self::Sha512(_))
    }

    pub(super) fn keyed(algorithm: Algorithm, key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length (RFC 2104)")]
        fn keyed<M: KeyInit>(key: &[u8]) -> M {
            <M as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
        }
        match algorithm {
            Algorithm::HmacSha256 => Self::Sha256(keyed(key)),
            Algorithm::HmacSha1 => Self::Sha1(keyed(key)),
            Algorithm::HmacSha512 => Self::Sha512(keyed(key)),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    /// The tag of the message so far and these pieces.
    #[inline]
    pub(crate) fn tag_with(&self, pieces: &[&[u8]]) -> Tag {
        match self {
            Self::Sha256(mac) => Tag::from(<[u8; 32]>::from(finished(mac, pieces))),
            Self::Sha1(mac) => Tag::from(<[u8; 20]>::from(finished(mac, pieces))),
            Self::Sha512(mac) => Tag::from(<[u8; 64]>::from(finished(mac, pieces))),
        }
    }
}

#[inline]
fn finished<M: Clone + Update + FixedOutput>(mac: &M, pieces: &[&[u8]]) -> hmac::digest::Output<M> {
    let mut mac = mac.clone();
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize_fixed()
}

/// The SHA-256 of the pieces together.
pub(crate) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        Digest::update(&mut hash, piece);
    }
    hash.finalize().into()
}
