//! Why a delivery was refused.

use std::error::Error as StdError;

use crate::mac::{MalformedSignature, SecretError, SignatureMismatch};
use crate::scheme::SchemeError;

/// Any error, behind `source()`: no dependency's type is part of this crate's errors.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a delivery was refused.
///
/// [`status`](Error::status) is the HTTP status to answer with, and [`code`](Error::code) is a word
/// that the caller may see. Log the error, and send only the code. No message and no `Debug`
/// contains a secret or the correct tag. The `source()`, and therefore the `Debug`, may quote a value
/// of a body whose signature has matched.
///
/// ```
/// use countersign::Error;
///
/// let error = Error::SignatureMismatch;
/// assert_eq!(error.status(), 401);
/// assert_eq!(error.code(), "signature_mismatch");
/// assert_eq!(error.to_string(), "the signature does not match the body");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no signature header. The sender did not sign, or a proxy dropped the header.
    #[error("the signature header is missing")]
    MissingSignature,

    /// The signature header, or another header that the scheme names, occurs more than once, so it is ambiguous.
    #[error("the signature header occurs more than once")]
    DuplicateSignature,

    /// The headers of the signature are not exactly as the scheme says: no tag in its canonical form, more than 16 of
    /// them, a time in another form, or a signed header that is absent.
    #[error("the signature is not in the form that the provider writes")]
    MalformedSignature,

    /// The signature is well formed, but belongs to another body or another secret. The error has no
    /// detail on purpose: a more precise answer would help only a forger. The guide to
    /// [statuses](crate::guide::statuses#a-delivery-is-refused-with-signature_mismatch) says how to find the reason.
    #[error("the signature does not match the body")]
    SignatureMismatch,

    /// The body is signed, but is not an event envelope. An envelope is a JSON object with a string `event`, in
    /// which `id` and `timestamp` are absent, strings or null, and no key is repeated. The source says what is
    /// wrong.
    #[error("the body is signed, but is not an event envelope")]
    #[non_exhaustive]
    MalformedPayload {
        /// What the parser found, with line and column.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The provider names the event in a header, but the header is absent, or is no name: 1 to 255 bytes of UTF-8
    /// without control characters.
    #[error("the event header is missing")]
    MissingEventHeader,

    /// The provider's event header occurs more than once.
    #[error("the event header occurs more than once")]
    DuplicateEventHeader,

    /// The event header, which is not signed, names another event than the signed body.
    #[error("the event header names another event than the signed body")]
    EventMismatch,

    /// A maximum age is set, or the scheme has a tolerance, and the signed timestamp is further than that in the past or
    /// in the future, is absent, or is not a time.
    #[error("the signed timestamp is not within the maximum age")]
    Stale,

    /// The data of a known event lacks a documented field, or the field has another type. The
    /// delivery is authentic: keep its bytes. The `source()` names the field.
    #[error("the data of `{event}` is not as documented")]
    #[non_exhaustive]
    InvalidEvent {
        /// The event's name.
        event: String,
        /// Which field is missing or wrong, with its line and column within the data.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The body is longer than the limit. Adapters refuse it before they have read it all.
    #[error("the body is longer than {limit} bytes")]
    #[non_exhaustive]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },

    /// The body did not arrive whole: the connection broke, or the sender hung up. Only code that reads the
    /// body, such as an adapter, returns it. [`Error::incomplete_body`] makes it.
    #[error("the body did not arrive whole")]
    #[non_exhaustive]
    IncompleteBody {
        /// What the connection reported.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The signing secrets could not be loaded: your lookup failed, or the application has none. The delivery was not
    /// verified. [`Error::secret_unavailable`] makes it.
    #[error("the signing secrets could not be loaded")]
    #[non_exhaustive]
    SecretUnavailable {
        /// The reason.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// Makes the error of a body that could not be read to its end, for code that reads bodies itself.
    #[must_use]
    pub fn incomplete_body(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::IncompleteBody { source: source.into() }
    }

    /// Makes the error of secrets that could not be loaded, for a service whose tenants bring their own.
    ///
    /// If a tenant does not exist, use [`Secrets::reject_all`](crate::Secrets::reject_all) instead.
    #[must_use]
    pub fn secret_unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::SecretUnavailable { source: source.into() }
    }

    /// The error's code, which never changes: for the response, for logs and for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingSignature => "missing_signature",
            Self::DuplicateSignature => "duplicate_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::SignatureMismatch => "signature_mismatch",
            Self::MalformedPayload { .. } => "malformed_payload",
            Self::MissingEventHeader => "missing_event_header",
            Self::DuplicateEventHeader => "duplicate_event_header",
            Self::EventMismatch => "event_mismatch",
            Self::Stale => "stale",
            Self::InvalidEvent { .. } => "invalid_event",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::IncompleteBody { .. } => "incomplete_body",
            Self::SecretUnavailable { .. } => "secret_unavailable",
        }
    }

    /// The HTTP status to answer with: 401 until the signature has matched, 400 or 422 afterwards,
    /// 413 for a body over the limit, and 503 if there are no secrets to verify with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::MissingSignature
            | Self::DuplicateSignature
            | Self::MalformedSignature
            | Self::SignatureMismatch => 401,
            Self::MalformedPayload { .. }
            | Self::MissingEventHeader
            | Self::DuplicateEventHeader
            | Self::EventMismatch
            | Self::Stale
            | Self::IncompleteBody { .. } => 400,
            Self::BodyTooLarge { .. } => 413,
            Self::InvalidEvent { .. } => 422,
            Self::SecretUnavailable { .. } => 503,
        }
    }
}

/// A webhook that could not be made for a tenant is answered as [`Error::SecretUnavailable`].
impl From<SetupError> for Error {
    fn from(error: SetupError) -> Self {
        Self::secret_unavailable(error)
    }
}

/// Why a [`Webhook`](crate::Webhook) could not be made.
///
/// ```
/// use countersign::{Secret, Webhook, provider::StandardWebhooks};
///
/// let secret = Secret::new("whsec_not base64 at all")?;
/// let error = Webhook::<StandardWebhooks>::new(secret).unwrap_err();
/// let expected = "the secret is not in base64, with or without `whsec_`, as the provider's scheme expects";
/// assert_eq!(error.to_string(), expected);
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A secret was refused.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The provider's scheme or envelope makes no sense.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

impl From<MalformedSignature> for Error {
    fn from(_: MalformedSignature) -> Self {
        Self::MalformedSignature
    }
}

impl From<SignatureMismatch> for Error {
    fn from(_: SignatureMismatch) -> Self {
        Self::SignatureMismatch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors that only adapters make. `tests/verify/errors.rs` pins the others.
    #[test]
    fn errors_of_a_body() {
        let error = Error::BodyTooLarge { limit: 1_048_576 };
        assert_eq!((error.code(), error.status()), ("body_too_large", 413));
        assert_eq!(error.to_string(), "the body is longer than 1048576 bytes");
        let error = Error::IncompleteBody { source: "the connection broke".into() };
        assert_eq!((error.code(), error.status()), ("incomplete_body", 400));
        assert_eq!(error.to_string(), "the body did not arrive whole");
        assert_eq!(error.source().unwrap().to_string(), "the connection broke");
    }
}
