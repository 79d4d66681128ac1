//! The MAC: keyed once, over bytes, knowing neither HTTP nor JSON.

use std::fmt;
use std::sync::Arc;

use crate::mac::Signature;
use crate::mac::{Mac, WipedStack, on_wiped_stack};
use crate::mac::{Secret, Secrets};

struct Key {
    mac: Mac,
    label: Option<Arc<str>>,
    /// Nobody's: it is worked with like any other, so that refusing takes as long, and never matches.
    refuses: bool,
}

impl Key {
    /// Judges the tag that the key made of a body: the one place where a computed tag is looked at.
    fn judge(&self, position: usize, tag: [u8; 32], signature: &Signature) -> Option<MatchedSecret> {
        let matches = signature.matches(&tag);
        #[cfg(countersign_memcheck)]
        let matches = crate::mac::memcheck::made_public(matches);
        (matches && !self.refuses).then(|| MatchedSecret { position, label: self.label.clone() })
    }
}

/// Checks signatures over bytes, with one to [`Secrets::MAX`] secrets that were keyed beforehand.
///
/// This is the layer below [`Webhook`](crate::Webhook), for a framework with header types of its
/// own, for bodies that arrive in pieces, and for schemes without this crate's envelope. Clones
/// share the keys.
///
/// ```
/// use countersign::{Secret, Signature, Verifier};
///
/// let secret = Secret::new("It's a Secret to Everybody")?;
/// let verifier = Verifier::new(secret);
/// let signature = Signature::parse(
///     b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
/// )?;
/// assert!(verifier.verify(b"Hello, World!", &signature).is_ok());
/// assert!(verifier.verify(b"Hello, World?", &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    keys: Arc<[Key]>,
}

impl Verifier {
    /// Keys the MAC for each secret, newest first.
    #[must_use]
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        let secrets = secrets.into();
        on_wiped_stack(|stack| Self::keyed(&secrets, stack))
    }

    fn keyed(secrets: &Secrets, stack: &WipedStack) -> Self {
        let key = |secret: &Secret, refuses| Key {
            mac: secret.to_mac(stack),
            label: secret.label().cloned(),
            refuses,
        };
        // Collected where they stay: a `Vec` that became the `Arc` would leave a copy of each in freed memory.
        let keys: Arc<[Key]> = secrets.iter().map(|secret| key(secret, false)).collect();
        if keys.is_empty() {
            return Self { keys: std::iter::once(key(&Secret::reject_all(), true)).collect() };
        }
        Self { keys }
    }

    /// Says which secret made this signature of this body. Allocates nothing, and compares in a
    /// time that does not depend on how much of the tag is right.
    ///
    /// # Errors
    /// [`SignatureMismatch`] if none did.
    pub fn verify(&self, body: &[u8], signature: &Signature) -> Result<MatchedSecret, SignatureMismatch> {
        let mut keys = self.keys.iter().enumerate();
        keys.find_map(|(position, key)| key.judge(position, key.mac.tag_with(body), signature))
            .ok_or(SignatureMismatch)
    }

    /// Begins to check a body that arrives in pieces.
    ///
    /// ```
    /// # use countersign::{Secret, Signature, Verifier};
    /// # let secret = Secret::new("It's a Secret to Everybody")?;
    /// # let signature = Signature::sign(&secret, b"Hello, World!");
    /// # let verifier = Verifier::new(secret);
    /// let mut verification = verifier.begin(signature);
    /// verification.update(b"Hello, ");
    /// verification.update(b"World!");
    /// assert_eq!(verification.finish()?.position(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(&self, signature: Signature) -> Verification {
        let macs = self.keys.iter().map(|key| key.mac.clone()).collect();
        Verification { keys: Arc::clone(&self.keys), macs, signature }
    }

    /// Whether there is no secret, so that nothing passes.
    pub(crate) fn rejects_all(&self) -> bool {
        self.keys[0].refuses
    }

    /// Signs a body with the newest secret: for testing a receiver.
    pub(crate) fn sign(&self, body: &[u8]) -> Signature {
        Signature::from_tag(self.keys[0].mac.tag_with(body))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.keys.iter().map(|key| key.label.as_deref());
        f.debug_struct("Verifier").field("labels", &labels.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

/// A check under way, over a body that arrives in pieces. Made by [`Verifier::begin`].
///
/// Nothing of the body may be trusted before [`finish`](Verification::finish) has said so, and what
/// is used then has to be the very bytes that went through [`update`](Verification::update).
#[must_use = "nothing is verified before `finish`"]
pub struct Verification {
    keys: Arc<[Key]>,
    /// One for each key. They stay where they are when this is moved, which would leave a copy behind that
    /// nobody wipes: a future is moved as often as it likes. (As many as the keys, so that collecting them
    /// allocates once, in the right size.)
    macs: Box<[Mac]>,
    signature: Signature,
}

impl Verification {
    /// Takes the next piece, of any length.
    pub fn update(&mut self, chunk: &[u8]) {
        for mac in &mut self.macs {
            mac.update(chunk);
        }
    }

    /// The verdict on all pieces together: the same as [`Verifier::verify`] on the whole.
    ///
    /// # Errors
    /// [`SignatureMismatch`] if no secret made the signature.
    pub fn finish(self) -> Result<MatchedSecret, SignatureMismatch> {
        // Borrowed, since what is moved out of a box is freed without being overwritten.
        let mut judged = self.keys.iter().zip(&self.macs).enumerate();
        judged
            .find_map(|(position, (key, mac))| key.judge(position, mac.clone().finish(), &self.signature))
            .ok_or(SignatureMismatch)
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").finish_non_exhaustive()
    }
}

/// No secret made the signature of this body. There is no detail, on purpose: a more precise answer would help only
/// a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match the body")]
#[non_exhaustive]
pub struct SignatureMismatch;

/// Which of the secrets a delivery was signed with. It holds nothing of the secret.
///
/// ```
/// use countersign::{Secret, Secrets, Signature, Verifier};
///
/// let older = Secret::new("the-old-secret-of-2025")?.with_label("2025");
/// let signature = Signature::sign(&older, b"{}");
///
/// let verifier = Verifier::new(Secrets::new(Secret::new("the-new-secret-of-2026")?).with_older(older)?);
/// let matched = verifier.verify(b"{}", &signature)?;
/// assert_eq!((matched.position(), matched.label()), (1, Some("2025")));
/// assert!(!matched.is_newest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedSecret {
    position: usize,
    label: Option<Arc<str>>,
}

impl MatchedSecret {
    /// Its place among the secrets that were given, from 0 for the newest.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Its label, if it was given one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether it is the newest. While it is not, the provider still signs with an older secret,
    /// which then must not be dropped.
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.position == 0
    }
}
