//! HMAC and SHA-256, from the backend that the crate was compiled with.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(not(feature = "aws-lc-rs"))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::{Mac, sha256};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use rust_crypto::{Mac, sha256};

use crate::mac::Algorithm;

/// A stack that is wiped after use. A MAC can only be keyed with one; [`on_wiped_stack`] makes it.
pub(crate) struct WipedStack(());

impl WipedStack {
    /// Keys an HMAC, for a message that has yet to come.
    pub(crate) fn mac(&self, algorithm: Algorithm, key: &[u8]) -> Mac {
        Mac::keyed(algorithm, key)
    }
}

/// Runs the work, and then overwrites the copies of a key that it has left on the stack: keying a MAC moves it through
/// local variables, which are not overwritten otherwise.
///
/// The language does not promise that this works. `tests/memory` reads the memory and confirms it.
pub(crate) fn on_wiped_stack<T>(work: impl FnOnce(&WipedStack) -> T) -> T {
    wiped::<{ 16 * 1024 }, T>(|| work(&WipedStack(())))
}

/// The same, for work with a MAC that is keyed already. It wipes no more than a clone and its tag use, because a body
/// is verified often. A build without optimisation uses more.
pub(crate) fn on_wiped_stack_of<T>(mac: &Mac, work: impl FnOnce() -> T) -> T {
    match (cfg!(debug_assertions), mac.is_large()) {
        (true, _) => wiped::<{ 16 * 1024 }, T>(work),
        (false, true) => wiped::<2048, T>(work),
        (false, false) => wiped::<1024, T>(work),
    }
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
