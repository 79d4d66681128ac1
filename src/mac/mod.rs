//! Bytes in, a matched secret out: secrets, the keyed MAC, tags and their comparison. No HTTP, no JSON.

mod algorithm;
mod encoding;
mod keyed;
#[cfg(countersign_memcheck)]
#[doc(hidden)]
pub mod memcheck;
mod secret;
mod secret_error;
mod signature;
mod tag;
mod verifier;

pub use algorithm::Algorithm;
pub(crate) use encoding::hex_digits;
pub use encoding::{KeyEncoding, TagEncoding};
pub(crate) use keyed::{Mac, WipedStack, on_wiped_stack, on_wiped_stack_of, sha256};
pub use secret::{Secret, Secrets};
pub use secret_error::SecretError;
pub use signature::{MalformedSignature, Signature};
pub(crate) use tag::{Candidates, Tag};
pub(crate) use verifier::{Keys, Streamed};
pub use verifier::{MatchedSecret, SignatureMismatch, Verification, Verifier};
