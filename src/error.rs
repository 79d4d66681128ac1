//! Why a delivery, a secret or a policy was refused.

use std::error::Error as StdError;

use crate::trace;

/// Any error, behind `source()`: no dependency's type is part of this crate's errors.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a delivery was refused.
///
/// [`status`](Error::status) is the HTTP status to answer with, and [`code`](Error::code) the one
/// word that may be told to the caller. Neither message nor `Debug` ever holds a secret or the tag
/// that would have been right. Log the error; send nothing but the code. Its `source()`, and so its
/// `Debug`, may quote a value of a body whose signature has matched.
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
    /// The signature header is absent. The sender did not sign, or a proxy dropped the header.
    #[error("the signature header is missing")]
    MissingSignature,

    /// The signature header occurs more than once, so no one value can be meant.
    #[error("the signature header occurs more than once")]
    DuplicateSignature,

    /// The signature header is not `sha256=` and 64 lower-case hex digits, and nothing else.
    #[error("the signature is not `sha256=` and 64 lower-case hex digits")]
    MalformedSignature,

    /// The signature is well formed and belongs to another body or another secret. There is no
    /// detail, on purpose: a more precise answer would help only a forger.
    #[error("the signature does not match the body")]
    SignatureMismatch,

    /// The body is signed, and is not an event's envelope: a JSON object with a string `event`, in which
    /// `id` and `timestamp` are strings or null, if they are there, and no key stands twice. The source says
    /// what is wrong.
    #[error("the body is signed, but is not an event envelope")]
    #[non_exhaustive]
    MalformedPayload {
        /// What the parser found, with line and column.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The provider names the event in a header, and the header is absent.
    #[error("the event header is missing")]
    MissingEventHeader,

    /// The provider's event header occurs more than once.
    #[error("the event header occurs more than once")]
    DuplicateEventHeader,

    /// The event header, which nobody signed, names another event than the signed body.
    #[error("the event header names another event than the signed body")]
    EventMismatch,

    /// A maximum age was asked for, and the signed timestamp lies further than that in the past or
    /// in the future, is absent, or is not RFC 3339.
    #[error("the signed timestamp is not within the maximum age")]
    Stale,

    /// The data of a known event lacks a documented field, or has it with another type. The
    /// delivery is authentic: keep its bytes, and look at `source()` for the field.
    #[error("the data of `{event}` is not as documented")]
    #[non_exhaustive]
    InvalidEvent {
        /// The event's name.
        event: String,
        /// Which field is missing or wrong, with its line and column within the data.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The body is longer than the limit, which adapters enforce before they have read it all.
    #[error("the body is longer than {limit} bytes")]
    #[non_exhaustive]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },

    /// The body did not arrive whole: the connection broke, or the sender hung up. Only what reads the
    /// body, such as an adapter, returns it, and makes it by [`Error::incomplete_body`].
    #[error("the body did not arrive whole")]
    #[non_exhaustive]
    IncompleteBody {
        /// What the connection reported.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// The secrets to verify with could not be had: your lookup of them failed, or the application was
    /// given none. Nothing was verified. Made by [`Error::secret_unavailable`].
    #[error("the secrets to verify with could not be had")]
    #[non_exhaustive]
    SecretUnavailable {
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Error {
    /// A body that could not be read to its end, for those who read it themselves. It is logged here,
    /// with the feature `tracing`.
    #[must_use]
    pub fn incomplete_body(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::IncompleteBody { source: source.into() };
        trace::unreadable((error.code(), error.status()), &error);
        error
    }

    /// Secrets that could not be looked up, for a service whose tenants bring their own. It is logged
    /// here, with the feature `tracing`.
    ///
    /// Not for a tenant that does not exist: that is [`Secrets::of_nobody`](crate::Secrets::of_nobody).
    #[must_use]
    pub fn secret_unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let error = Self::SecretUnavailable { source: source.into() };
        trace::unreadable((error.code(), error.status()), &error);
        error
    }

    /// One word for this error that never changes: for the response, for logs, for metrics.
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

    /// The HTTP status to answer with: 401 until the signature has matched, 400 or 422 after,
    /// 413 for a body over the limit, 503 where there are no secrets to verify with.
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

/// Why a secret was refused. The value itself is in no message and in no `Debug`.
///
/// ```
/// use countersign::{Secret, SecretError};
///
/// let error = Secret::new("changeme").unwrap_err();
/// assert!(matches!(error, SecretError::TooShort { .. }));
/// assert_eq!(error.to_string(), "the secret is shorter than 16 bytes");
///
/// let error = Secret::from_env("COUNTERSIGN_DOC_UNSET").unwrap_err();
/// assert_eq!(error.to_string(), "COUNTERSIGN_DOC_UNSET is not set");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment variable is not set.
    #[non_exhaustive]
    Unset {
        /// The variable's name.
        variable: String,
    },
    /// The environment variable's value is not Unicode.
    #[non_exhaustive]
    NotUnicode {
        /// The variable's name.
        variable: String,
    },
    /// The secret is empty, or shorter than [`Secret::MIN_LEN`](crate::Secret::MIN_LEN) bytes.
    #[non_exhaustive]
    TooShort {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// White space or a byte order mark stands at one of the secret's ends; most often it is the newline of an
    /// env file.
    #[non_exhaustive]
    Padded {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// Quotation marks surround the secret: not every reader of env files removes them.
    #[non_exhaustive]
    Quoted {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// The secret is a placeholder, which was to be replaced by the one that the provider issued: a phrase such as
    /// `your_secret_here`, a template's `${WEBHOOK_SECRET}`, one character sixteen times or more, or a binary key
    /// of zeros.
    #[non_exhaustive]
    Placeholder {
        /// The environment variable it came from, if it did.
        variable: Option<String>,
    },
    /// No secret at all was given.
    NoSecret,
    /// More than [`Secrets::MAX`](crate::Secrets::MAX) secrets were given.
    TooMany,
}

impl SecretError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unset { .. } => "secret_unset",
            Self::NotUnicode { .. } => "secret_not_unicode",
            Self::TooShort { .. } => "secret_too_short",
            Self::Padded { .. } => "secret_padded",
            Self::Quoted { .. } => "secret_quoted",
            Self::Placeholder { .. } => "secret_placeholder",
            Self::NoSecret => "no_secret",
            Self::TooMany => "too_many_secrets",
        }
    }

    /// Always 500: the service is configured wrongly, and its caller cannot help it. Best is to
    /// read the secrets at start-up, and not to start without them.
    #[must_use]
    pub fn status(&self) -> u16 {
        500
    }

    /// The same error, saying which environment variable the value came from.
    pub(crate) fn in_variable(self, name: &str) -> Self {
        let variable = Some(name.to_owned());
        match self {
            Self::TooShort { .. } => Self::TooShort { variable },
            Self::Padded { .. } => Self::Padded { variable },
            Self::Quoted { .. } => Self::Quoted { variable },
            Self::Placeholder { .. } => Self::Placeholder { variable },
            other => other,
        }
    }
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let subject = |variable: &Option<String>| match variable {
            Some(name) => format!("the secret in {name}"),
            None => "the secret".to_owned(),
        };
        match self {
            Self::Unset { variable } => write!(f, "{variable} is not set"),
            Self::NotUnicode { variable } => write!(f, "the secret in {variable} is not Unicode"),
            Self::TooShort { variable } => {
                write!(f, "{} is shorter than 16 bytes", subject(variable))
            }
            Self::Padded { variable } => {
                write!(f, "{} begins or ends with white space or a byte order mark", subject(variable))
            }
            Self::Quoted { variable } => write!(f, "{} is in quotation marks", subject(variable)),
            Self::Placeholder { variable } => {
                write!(f, "{} is a placeholder, not one that a provider issued", subject(variable))
            }
            Self::NoSecret => f.write_str("at least one secret is needed"),
            Self::TooMany => f.write_str("at most 8 secrets can be valid at once"),
        }
    }
}

impl StdError for SecretError {}

/// Why a lease or a retention was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A lease of no time would lapse before the handler begins.
    #[error("a lease must be longer than zero")]
    ZeroLease,
    /// A key that is not remembered is handled at every delivery.
    #[error("a retention must be longer than zero")]
    ZeroRetention,
    /// A key would be forgotten while the lease under which it was handled could still last.
    #[error("a retention must not be shorter than the lease")]
    RetentionShorterThanLease,
}

impl PolicyError {
    /// One word for this error that never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ZeroLease => "zero_lease",
            Self::ZeroRetention => "zero_retention",
            Self::RetentionShorterThanLease => "retention_shorter_than_lease",
        }
    }

    /// Always 503: nothing was claimed, so nothing may be acknowledged.
    #[must_use]
    pub fn status(&self) -> u16 {
        503
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that only adapters make; the others are pinned in `tests/errors.rs`.
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
