//! Bytes in, a matched secret out: secrets, the keyed MAC, tags and their comparison. No HTTP, no JSON.

mod keyed;
#[cfg(countersign_memcheck)]
#[doc(hidden)]
pub mod memcheck;
mod secret;
mod secret_error;
mod signature;
mod verifier;

pub(crate) use keyed::{Mac, WipedStack, on_wiped_small_stack, on_wiped_stack, sha256};
pub use secret::{Secret, Secrets};
pub use secret_error::SecretError;
pub(crate) use signature::hex_digits;
pub use signature::{MalformedSignature, Signature};
pub use verifier::{MatchedSecret, SignatureMismatch, Verification, Verifier};
