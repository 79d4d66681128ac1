//! The verifier over bytes. It knows neither HTTP nor JSON.

use std::fmt;
use std::sync::Arc;

use crate::mac::secret::Key;
use crate::mac::{
    Algorithm, KeyEncoding, Mac, SecretError, Tag, WipedStack, on_wiped_stack, on_wiped_stack_of,
};
use crate::mac::{Secret, Secrets, Signature};

struct KeyedSecret {
    mac: Mac,
    label: Option<Arc<str>>,
    /// Whether this is the key of `Secrets::reject_all`. It is computed with like any other, so that a refusal takes
    /// as long, but it matches no tag.
    refuses: bool,
}

impl KeyedSecret {
    /// Compares the tag that the key made of a message with each candidate. This is the only place that reads a
    /// computed tag. It does not stop at a match: which candidate is right stays unknown.
    #[inline]
    fn is_matched(&self, tag: &Tag, candidates: [&[Tag]; 2]) -> bool {
        let mut matches = subtle::Choice::from(0);
        for slice in candidates {
            for candidate in slice {
                matches |= candidate.ct_eq(tag);
            }
        }
        let matches = matches.into();
        #[cfg(countersign_memcheck)]
        let matches = crate::mac::memcheck::made_public(matches);
        matches && !self.refuses
    }
}

/// The keyed MACs of a webhook's secrets, newest first. Clones share them.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[KeyedSecret]>);

impl Keys {
    /// Keys the MAC for each secret.
    pub(crate) fn new(
        secrets: &Secrets,
        algorithm: Algorithm,
        encoding: KeyEncoding,
    ) -> Result<Self, SecretError> {
        on_wiped_stack(|stack| {
            let keys: Vec<Key<'_>> =
                secrets.iter().map(|secret| secret.key(encoding)).collect::<Result<_, _>>()?;
            Ok(Self::keyed(secrets, &keys, algorithm, stack))
        })
    }

    fn keyed(secrets: &Secrets, keys: &[Key<'_>], algorithm: Algorithm, stack: &WipedStack) -> Self {
        let keyed = |secret: &Secret, key: &[u8], refuses| KeyedSecret {
            mac: stack.mac(algorithm, key),
            label: secret.label().cloned(),
            refuses,
        };
        // Collected into their final place: a `Vec` that became the `Arc` would leave copies in freed memory.
        let pairs = secrets.iter().zip(keys);
        let all: Arc<[KeyedSecret]> = pairs.map(|(secret, key)| keyed(secret, key.bytes(), false)).collect();
        if all.is_empty() {
            return Self(std::iter::once(keyed(&Secret::reject_all(), &[], true)).collect());
        }
        Self(all)
    }

    /// Returns which secret made one of the candidates of this message. It allocates nothing, and compares in
    /// constant time.
    pub(crate) fn verify(
        &self,
        pieces: &[&[u8]],
        candidates: [&[Tag]; 2],
    ) -> Result<MatchedSecret, SignatureMismatch> {
        let mut keys = self.0.iter();
        let position = on_wiped_stack_of(&self.0[0].mac, || {
            keys.position(|key| key.is_matched(&key.mac.tag_with(pieces), candidates))
        });
        MatchedSecret::at(position, &self.0)
    }

    /// Begins a message that arrives in pieces.
    pub(crate) fn begin(&self) -> Streamed {
        // On a wiped stack: a future that is made where a copy lay could carry the copy to the heap, in its padding.
        let macs = on_wiped_stack(|_| self.0.iter().map(|key| key.mac.clone()).collect());
        Streamed { keys: Arc::clone(&self.0), macs }
    }

    /// Whether the secrets are `Secrets::reject_all`.
    pub(crate) fn rejects_all(&self) -> bool {
        self.0[0].refuses
    }

    /// Signs a message with the newest secret, for testing a receiver.
    pub(crate) fn sign(&self, pieces: &[&[u8]]) -> Tag {
        on_wiped_stack_of(&self.0[0].mac, || self.0[0].mac.tag_with(pieces))
    }

    /// Signs a message with the secret at this position.
    pub(crate) fn sign_with(&self, position: usize, pieces: &[&[u8]]) -> Option<Tag> {
        let key = self.0.get(position).filter(|key| !key.refuses)?;
        Some(on_wiped_stack_of(&key.mac, || key.mac.tag_with(pieces)))
    }

    /// The secrets' labels.
    pub(crate) fn labels(&self) -> Vec<Option<&str>> {
        self.0.iter().map(|key| key.label.as_deref()).collect()
    }
}

/// The MACs of a message that arrives in pieces.
pub(crate) struct Streamed {
    keys: Arc<[KeyedSecret]>,
    /// One for each key. They are boxed because a move would leave a copy behind that is not wiped, and a future
    /// may be moved often. (Their number is known, so collecting them allocates once, in the right size.)
    macs: Box<[Mac]>,
}

impl Streamed {
    pub(crate) fn update(&mut self, piece: &[u8]) {
        for mac in &mut self.macs {
            mac.update(piece);
        }
    }

    /// Returns which secret made one of the candidates, once the last pieces have been added.
    pub(crate) fn finish(
        self,
        last: &[&[u8]],
        candidates: &[Tag],
    ) -> Result<MatchedSecret, SignatureMismatch> {
        // Borrowed: moving out of a box frees its memory without overwriting it.
        let mut keyed = self.keys.iter().zip(&self.macs);
        let position = on_wiped_stack(|_| {
            keyed.position(|(key, mac)| key.is_matched(&mac.tag_with(last), [candidates, &[]]))
        });
        MatchedSecret::at(position, &self.keys)
    }
}

/// Checks signatures of bytes, with one to [`Secrets::MAX`] secrets that are keyed in advance.
///
/// This is the layer below [`Webhook`](crate::Webhook). Use it if the signature does not come in a header, or the
/// signed bytes are not a request's body. Clones share the keys.
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
    keys: Keys,
}

impl Verifier {
    /// Makes a verifier, and keys the MAC for each secret.
    #[must_use]
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        let secrets = secrets.into();
        let keyed = |stack: &WipedStack| {
            let texts: Vec<Key<'_>> = secrets.iter().map(|secret| Key::Itself(secret.text())).collect();
            Keys::keyed(&secrets, &texts, Algorithm::HmacSha256, stack)
        };
        Self { keys: on_wiped_stack(keyed) }
    }

    /// Verifies the signature of a body, and returns which secret made it. It allocates nothing, and
    /// compares in constant time.
    ///
    /// # Errors
    /// [`SignatureMismatch`] if no secret made it.
    pub fn verify(&self, body: &[u8], signature: &Signature) -> Result<MatchedSecret, SignatureMismatch> {
        self.keys.verify(&[body], [std::slice::from_ref(signature.tag()), &[]])
    }

    /// Begins the verification of a body that arrives in pieces.
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
        Verification { macs: self.keys.begin(), signature }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("labels", &self.keys.labels()).finish_non_exhaustive()
    }
}

/// The verification of a body that arrives in pieces. [`Verifier::begin`] makes one.
///
/// Do not trust the body before [`finish`](Verification::finish) has succeeded. Then use the same bytes that you
/// passed to [`update`](Verification::update), and no others.
#[must_use = "nothing is verified before `finish`"]
pub struct Verification {
    macs: Streamed,
    signature: Signature,
}

impl Verification {
    /// Adds the next piece, of any length.
    pub fn update(&mut self, chunk: &[u8]) {
        self.macs.update(chunk);
    }

    /// Verifies all pieces together. The verdict is the same as [`Verifier::verify`]'s on the whole body.
    ///
    /// # Errors
    /// [`SignatureMismatch`] if no secret made the signature.
    pub fn finish(self) -> Result<MatchedSecret, SignatureMismatch> {
        self.macs.finish(&[], std::slice::from_ref(self.signature.tag()))
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").finish_non_exhaustive()
    }
}

/// The error of a signature that no secret made of this body. It has no detail on purpose: a more precise answer would
/// help only a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match the body")]
#[non_exhaustive]
pub struct SignatureMismatch;

/// The secret that a delivery was signed with, by position and label. It contains nothing of the secret itself.
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
    #[inline]
    fn at(position: Option<usize>, keys: &[KeyedSecret]) -> Result<Self, SignatureMismatch> {
        let (position, key) = position.and_then(|at| Some((at, keys.get(at)?))).ok_or(SignatureMismatch)?;
        Ok(Self { position, label: key.label.clone() })
    }

    /// The secret's position among the webhook's secrets. The newest is 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The secret's label, if it has one.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether the secret is the newest one. If it is not, the provider still signs with an older secret. Do not
    /// remove that secret yet.
    #[must_use]
    pub fn is_newest(&self) -> bool {
        self.position == 0
    }
}
