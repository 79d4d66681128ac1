//! What came of it.

use std::fmt;
use std::sync::Arc;

use super::body;
use super::cause::Cause;
use super::hash::Work;

/// What is striking about a delivery of which nothing was proven: a suspicion, no more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The signature verifies, but the delivery is refused all the same. Never as `stale`: how old a delivery
    /// may be is the webhook's setting, and how old it was then is not known.
    #[non_exhaustive]
    RefusedAfterwards {
        /// The [`code`](crate::Error::code) of the error.
        code: &'static str,
    },
    /// There is no secret to try.
    NoSecret,
    /// There is no signature header.
    SignatureMissing,
    /// The signature header is no `sha256=` and 64 hex digits, and nothing that is known instead.
    SignatureMalformed,
    /// There is another header that looks like a signature's.
    #[non_exhaustive]
    OtherSignatureHeader {
        /// The header, in lower case.
        name: String,
    },
    /// The body is empty.
    BodyEmpty,
    /// The body is `[object Object]`.
    BodyStringified,
    /// The body has the character U+FFFD, which replaces bytes that are lost.
    BodyLossy,
    /// The body's length is not what its Content-Length header says.
    BodyLengthDiffers,
    /// There is a Content-Encoding header.
    BodyCompressed,
    /// All names in the body are in alphabetical order.
    BodyKeysSorted,
    /// The body is too long to be looked into.
    BodyTooLong,
    /// There are more other secrets than are tried.
    TooManyOthers,
    /// There was more to try than the limits allow.
    Unfinished,
}

impl Hint {
    /// The hint's name in programs: snake case, and stable.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.texts().0
    }

    fn texts(&self) -> (&'static str, &'static str) {
        match self {
            Self::RefusedAfterwards { .. } => {
                ("refused_afterwards", "the signature verifies, but the delivery is refused as")
            }
            Self::NoSecret => ("no_secret", "there is no secret to try"),
            Self::SignatureMissing => (
                "signature_missing",
                "the signature header is missing: a proxy may have dropped it, or the provider's settings have \
                 no secret",
            ),
            Self::SignatureMalformed => {
                ("signature_malformed", "the signature header holds nothing that looks like a signature")
            }
            Self::OtherSignatureHeader { .. } => (
                "other_signature_header",
                "another header looks like a signature's, so it may be another provider's delivery:",
            ),
            Self::BodyEmpty => (
                "body_empty",
                "the body is empty: a body parser may have read it before (it can be read once)",
            ),
            Self::BodyStringified => (
                "body_stringified",
                "the body is a parsed object that was turned into text: give the verifier the raw bytes",
            ),
            Self::BodyLossy => (
                "body_lossy",
                "the body has the character U+FFFD, which stands for bytes that were no UTF-8 and are lost: \
                 something may have read it as text. That cannot be undone: give the verifier the raw bytes",
            ),
            Self::BodyLengthDiffers => (
                "body_length_differs",
                "the body is not as long as its Content-Length says: something may have changed it, or cut it off",
            ),
            Self::BodyCompressed => (
                "body_compressed",
                "there is a Content-Encoding: what was signed may be the compressed body, or the other way round",
            ),
            Self::BodyKeysSorted => (
                "body_keys_sorted",
                "the names in the body are in alphabetical order: something may have sorted them when it wrote \
                 the body again. That cannot be undone: give the verifier the raw bytes",
            ),
            Self::BodyTooLong => ("body_too_long", "the body is over 1 MiB, and was not looked into"),
            Self::TooManyOthers => ("too_many_others", "there are more other secrets than are tried"),
            Self::Unfinished => (
                "unfinished",
                "not every combination was tried, since the body is long or the secrets are many",
            ),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().1)?;
        match self {
            Self::RefusedAfterwards { code } => write!(f, " {code}"),
            Self::OtherSignatureHeader { name } => write!(f, " {name}"),
            _ => Ok(()),
        }
    }
}

/// What a [`Diagnoser`](super::Diagnoser) found. For operators: not for whoever sent the delivery.
///
/// It holds no secret, no tag and nothing of the body; a header's name, and the names that you gave.
/// Displayed, it is a few lines of text. It is no response, and converts to none:
///
/// ```compile_fail,E0277
/// # fn is_a_response<T: Into<http::Response<Vec<u8>>>>() {}
/// is_a_response::<countersign::diagnose::Diagnosis>();
/// ```
/// ```compile_fail,E0277
/// # fn is_a_response<T: axum::response::IntoResponse>() {}
/// is_a_response::<countersign::diagnose::Diagnosis>();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub(super) is_verified: bool,
    pub(super) causes: Vec<Cause>,
    pub(super) hints: Vec<Hint>,
    pub(super) secret_label: Option<Arc<str>>,
    pub(super) work: Work,
}

impl Diagnosis {
    /// The most hashes that one diagnosis takes.
    pub const MAX_HASHES: u64 = Work::MAX_HASHES;

    /// The most bytes that one diagnosis of a body within [`MAX_BODY_LEN`](Self::MAX_BODY_LEN) hashes: 512 MiB.
    pub const MAX_HASHED_BYTES: u64 = Work::MAX_BYTES;

    /// The longest body that is looked into, in bytes: 1 MiB. Of a longer one it is only said whether its
    /// signature verifies.
    pub const MAX_BODY_LEN: usize = body::MAX_LEN;

    /// How many sets of other secrets are tried.
    pub const MAX_OTHERS: usize = 8;

    /// Whether the signature verifies as it is.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// What together would have made the signature verify, proven by its doing so: of the signature,
    /// then of the secret, then of the body. Empty if it verifies as it is, or for no known cause.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// What is striking, if no cause was proven.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// `verified`, the first cause's code, or `no_known_cause`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.causes.first() {
            _ if self.is_verified => "verified",
            Some(cause) => cause.code(),
            None => "no_known_cause",
        }
    }

    /// The label of the secret with which it verifies, or would have, if it has one.
    #[must_use]
    pub fn secret_label(&self) -> Option<&str> {
        self.secret_label.as_deref()
    }

    /// Whether something was tried in vain, and nothing is striking.
    fn leaves_no_more_to_say(&self) -> bool {
        let is_of_limits = |hint: &Hint| matches!(hint, Hint::TooManyOthers | Hint::Unfinished);
        self.work.hashes > 0 && self.hints.iter().all(is_of_limits)
    }

    /// How many hashes it took: at most [`MAX_HASHES`](Self::MAX_HASHES).
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.work.hashes
    }

    /// How many bytes were hashed: at most [`MAX_HASHED_BYTES`](Self::MAX_HASHED_BYTES) or, of a body longer
    /// than [`MAX_BODY_LEN`](Self::MAX_BODY_LEN), its length for each secret of the webhook.
    #[must_use]
    pub fn hashed_bytes(&self) -> u64 {
        self.work.bytes
    }
}

/// A few lines for an operator, without a final line end.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_verified {
            f.write_str("the signature verifies as it is")?;
        } else if self.causes.is_empty() {
            f.write_str("no known cause")?;
            if self.leaves_no_more_to_say() {
                f.write_str(
                    ": most likely the secret is another endpoint's, or the body is not the one that was signed",
                )?;
            }
        } else {
            f.write_str("the signature would have verified, but for this:")?;
        }
        for cause in &self.causes {
            write!(f, "\n- {cause}\n  cure: {}", cause.cure())?;
        }
        if let Some(label) = &self.secret_label {
            write!(f, "\nwith the secret labelled {label}")?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
