//! The header that names the event. It is not signed.

use std::fmt;

use crate::error::Error;
use crate::scheme::Occurrence;

/// The header that names the event, if the provider has one.
pub(crate) struct EventHeader<T>(Option<Occurrence<T>>);

impl<'h> EventHeader<&'h [u8]> {
    pub(crate) fn new(occurrence: Option<Occurrence<&'h [u8]>>) -> Self {
        Self(occurrence)
    }

    /// Makes it independent of the request.
    pub(crate) fn to_owned(&self) -> EventHeader<Box<[u8]>> {
        EventHeader(self.0.map(|occurrence| match occurrence {
            Occurrence::Never => Occurrence::Never,
            Occurrence::Once(value) => Occurrence::Once(value.into()),
            Occurrence::Repeated => Occurrence::Repeated,
        }))
    }
}

impl<T: AsRef<[u8]>> EventHeader<T> {
    /// Checks that the header agrees with the signed body.
    pub(crate) fn check(&self, event: &str) -> Result<(), Error> {
        match self.value()? {
            Some(value) if value != event.as_bytes() => Err(Error::EventMismatch),
            _ => Ok(()),
        }
    }

    /// Reads the name, which is not confirmed.
    pub(crate) fn name(&self) -> Result<Option<&str>, Error> {
        const MAX_LEN: usize = 255;
        let Some(value) = self.value()? else { return Ok(None) };
        let name = std::str::from_utf8(value).map_err(|_| Error::MissingEventHeader)?;
        let is_name = (1..=MAX_LEN).contains(&name.len()) && !name.contains(char::is_control);
        if is_name { Ok(Some(name)) } else { Err(Error::MissingEventHeader) }
    }

    fn value(&self) -> Result<Option<&[u8]>, Error> {
        match &self.0 {
            None => Ok(None),
            Some(Occurrence::Never) => Err(Error::MissingEventHeader),
            Some(Occurrence::Once(value)) => Ok(Some(value.as_ref())),
            Some(Occurrence::Repeated) => Err(Error::DuplicateEventHeader),
        }
    }
}

/// Leaves out the value, which the sender chose.
impl<T> fmt::Debug for EventHeader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHeader").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{EventHeader, Occurrence};

    #[test]
    fn the_value_is_not_shown() {
        let header = EventHeader::new(Some(Occurrence::Once(&b"chosen"[..])));
        assert_eq!(format!("{header:?}"), "EventHeader { .. }");
    }
}
