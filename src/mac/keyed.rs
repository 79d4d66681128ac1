//! HMAC-SHA256 and SHA-256, by the one of two backends that was chosen when the crate was compiled.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(not(feature = "aws-lc-rs"))]
mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::{Mac, sha256};
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use rust_crypto::{Mac, sha256};

impl Mac {
    /// The tag of what came so far and this.
    #[inline]
    pub(crate) fn tag_with(&self, last: &[u8]) -> [u8; 32] {
        let mut mac = self.clone();
        mac.update(last);
        mac.finish()
    }
}
