//! The headers that a webhook looks at, as bytes.

use std::fmt;

use crate::error::Error;
use crate::mac::Signature;

/// What a webhook looks at of a request's headers, for header types that are not `http`'s: the
/// signature and the event as bytes, and the length that the sender announced.
///
/// [`Webhook::header_values`](crate::Webhook::header_values) picks them out of all headers. By hand, call
/// [`with_signature`](HeaderValues::with_signature) and [`with_event`](HeaderValues::with_event) once
/// for each time that the header occurs in the request, so that a repeated header is refused and not
/// silently dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderValues<'a> {
    signature: Occurrence<&'a [u8]>,
    event: Occurrence<&'a [u8]>,
    content_length: Option<u64>,
}

/// How often a header occurs in a request, and its value where that is clear.
#[derive(Clone, Copy, Default)]
pub(crate) enum Occurrence<T> {
    #[default]
    Never,
    Once(T),
    Repeated,
}

/// Without the value: a signature that is right is as good as a delivery.
impl<T> fmt::Debug for Occurrence<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::Once(_) => "Once",
            Self::Repeated => "Repeated",
        })
    }
}

impl<T> Occurrence<T> {
    fn and(self, value: T) -> Self {
        match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        }
    }

    pub(crate) fn as_ref(&self) -> Occurrence<&T> {
        match self {
            Self::Never => Occurrence::Never,
            Self::Once(value) => Occurrence::Once(value),
            Self::Repeated => Occurrence::Repeated,
        }
    }

    pub(crate) fn map<U>(self, with: impl FnOnce(T) -> U) -> Occurrence<U> {
        match self {
            Self::Never => Occurrence::Never,
            Self::Once(value) => Occurrence::Once(with(value)),
            Self::Repeated => Occurrence::Repeated,
        }
    }
}

impl<'a> HeaderValues<'a> {
    /// Neither header.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an occurrence of the signature header.
    #[must_use]
    pub fn with_signature(mut self, value: &'a [u8]) -> Self {
        self.signature = self.signature.and(value);
        self
    }

    /// Adds an occurrence of the event header.
    #[must_use]
    pub fn with_event(mut self, value: &'a [u8]) -> Self {
        self.event = self.event.and(value);
        self
    }

    /// Sets the length of the body, in bytes, as the sender announced it. Only
    /// [`Webhook::start_values`](crate::Webhook::start_values), which has no body yet, looks at it.
    #[must_use]
    pub fn with_content_length(mut self, bytes: u64) -> Self {
        self.content_length = Some(bytes);
        self
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    pub(crate) fn signature(&self) -> Result<Signature, Error> {
        match self.signature {
            Occurrence::Never => Err(Error::MissingSignature),
            Occurrence::Once(value) => Signature::parse(value),
            Occurrence::Repeated => Err(Error::DuplicateSignature),
        }
    }

    pub(crate) fn event(&self) -> Occurrence<&'a [u8]> {
        self.event
    }
}
