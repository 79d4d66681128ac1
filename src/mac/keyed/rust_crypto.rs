//! RustCrypto's `hmac` and `sha2`: the default, written in Rust, for every target.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest, Sha256};

/// A keyed HMAC-SHA256 of the body so far. It is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Mac(Hmac<Sha256>);

impl Mac {
    /// The most bytes of the stack in which a clone and its tag leave copies of the state, in a release build.
    pub(super) const STACK: usize = 1024;

    pub(super) fn keyed(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length (RFC 2104)")]
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
