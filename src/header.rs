//! The two headers that a webhook looks at, as bytes.

use std::fmt;

use crate::error::Error;
use crate::signature::Signature;

/// The values of a request's signature and event headers, as bytes: what
/// [`Webhook::verify_values_at`](crate::Webhook::verify_values_at) needs of a header type that is not
/// `http`'s.
///
/// Call [`with_signature`](HeaderValues::with_signature) and
/// [`with_event`](HeaderValues::with_event) once for each time that the header occurs in the
/// request, so that a repeated header is refused and not silently dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeaderValues<'a> {
    signature: Occurrence<'a>,
    event: Occurrence<'a>,
}

#[derive(Clone, Copy, Default)]
enum Occurrence<'a> {
    #[default]
    Never,
    Once(&'a [u8]),
    Repeated,
}

/// Without the value: a signature that is right is as good as a delivery.
impl fmt::Debug for Occurrence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::Once(_) => "Once",
            Self::Repeated => "Repeated",
        })
    }
}

impl<'a> Occurrence<'a> {
    fn and(self, value: &'a [u8]) -> Self {
        match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
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

    pub(crate) fn signature(&self) -> Result<Signature, Error> {
        match self.signature {
            Occurrence::Never => Err(Error::MissingSignature),
            Occurrence::Once(value) => Signature::parse(value),
            Occurrence::Repeated => Err(Error::DuplicateSignature),
        }
    }

    pub(crate) fn event(&self) -> Result<&'a [u8], Error> {
        match self.event {
            Occurrence::Never => Err(Error::MissingEventHeader),
            Occurrence::Once(value) => Ok(value),
            Occurrence::Repeated => Err(Error::DuplicateEventHeader),
        }
    }
}
