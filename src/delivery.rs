//! A delivery that is proven, and what it tells.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::envelope::Envelope;
use crate::error::Error;
use crate::event::{Event, EventData};
use crate::key::IdempotencyKey;
use crate::provider::Provider;
use crate::trace::Named;
use crate::verifier::MatchedSecret;

/// A body, borrowed or shared.
#[derive(Clone)]
pub(crate) enum Body<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl Body<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Body::Borrowed(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}

/// A delivery that was verified: its being there is the proof.
///
/// It comes from [`Webhook::verify`](crate::Webhook::verify) alone, and everything in it is from the signed body.
/// [`event`](Delivery::event) reads the data, which `verify` does not, so that a service in a hurry
/// can keep the [`body`](Delivery::body) first and read it later.
#[must_use = "a delivery is verified, but not handled"]
pub struct Delivery<'a, P> {
    body: Body<'a>,
    event: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    /// Where in the body the data stands.
    data: Option<std::ops::Range<usize>>,
    secret: MatchedSecret,
    tenant: Option<Arc<str>>,
    provider: PhantomData<fn() -> P>,
}

impl<'a, P: Provider> Delivery<'a, P> {
    /// Reads the envelope of a body whose signature has matched.
    pub(crate) fn read(
        body: Body<'a>,
        secret: MatchedSecret,
        tenant: Option<Arc<str>>,
    ) -> Result<Self, Error> {
        const { assert!(may_identify(P::EVENT_ID), "Provider::EVENT_ID is no `event`, `timestamp` or `data`") };
        match body {
            Body::Borrowed(bytes) => {
                let Envelope { event, id, timestamp, data } = Envelope::parse(bytes, P::EVENT_ID)?;
                let data = data.map(|data| range_in(bytes, data));
                Ok(Self { body, event, id, timestamp, data, secret, tenant, provider: PhantomData })
            }
            Body::Shared(ref bytes) => {
                let Envelope { event, id, timestamp, data } = Envelope::parse(bytes, P::EVENT_ID)?;
                Ok(Self {
                    event: owned(event),
                    id: id.map(owned),
                    timestamp: timestamp.map(owned),
                    data: data.map(|data| range_in(bytes, data)),
                    body,
                    secret,
                    tenant,
                    provider: PhantomData,
                })
            }
        }
    }

    /// Reads the typed event.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`], when the data of a known event lacks a documented field: the
    /// provider's doing. The delivery is still authentic, and its body still here.
    pub fn event(&self) -> Result<P::Event, Error> {
        P::Event::from_data(EventData::new(&self.event, self.data()))
    }

    /// The event's name, such as `quote.completed`.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.event
    }

    /// What identifies the event in the body, where the provider documents such a member
    /// ([`Provider::EVENT_ID`]) and the body has it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The body's `timestamp`, where it has one that is RFC 3339.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        let text = self.timestamp.as_deref()?;
        let since_epoch = OffsetDateTime::parse(text, &Rfc3339).ok()? - OffsetDateTime::UNIX_EPOCH;
        let distance = since_epoch.unsigned_abs();
        // Checked, since not every platform's clock reaches back to the year 0.
        if since_epoch.is_negative() {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }

    /// The body's `timestamp` as text, RFC 3339 or not.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    /// The body's `data` as JSON text, and `null` where it has none. It is well-formed, and no more than
    /// that was looked at: [`Json`](crate::Json) says what it may still contain.
    #[must_use]
    pub fn data(&self) -> &str {
        let text = self.data.clone().and_then(|range| self.body().get(range));
        // The body was found to be UTF-8 when it was read, so the second case does not occur.
        text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("null")
    }

    /// What to handle this event once by. It is made at each call, which hashes the body where it
    /// has no [`id`](Delivery::id): the body's hash is the key then.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::new(P::NAME, self.tenant(), self.id(), self.body())
    }

    /// Which of the secrets it was signed with.
    #[must_use]
    pub fn secret(&self) -> &MatchedSecret {
        &self.secret
    }

    /// Whose webhook it came to, if the [`Webhook`](crate::Webhook) says.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The raw body, as it was signed.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// The same delivery, independent of the request's buffer: to be handed to another task. Copies
    /// the body unless it is shared already.
    pub fn into_owned(self) -> Delivery<'static, P> {
        Delivery {
            body: Body::Shared(match self.body {
                Body::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
                Body::Shared(bytes) => bytes,
            }),
            event: owned(self.event),
            id: self.id.map(owned),
            timestamp: self.timestamp.map(owned),
            data: self.data,
            secret: self.secret,
            tenant: self.tenant,
            provider: PhantomData,
        }
    }

    /// What the log says of it.
    pub(crate) fn named(&self) -> Named<'_> {
        Named {
            provider: P::NAME,
            tenant: self.tenant(),
            event: self.event_name(),
            id: self.id(),
            secret: self.secret.label(),
            secret_position: self.secret.position(),
        }
    }

    /// Whether the timestamp is there and at most `max_age` from `now`.
    pub(crate) fn is_within(&self, max_age: Duration, now: SystemTime) -> bool {
        self.timestamp().is_some_and(|timestamp| {
            let distance = now.duration_since(timestamp).unwrap_or_else(|later| later.duration());
            distance <= max_age
        })
    }
}

/// Whether this member can identify an event, as every other than these.
const fn may_identify(name: Option<&str>) -> bool {
    match name {
        Some(name) => !matches!(name.as_bytes(), b"event" | b"timestamp" | b"data"),
        None => true,
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &str) -> std::ops::Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

impl<P> Clone for Delivery<'_, P> {
    fn clone(&self) -> Self {
        Self {
            body: self.body.clone(),
            event: self.event.clone(),
            id: self.id.clone(),
            timestamp: self.timestamp.clone(),
            data: self.data.clone(),
            secret: self.secret.clone(),
            tenant: self.tenant.clone(),
            provider: PhantomData,
        }
    }
}

/// Without the body, which may hold what does not belong in a log.
impl<P: Provider> fmt::Debug for Delivery<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &P::NAME)
            .field("tenant", &self.tenant)
            .field("event", &self.event)
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
