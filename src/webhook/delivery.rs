//! A delivery that is proven, and what it tells.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::error::Error;
use crate::event::Envelope;
use crate::event::{Event, EventData};
use crate::mac::MatchedSecret;
use crate::provider::Provider;
use crate::store::IdempotencyKey;
use crate::trace::Named;

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
    envelope: Envelope<'a>,
    secret: MatchedSecret,
    tenant: Option<Arc<str>>,
    provider: PhantomData<fn() -> P>,
}

impl<'a, P: Provider> Delivery<'a, P> {
    /// Only [`Webhook::read`](crate::Webhook) calls it, with what has passed every check.
    pub(super) fn new(
        body: Body<'a>,
        envelope: Envelope<'a>,
        secret: MatchedSecret,
        tenant: Option<Arc<str>>,
    ) -> Self {
        Self { body, envelope, secret, tenant, provider: PhantomData }
    }

    /// Reads the typed event.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`], when the data of a known event lacks a documented field: the
    /// provider's doing. The delivery is still authentic, and its body still here.
    pub fn event(&self) -> Result<P::Event, Error> {
        P::Event::from_data(EventData::new(&self.envelope.event, self.data()))
    }

    /// The event's name, such as `quote.completed`.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.envelope.event
    }

    /// What identifies the event in the body, where the provider documents such a member
    /// ([`Provider::EVENT_ID`]) and the body has it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.envelope.id.as_deref()
    }

    /// The body's `timestamp`, where it has one that is RFC 3339.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.envelope.time()
    }

    /// The body's `timestamp` as text, RFC 3339 or not.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        self.envelope.timestamp.as_deref()
    }

    /// The body's `data` as JSON text, and `null` where it has none. It is well-formed, and no more than
    /// that was looked at: [`Json`](crate::Json) says what it may still contain.
    #[must_use]
    pub fn data(&self) -> &str {
        self.envelope.data.as_deref().unwrap_or("null")
    }

    /// What to handle this event once by. It is made at each call, which hashes the body where it
    /// has no [`id`](Delivery::id): the body's hash is the key then.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::new(P::NAME, self.tenant(), self.id(), self.body())
    }

    /// Which of the secrets it was signed with.
    #[must_use]
    pub fn matched_secret(&self) -> &MatchedSecret {
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
            envelope: self.envelope.into_owned(),
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
}

impl<P> Clone for Delivery<'_, P> {
    fn clone(&self) -> Self {
        Self {
            body: self.body.clone(),
            envelope: self.envelope.clone(),
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
            .field("event", &self.envelope.event)
            .field("id", &self.envelope.id)
            .field("timestamp", &self.envelope.timestamp)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
