//! The result of a diagnosis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::body;
use super::cause::Cause;
use super::hash::Work;

/// What is striking about a delivery beside its causes: a suspicion if no cause was proven, or why the delivery would
/// be refused although its signature verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The signature verifies, but the delivery is refused for another reason.
    #[non_exhaustive]
    RefusedAfterwards {
        /// The [`code`](crate::Error::code) of the error.
        code: &'static str,
    },
    /// There is no secret to try.
    NoSecret,
    /// There is no signature header.
    SignatureMissing,
    /// A signature header holds no signature in the scheme's form, nor in a form that is known.
    SignatureMalformed,
    /// The time of the signature is missing, or is not a time.
    TimeMalformed,
    /// The signature header occurs more than once.
    SignatureRepeated,
    /// There are signatures in the headers of two families.
    HeadersMixed,
    /// There are two signature headers with a time each.
    TimeRepeated,
    /// There are more signatures than a webhook compares: more than 16.
    TooManySignatures,
    /// A header that the scheme signs is missing, or occurs more than once.
    #[non_exhaustive]
    SignedHeaderMissing {
        /// The header, in lower case.
        name: String,
    },
    /// The value of a header that the scheme signs is empty, or has what separates it from the rest of the signed bytes.
    SignedHeaderAmbiguous,
    /// Another header looks like a signature header.
    #[non_exhaustive]
    OtherSignatureHeader {
        /// The header, in lower case.
        name: String,
    },
    /// The body is empty.
    BodyEmpty,
    /// The body is `[object Object]`.
    BodyStringified,
    /// The body has the character U+FFFD, which replaces lost bytes.
    BodyLossy,
    /// The body's length differs from its Content-Length header.
    BodyLengthDiffers,
    /// There is a Content-Encoding header.
    BodyCompressed,
    /// All names in the body are in alphabetical order.
    BodyKeysSorted,
    /// The body is too long to search.
    BodyTooLong,
    /// There are more other secrets than the limit.
    TooManyOthers,
    /// The search reached a limit.
    Unfinished,
    /// The delivery's time lies too far in the past.
    #[non_exhaustive]
    TimeInPast {
        /// How far the time lies before the clock.
        by: Duration,
    },
    /// The delivery's time lies too far in the future.
    #[non_exhaustive]
    TimeInFuture {
        /// How far the time lies after the clock.
        by: Duration,
    },
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
                "the signature header is missing: a proxy may have dropped it, or the provider may have no secret \
                 configured",
            ),
            Self::SignatureMalformed => {
                ("signature_malformed", "the signature header does not look like a signature")
            }
            Self::TimeMalformed => (
                "time_malformed",
                "the time of the signature is missing, or is not a time in seconds, in milliseconds or in RFC 3339",
            ),
            Self::SignatureRepeated => (
                "signature_repeated",
                "the signature header occurs more than once, so the delivery is refused, whichever of them is right",
            ),
            Self::HeadersMixed => (
                "headers_mixed",
                "there are signatures in the headers of two families, so the delivery is refused, whichever of them is \
                 right",
            ),
            Self::TimeRepeated => (
                "time_repeated",
                "two signature headers bring a time each, so the delivery is refused, whichever of them is right",
            ),
            Self::TooManySignatures => (
                "too_many_signatures",
                "there are more than 16 signatures, so the delivery is refused, whichever of them is right",
            ),
            Self::SignedHeaderMissing { .. } => (
                "signed_header_missing",
                "a header that is signed with the body is missing, or occurs more than once; a proxy may have dropped \
                 it:",
            ),
            Self::SignedHeaderAmbiguous => (
                "signed_header_ambiguous",
                "the value of a header that is signed is empty, or has the character that separates it from the rest of \
                 the signed bytes, such as a full stop in an id: nobody could tell where it ends",
            ),
            Self::OtherSignatureHeader { .. } => (
                "other_signature_header",
                "the delivery may be another provider's, because another header looks like a signature header:",
            ),
            Self::BodyEmpty => (
                "body_empty",
                "the body is empty: a body parser may have read it first (it can be read once)",
            ),
            Self::BodyStringified => (
                "body_stringified",
                "the body is a parsed object that was turned into text: give the verifier the raw bytes",
            ),
            Self::BodyLossy => (
                "body_lossy",
                "the body has the character U+FFFD, which replaces lost bytes that were not UTF-8: something may \
                 have read it as text. This cannot be undone: give the verifier the raw bytes",
            ),
            Self::BodyLengthDiffers => (
                "body_length_differs",
                "the body's length differs from its Content-Length: something may have changed it, or cut it off",
            ),
            Self::BodyCompressed => (
                "body_compressed",
                "there is a Content-Encoding: the signature may cover the compressed body and this may be the \
                 decompressed one, or the other way round",
            ),
            Self::BodyKeysSorted => (
                "body_keys_sorted",
                "the names in the body are in alphabetical order: something may have sorted them when it wrote \
                 the body again. This cannot be undone: give the verifier the raw bytes",
            ),
            Self::BodyTooLong => ("body_too_long", "the body is longer than 1 MiB, so it was not searched"),
            Self::TooManyOthers => (
                "too_many_others",
                "there are more than eight sets of other secrets, and the rest were not tried",
            ),
            Self::TimeInPast { .. } => (
                "time_in_past",
                "the delivery is too old: it was held back or sent again, or a clock is wrong. Its time lies before the \
                 clock by",
            ),
            Self::TimeInFuture { .. } => (
                "time_in_future",
                "the delivery is from the future, so a clock is wrong. Its time lies after the clock by",
            ),
            Self::Unfinished => (
                "unfinished",
                "not every combination was tried, because the body or the headers are long, or there are many secrets or \
                 signatures",
            ),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.texts().1)?;
        match self {
            Self::RefusedAfterwards { code } => write!(f, " {code}"),
            Self::SignedHeaderMissing { name } | Self::OtherSignatureHeader { name } => write!(f, " {name}"),
            Self::TimeInPast { by } | Self::TimeInFuture { by } => write!(f, " {} s", by.as_secs()),
            _ => Ok(()),
        }
    }
}

/// What a [`Diagnoser`](super::Diagnoser) found. Show it to operators, and never to the sender.
///
/// A diagnosis contains no secret, no tag and no part of the body. It may contain the name of a header, a known
/// template or prefix, and the names that you gave. It is displayed as a few lines of text, which may change: compare codes in a test. It cannot be converted to a response:
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
    /// The most hashes that one diagnosis computes.
    pub const MAX_HASHES: u64 = Work::MAX_HASHES;

    /// The most bytes that one diagnosis of a body within [`MAX_BODY_LEN`](Self::MAX_BODY_LEN) hashes: 512 MiB.
    pub const MAX_HASHED_BYTES: u64 = Work::MAX_BYTES;

    /// The longest body that is searched, in bytes: 1 MiB. For a longer one, the diagnosis only says whether its
    /// signature verifies.
    pub const MAX_BODY_LEN: usize = body::MAX_LEN;

    /// The most sets of other secrets that are tried.
    pub const MAX_OTHERS: usize = 8;

    /// Whether the signature verifies as it is.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// The causes: the signature verifies once all of them are undone. Those of the signature come first, then those
    /// of the secret, then those of the body. Empty if the signature verifies as it is, or if no cause is known.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// The suspicions, if no cause was proven, and why the delivery would be refused in spite of its signature.
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

    /// The label of the secret that verifies the signature, or would have, if that secret has one.
    #[must_use]
    pub fn secret_label(&self) -> Option<&str> {
        self.secret_label.as_deref()
    }

    /// Whether a search found no cause, and no hint explains it.
    fn leaves_no_more_to_say(&self) -> bool {
        let is_of_limits = |hint: &Hint| matches!(hint, Hint::TooManyOthers | Hint::Unfinished);
        self.work.hashes > 0 && self.hints.iter().all(is_of_limits)
    }

    /// The number of hashes that were computed: at most [`MAX_HASHES`](Self::MAX_HASHES).
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.work.hashes
    }

    /// The number of bytes that were hashed: at most [`MAX_HASHED_BYTES`](Self::MAX_HASHED_BYTES), or, for a body
    /// longer than [`MAX_BODY_LEN`](Self::MAX_BODY_LEN), its length for each secret of the webhook.
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
