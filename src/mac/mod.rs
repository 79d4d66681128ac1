//! Bytes in, a matched secret out: secrets, the keyed MAC, tags and their comparison. No HTTP, no JSON.

mod keyed;
#[cfg(countersign_memcheck)]
#[doc(hidden)]
pub mod memcheck;
mod secret;
mod signature;
mod verifier;

pub(crate) use keyed::{Mac, sha256};
pub(crate) use secret::wipe_stack;
pub use secret::{Secret, Secrets};
pub use signature::Signature;
pub use verifier::{MatchedSecret, Verification, Verifier};
