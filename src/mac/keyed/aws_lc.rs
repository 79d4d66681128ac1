//! AWS-LC. Its assembly is faster on a CPU without SHA extensions, and it has a FIPS build.

use aws_lc_rs::{digest, hmac};

/// A keyed HMAC-SHA256 of the body so far. It is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Mac(hmac::Context);

impl Mac {
    /// The most bytes of the stack in which a clone and its tag leave copies of the state, in a release build.
    pub(super) const STACK: usize = 2048;

    pub(super) fn keyed(key: &[u8]) -> Self {
        Self(hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        to_array(self.0.sign().as_ref())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The bytes are a SHA-256 digest or tag, so there are 32.
fn to_array(bytes: &[u8]) -> [u8; 32] {
    let mut array = [0; 32];
    array.copy_from_slice(bytes);
    array
}
