//! HMAC-SHA256 and SHA-256, by the one of two backends that was chosen when the crate was compiled.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(not(feature = "aws-lc-rs"))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::{Mac, sha256};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use rust_crypto::{Mac, sha256};

/// A stack that is wiped after use, by which alone a MAC can be keyed. Made by [`on_wiped_stack`].
pub(crate) struct WipedStack(());

impl WipedStack {
    /// An HMAC-SHA256 under a key, before any of a body.
    pub(crate) fn mac(&self, key: &[u8]) -> Mac {
        Mac::keyed(key)
    }
}

/// Does some work, and then overwrites what it has left of a key on the stack: a MAC is keyed in local variables,
/// which nobody overwrites, and is moved from one to another.
///
/// No language rule says that this works, but a test that reads the memory does.
pub(crate) fn on_wiped_stack<T>(work: impl FnOnce(&WipedStack) -> T) -> T {
    // Neither may be inlined: both frames have to begin at the same place.
    #[inline(never)]
    fn run<T>(work: impl FnOnce(&WipedStack) -> T) -> T {
        work(&WipedStack(()))
    }
    #[inline(never)]
    fn wipe() {
        std::hint::black_box(&mut [0_u8; 16 * 1024]);
    }

    let result = run(work);
    wipe();
    result
}

impl Mac {
    /// The tag of what came so far and this.
    #[inline]
    pub(crate) fn tag_with(&self, last: &[u8]) -> [u8; 32] {
        let mut mac = self.clone();
        mac.update(last);
        mac.finish()
    }
}
