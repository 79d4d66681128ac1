//! HMAC-SHA256 and SHA-256, from the backend that the crate was compiled with.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(not(feature = "aws-lc-rs"))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::{Mac, sha256};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use rust_crypto::{Mac, sha256};

/// A stack that is wiped after use. A MAC can only be keyed with one; [`on_wiped_stack`] makes it.
pub(crate) struct WipedStack(());

impl WipedStack {
    /// Keys an HMAC-SHA256, which has seen nothing of a body yet.
    pub(crate) fn mac(&self, key: &[u8]) -> Mac {
        Mac::keyed(key)
    }
}

/// Runs the work, and then overwrites the copies of a key that it has left on the stack: keying a MAC moves it through
/// local variables, which are not overwritten otherwise.
///
/// The language does not guarantee that this works. `tests/memory` reads the memory and confirms it.
pub(crate) fn on_wiped_stack<T>(work: impl FnOnce(&WipedStack) -> T) -> T {
    wiped::<{ 16 * 1024 }, T>(|| work(&WipedStack(())))
}

/// The same, for work with MACs that are keyed already. It wipes less, because a body is verified often.
pub(crate) fn on_wiped_small_stack<T>(work: impl FnOnce() -> T) -> T {
    wiped::<{ Mac::STACK }, T>(work)
}

fn wiped<const BYTES: usize, T>(work: impl FnOnce() -> T) -> T {
    // Neither may be inlined: both frames must begin at the same address.
    #[inline(never)]
    fn run<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe<const BYTES: usize>() {
        std::hint::black_box(&mut [0_u8; BYTES]);
    }

    let result = run(work);
    wipe::<BYTES>();
    result
}

impl Mac {
    /// The tag of the body so far and `last`.
    #[inline]
    pub(crate) fn tag_with(&self, last: &[u8]) -> [u8; 32] {
        let mut mac = self.clone();
        mac.update(last);
        mac.finish()
    }
}
