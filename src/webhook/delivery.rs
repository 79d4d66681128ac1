//! A verified delivery, and its parts.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::event::{Contents, Event, EventData};
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
/// one, and everything in it is signed, except for a name that [`event_name_source`](Delivery::event_name_source)
/// reports as unsigned. `verify` does not read the data;
/// [`event`](Delivery::event) does. A service can therefore store the [`body`](Delivery::body) first and read it later.
#[must_use = "a delivery is verified, but not handled"]
pub struct Delivery<'a, P> {
    provider: Arc<P>,
    body: Body<'a>,
    contents: Contents<'a>,
    name_source: EventNameSource,
    secret: MatchedSecret,
    signed_at: Option<SystemTime>,
    tenant: Option<Arc<str>>,
    /// What answers it, if it is the provider's verification of the endpoint.
    challenge_response: Option<Arc<str>>,
}

/// Where the name of a delivery's event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventNameSource {
    /// From something that is signed: the body, or a signed header.
    Signed,
    /// From a header that is not signed: whoever can replay a delivery can change it. It selects the event's type.
    /// Use it for no other decision.
    Unsigned,
    /// The delivery does not name an event.
    Absent,
}

impl<'a, P: Provider> Delivery<'a, P> {
    /// Makes a delivery. Only `Webhook::read` calls this, after all checks.
    pub(super) fn new(
        provider: Arc<P>,
        body: Body<'a>,
        contents: Contents<'a>,
        name_source: EventNameSource,
        secret: MatchedSecret,
        signed_at: Option<SystemTime>,
        tenant: Option<Arc<str>>,
    ) -> Self {
        Self { provider, body, contents, name_source, secret, signed_at, tenant, challenge_response: None }
    }

    pub(super) fn with_challenge_response(self, answer: Option<String>) -> Self {
        Self { challenge_response: answer.map(Arc::from), ..self }
    }

    /// Returns the body to answer with, as JSON, if the delivery is the provider's verification of the endpoint: Slack's
    /// `url_verification` and Zoom's `endpoint.url_validation`. For every other delivery, it returns `None`.
    ///
    /// A [`Receiver`](crate::Receiver) and the adapters' endpoints answer it themselves
    /// ([`Outcome::Challenge`](crate::Outcome::Challenge)). Without them, answer with status 200, and do not handle it.
    ///
    /// The webhook that verified the delivery makes the answer, with the secret that matched. A token is answered only if it
    /// is 1 to 128 letters, digits, `-` and `_`. The signed bytes of a delivery contain other characters, so that the MAC
    /// of a token is never the signature of a delivery. (A provider of your own with opaque bodies gets no MAC.)
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Slack};
    ///
    /// let webhook = Webhook::<Slack>::new(Secret::new("8f742231b10e8888abcd99yyyzzz85a5")?)?;
    /// let body = br#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY","type":"url_verification"}"#;
    /// let delivery = webhook.verify(&webhook.signed_headers(body), body)?;
    /// assert_eq!(delivery.challenge_response(), Some(r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY"}"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn challenge_response(&self) -> Option<&str> {
        self.challenge_response.as_deref()
    }

    /// Returns the typed event.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`] if the data of a known event lacks a documented field. The delivery is
    /// still authentic, and its body is still here.
    pub fn event(&self) -> Result<P::Event, Error> {
        P::Event::from_data(EventData::new(self.event_name(), self.data()))
    }

    /// Reads the data as any type of serde's, such as one of another crate.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`] if it is not one.
    ///
    /// ```
    /// # use countersign::{Secret, Webhook, provider::ThreeQpr};
    /// # let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = br#"{"event":"scan.created","id":"evt_1","data":{"country":"US"}}"#;
    /// # let headers = webhook.signed_headers(body);
    /// let delivery = webhook.verify(&headers, body)?;
    /// let data: std::collections::BTreeMap<String, String> = delivery.data_as()?;
    /// assert_eq!(data["country"], "US");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, Error> {
        EventData::new(self.event_name(), self.data()).parse()
    }

    /// The event's name, such as `quote.completed`, or an empty text if the delivery names none.
    #[must_use]
    pub fn event_name(&self) -> &str {
        self.contents.event.as_deref().unwrap_or_default()
    }

    /// Whether the event's name is signed.
    #[must_use]
    pub fn event_name_source(&self) -> EventNameSource {
        self.name_source
    }

    /// The event's id, if the provider documents one (its [`Envelope`](crate::Envelope) says where) and the delivery
    /// has it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.contents.id.as_deref()
    }

    /// The event's time, if the body has one in RFC 3339, or as a number where the provider writes numbers.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        self.contents.time()
    }

    /// The event's time as text, in any format.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        self.contents.timestamp.as_deref()
    }

    /// The time of the signature, if the provider's scheme has one. A retry may be signed anew, with another time.
    #[must_use]
    pub fn signed_at(&self) -> Option<SystemTime> {
        self.signed_at
    }

    /// The event's data as JSON text (a member of the body, or all of it), or `null` if the body has none.
    /// The text is well-formed, and was not checked further: [`Json`](crate::Json) lists what it may still contain.
    #[must_use]
    pub fn data(&self) -> &str {
        self.contents.data.as_deref().unwrap_or("null")
    }

    /// The key that identifies the event. Each call makes it anew. If the body has no [`id`](Delivery::id), the key
    /// is the body's hash, and the call hashes the body.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        let unsigned = (self.name_source == EventNameSource::Unsigned).then(|| self.event_name());
        IdempotencyKey::new(self.provider.name(), self.tenant(), self.id(), unsigned, self.body())
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
            provider: self.provider,
            contents: self.contents.into_owned(),
            name_source: self.name_source,
            secret: self.secret,
            signed_at: self.signed_at,
            tenant: self.tenant,
            challenge_response: self.challenge_response,
        }
    }

    /// The names for the log.
    pub(crate) fn named(&self) -> Named<'_> {
        Named {
            provider: self.provider.name(),
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
            provider: Arc::clone(&self.provider),
            contents: self.contents.clone(),
            name_source: self.name_source,
            secret: self.secret.clone(),
            signed_at: self.signed_at,
            tenant: self.tenant.clone(),
            challenge_response: self.challenge_response.clone(),
        }
    }
}

/// Leaves out the body, which may contain data that does not belong in a log.
impl<P: Provider> fmt::Debug for Delivery<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &self.provider.name())
            .field("tenant", &self.tenant)
            .field("event", &self.event_name())
            .field("id", &self.contents.id)
            .field("timestamp", &self.contents.timestamp)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
