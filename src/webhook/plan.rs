//! A provider's declaration, checked and taken apart once, when the webhook is made.

use http::HeaderName;

use crate::event::{Contents, Envelope, Members, Place};
use crate::provider::{Provider, check, scheme_with};
use crate::scheme::{Head, Reader, Scheme, SchemeError, Tolerance};

/// How a webhook reads its provider's deliveries.
pub(crate) struct Plan {
    pub(super) reader: Reader,
    pub(super) members: Members,
    /// The unsigned header that names the event.
    pub(super) event_header: Option<HeaderName>,
    /// Whether that header only confirms a member of the body.
    is_event_confirmed: bool,
    /// The places of the signed headers with the event's name and id.
    pub(super) name_place: Option<usize>,
    id_place: Option<usize>,
    pub(super) tolerance: Option<Tolerance>,
}

impl Plan {
    pub(super) fn of<P: Provider>(provider: &P) -> Result<Self, SchemeError> {
        let (scheme, envelope) = (provider.scheme(), provider.envelope());
        check(provider.name(), &scheme, &envelope)?;
        Self::new(&scheme_with(&scheme, &envelope), &envelope)
    }

    fn new(scheme: &Scheme<'_>, envelope: &Envelope<'_>) -> Result<Self, SchemeError> {
        let reader = Reader::new(scheme)?;
        let (header, is_event_confirmed) = (envelope.header(), envelope.confirming.is_some());
        let name_place = header.filter(|_| !is_event_confirmed).and_then(|header| reader.place_of(header));
        let event_header = header.filter(|_| name_place.is_none()).map(HeaderName::try_from).transpose();
        Ok(Self {
            members: Members::of(envelope),
            event_header: event_header
                .map_err(|_| SchemeError::new("event.name", "this is no header's name"))?,
            is_event_confirmed,
            name_place,
            id_place: match envelope.id {
                Some(Place::Header(header)) => reader.place_of(header),
                _ => None,
            },
            tolerance: scheme.tolerance,
            reader,
        })
    }

    /// Whether the event's name comes from a header that is not signed.
    pub(super) fn is_name_unsigned(&self) -> bool {
        self.event_header.is_some() && !self.is_event_confirmed
    }

    /// What the signed headers say of the event.
    pub(super) fn signed_values<'h>(&self, head: &Head<'h>) -> SignedValues<&'h [u8]> {
        let value = |place: Option<usize>| place.map(|place| head.value(place));
        SignedValues { name: value(self.name_place), id: value(self.id_place) }
    }
}

/// The values of signed headers that name and identify the event.
pub(crate) struct SignedValues<T> {
    name: Option<T>,
    id: Option<T>,
}

impl SignedValues<&[u8]> {
    /// Makes it independent of the request.
    pub(super) fn to_owned(&self) -> SignedValues<Box<[u8]>> {
        SignedValues { name: self.name.map(Into::into), id: self.id.map(Into::into) }
    }
}

impl<T: AsRef<[u8]>> SignedValues<T> {
    /// Adds them to the contents of the body. Returns `None` if one is not UTF-8.
    pub(super) fn add_to(&self, contents: &mut Contents<'_>) -> Option<()> {
        let text = |value: &T| std::str::from_utf8(value.as_ref()).ok().map(|text| text.to_owned().into());
        if let Some(name) = &self.name {
            contents.event = Some(text(name)?);
        }
        if let Some(id) = &self.id {
            contents.id = Some(text(id)?);
        }
        Some(())
    }
}
