//! A verified delivery, and its parts.

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

/// A verified delivery: holding one is the proof that the signature matched.
///
/// [`Webhook::verify`](crate::Webhook::verify) and [`PartialDelivery::finish`](crate::PartialDelivery::finish) return
/// one, and everything in it comes from the signed body. `verify` does not read the data;
/// [`event`](Delivery::event) does. A service can therefore store the [`body`](Delivery::body) first and read it later.
#[must_use = "a delivery is verified, but not handled"]
pub struct Delivery<'a, P> {
    body: Body<'a>,
    envelope: Envelope<'a>,
    secret: MatchedSecret,
    tenant: Option<Arc<str>>,
    provider: PhantomData<fn() -> P>,
}

impl<'a, P: Provider> Delivery<'a, P> {
    /// Makes a delivery. Only `Webhook::read` calls this, after every check.
    pub(super) fn new(
        body: Body<'a>,
        envelope: Envelope<'a>,
        secret: MatchedSecret,
        tenant: Option<Arc<str>>,
    ) -> Self {
        Self { body, envelope, secret, tenant, provider: PhantomData }
    }

    /// Returns the typed event.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`] if the data of a known event lacks a documented field. The delivery is
    /// still authentic, and its body is still here.
    pub fn event(&self) -> Result<P::Event, Error> {
        P::Event::from_data(EventData::new(&self.envelope.event, self.data()))
    }

    /// The event's name, such as `quote.completed`.
    #[must_use]
    pub fn event_name(&self) -> &str {
        &self.envelope.event
    }

    /// The event's id, if the provider documents one ([`Provider::EVENT_ID`]) and the body has it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.envelope.id.as_deref()
    }

    /// The body's `timestamp`, if it has one in RFC 3339.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.envelope.time()
    }

    /// The body's `timestamp` as text, in any format.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        self.envelope.timestamp.as_deref()
    }

    /// The body's `data` as JSON text, or `null` if it has none. The text is well-formed, and nothing else
    /// was checked: [`Json`](crate::Json) lists what it may still contain.
    #[must_use]
    pub fn data(&self) -> &str {
        self.envelope.data.as_deref().unwrap_or("null")
    }

    /// The key that identifies the event. Each call makes it anew. If the body has no [`id`](Delivery::id), the key
    /// is the body's hash, and the call hashes the body.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::new(P::NAME, self.tenant(), self.id(), self.body())
    }

    /// The secret that matched, by position and label. It contains nothing of the secret itself.
    #[must_use]
    pub fn matched_secret(&self) -> &MatchedSecret {
        &self.secret
    }

    /// The tenant's name, if the [`Webhook`](crate::Webhook) has one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The raw body, as it was signed.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.body.as_slice()
    }

    /// Makes the delivery independent of the request's buffer, so that it can move to another task. This
    /// copies the body, unless it is already shared.
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

    /// The names for the log.
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

/// Leaves out the body, which may contain data that does not belong in a log.
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
