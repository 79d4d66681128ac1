//! Where an event's name, id, time and data stand in a delivery, as constant data.

/// Where an event's name, id, time and data stand in a delivery.
///
/// [`new`](Envelope::new) is a JSON object with a string `event`, perhaps an `id` and a `timestamp` that are strings or
/// null, and perhaps `data`. Each method changes one part.
///
/// ```
/// use countersign::Envelope;
///
/// const ACME: Envelope<'static> = Envelope::new().with_name("type").with_id("event_id").with_time("created");
/// // Name it in a provider: `const ENVELOPE: Envelope<'static> = ACME;`
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Envelope<'a> {
    pub(crate) name: Name<'a>,
    /// An unsigned header that must agree with the member that names the event.
    pub(crate) confirming: Option<&'a str>,
    pub(crate) id: Option<Place<'a>>,
    pub(crate) time: Option<&'a str>,
    pub(crate) is_time_numeric: bool,
    pub(crate) data: Option<&'a str>,
    pub(crate) is_opaque: bool,
}

/// Where the event's name stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Name<'a> {
    Nowhere,
    Member(&'a str),
    /// A member that need not be there.
    OptionalMember(&'a str),
    /// A header, signed or not.
    Header(&'a str),
}

/// Where the event's id stands.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Member(&'a str),
    /// A header, which must be signed.
    Header(&'a str),
}

impl Default for Envelope<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Envelope<'a> {
    /// A JSON object with the members `event`, `id`, `timestamp` and `data`, of which only the first must be there.
    pub const fn new() -> Self {
        Self {
            name: Name::Member("event"),
            confirming: None,
            id: Some(Place::Member("id")),
            time: Some("timestamp"),
            is_time_numeric: false,
            data: Some("data"),
            is_opaque: false,
        }
    }

    /// A body that is never parsed, because it is no JSON object. The delivery has no name, id, time or data. Its key is
    /// the body's SHA-256.
    pub const fn opaque() -> Self {
        Self {
            name: Name::Nowhere,
            confirming: None,
            id: None,
            time: None,
            is_time_numeric: false,
            data: None,
            is_opaque: true,
        }
    }

    /// Sets the member that names the event, a string.
    pub const fn with_name(mut self, member: &'a str) -> Self {
        self.name = Name::Member(member);
        self
    }

    /// Sets the member that names the event, a string that may be absent.
    pub const fn with_optional_name(mut self, member: &'a str) -> Self {
        self.name = Name::OptionalMember(member);
        self
    }

    /// Sets the header that names the event. The name is signed only if the scheme's template has the header. Otherwise
    /// it selects the event's type and is hashed into the key of an event without an id, and
    /// [`Delivery::event_name_source`](crate::Delivery::event_name_source) reports that it is unsigned.
    pub const fn with_name_header(mut self, header: &'a str) -> Self {
        self.name = Name::Header(header);
        self
    }

    /// Sets a header that must name the same event as the member, so that a member is needed. Each delivery must then
    /// have the header once.
    pub const fn with_confirming_header(mut self, header: &'a str) -> Self {
        self.confirming = Some(header);
        self
    }

    /// The header that names the event, if there is one.
    #[must_use]
    pub const fn header(&self) -> Option<&'a str> {
        match self.name {
            Name::Header(header) => Some(header),
            _ => self.confirming,
        }
    }

    /// Removes the event's name: a delivery does not name its event.
    pub const fn without_name(mut self) -> Self {
        self.name = Name::Nowhere;
        self
    }

    /// Sets the member that identifies the event, a string or null.
    ///
    /// Only do so if the documentation promises that no two events share the value: the second event would be
    /// answered as a duplicate, and lost.
    pub const fn with_id(mut self, member: &'a str) -> Self {
        self.id = Some(Place::Member(member));
        self
    }

    /// Sets the header that identifies the event. It must stand in the scheme's template.
    pub const fn with_id_header(mut self, header: &'a str) -> Self {
        self.id = Some(Place::Header(header));
        self
    }

    /// Removes the event's id: the [`IdempotencyKey`](crate::IdempotencyKey) is then the SHA-256 of the
    /// body.
    pub const fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// Sets the member with the event's time: a string or null.
    pub const fn with_time(mut self, member: &'a str) -> Self {
        self.time = Some(member);
        self
    }

    /// Allows the event's time to be a number as well, of seconds or milliseconds since 1970.
    pub const fn with_numeric_time(mut self) -> Self {
        self.is_time_numeric = true;
        self
    }

    /// Removes the event's time.
    pub const fn without_time(mut self) -> Self {
        self.time = None;
        self
    }

    /// Sets the member with the event's data.
    pub const fn with_data(mut self, member: &'a str) -> Self {
        self.data = Some(member);
        self
    }

    /// Makes the whole body the event's data.
    pub const fn with_whole_body(mut self) -> Self {
        self.data = None;
        self
    }
}
