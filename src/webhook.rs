//! From headers and raw bytes to a delivery that is proven.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::envelope::Envelope;
use crate::error::Error;
use crate::event::{Event, EventData};
use crate::key::IdempotencyKey;
use crate::provider::Provider;
use crate::secret::Secrets;
use crate::signature::Signature;
use crate::verifier::{MatchedSecret, Verifier};

/// One provider's webhook at your service: the provider and the secrets, keyed once.
///
/// Make one at start-up and share it; a clone is cheap and shares the keys.
///
/// What you still have to do: give it the **raw** body (not a parsed and re-serialised one), bound
/// the body's size before you collect it (the adapters do), and handle each
/// [`idempotency_key`](Delivery::idempotency_key) once (a [`Receiver`](crate::Receiver) does).
///
/// ```
/// use countersign::{Secret, Webhook, provider::Quote3d};
/// # use http::{HeaderMap, HeaderValue};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
/// # let body = br#"{"event":"file.deleted","timestamp":"2026-03-10T14:30:00.000Z","data":{}}"#;
/// # let mut headers = HeaderMap::new();
/// # headers.insert("x-webhook-event", HeaderValue::from_static("file.deleted"));
/// # headers.insert("x-webhook-signature", webhook.sign(body).to_string().parse()?);
///
/// let delivery = webhook.verify(&headers, body)?; // on an error, answer `error.status()`
/// println!("{} {}", delivery.event_name(), delivery.idempotency_key());
/// # Ok(())
/// # }
/// ```
///
/// A delivery, an event and a key can be had in no other way than by verifying:
///
/// ```compile_fail,E0451
/// # use countersign::{Delivery, provider::Quote3d};
/// let delivery: Delivery<'static, Quote3d> = Delivery { ..todo!() };
/// ```
/// ```compile_fail,E0599
/// # use countersign::{Delivery, provider::Quote3d};
/// let delivery = Delivery::<'_, Quote3d>::new(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData::new("quote.failed", "{}"));
/// ```
/// ```compile_fail,E0451
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData { name: "quote.failed", text: "{}" });
/// ```
/// ```compile_fail,E0599
/// # use countersign::{Secret, Webhook, provider::Quote3d};
/// # let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard").unwrap());
/// let event = webhook.event(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey::new("quote3d", None, b"{}");
/// ```
/// ```compile_fail,E0423
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey("quote3d:sha256:".into());
/// ```
/// ```compile_fail,E0277
/// # use countersign::IdempotencyKey;
/// let key: IdempotencyKey = "quote3d:sha256:".parse().unwrap();
/// ```
pub struct Webhook<P> {
    provider: Arc<P>,
    signature_header: HeaderName,
    event_header: Option<HeaderName>,
    verifier: Verifier,
    max_age: Option<Duration>,
    body_limit: usize,
}

impl<P: Provider + Default> Webhook<P> {
    /// A webhook of a provider that needs no settings, with one [`Secret`](crate::Secret) or
    /// several [`Secrets`].
    #[must_use]
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        Self::for_provider(P::default(), secrets)
    }
}

impl<P: Provider> Webhook<P> {
    /// The longest body that adapters take unless told otherwise, in bytes: 1 MiB, some thousand
    /// times a documented payload.
    pub const DEFAULT_BODY_LIMIT: usize = 1 << 20;

    /// A webhook of a provider with settings, such as
    /// [`NowToPrint`](crate::provider::NowToPrint) with another header.
    #[must_use]
    pub fn for_provider(provider: P, secrets: impl Into<Secrets>) -> Self {
        const { assert!(is_name(P::NAME), "Provider::NAME is 1 to 32 of a-z, 0-9, '-', '_' and '.'") };
        Self {
            signature_header: provider.signature_header(),
            event_header: provider.event_header(),
            provider: Arc::new(provider),
            verifier: Verifier::new(secrets),
            max_age: None,
            body_limit: Self::DEFAULT_BODY_LIMIT,
        }
    }

    /// Refuses deliveries as [`Error::Stale`] whose signed timestamp is not within `max_age` of
    /// now, on either side, or is absent or unreadable. Exactly `max_age` is not too old.
    ///
    /// It is off unless you ask, since honest deliveries can be old: 3QPR's last retry comes 73
    /// minutes after the event, a Quote3D resend days later. The defence against replays is to
    /// handle each key once and to remember it for long enough.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the longest body that adapters take, in bytes.
    ///
    /// [`verify`](Webhook::verify) itself has the body already, and does not look at it.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The longest body that adapters take, in bytes.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The header that the signature is read from.
    #[must_use]
    pub fn signature_header(&self) -> &HeaderName {
        &self.signature_header
    }

    /// The header that has to name the signed body's event, if the provider has one.
    #[must_use]
    pub fn event_header(&self) -> Option<&HeaderName> {
        self.event_header.as_ref()
    }

    /// Verifies a delivery: the signature first, over the raw bytes, and only then the envelope,
    /// the event header and, where asked for, the age.
    ///
    /// Nothing is allocated before the signature has matched, so refusing forged traffic costs one
    /// hash of the body for each secret.
    ///
    /// # Errors
    /// Before the signature has matched, whoever sent it: [`Error::MissingSignature`],
    /// [`Error::DuplicateSignature`], [`Error::MalformedSignature`], [`Error::SignatureMismatch`].
    /// After, the provider: [`Error::MalformedPayload`], [`Error::MissingEventHeader`],
    /// [`Error::DuplicateEventHeader`], [`Error::EventMismatch`], [`Error::Stale`].
    pub fn verify<'a>(&self, headers: &HeaderMap, body: &'a [u8]) -> Result<Delivery<'a, P>, Error> {
        self.accept(&self.header_values(headers), Body::Borrowed(body), SystemTime::now)
    }

    /// [`verify`](Webhook::verify) at a time of your choice, for a test of
    /// [`with_max_age`](Webhook::with_max_age) or a platform without a clock.
    ///
    /// # Errors
    /// Those of [`verify`](Webhook::verify).
    pub fn verify_at<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a [u8],
        now: SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        self.accept(&self.header_values(headers), Body::Borrowed(body), || now)
    }

    /// [`verify_at`](Webhook::verify_at) for people on another header type: the values of the two
    /// headers as bytes.
    ///
    /// # Errors
    /// Those of [`verify`](Webhook::verify).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{HeaderValues, Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
    /// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
    /// # let signature = webhook.sign(body).to_string();
    /// # let request = [("Host", "example.org"), ("X-3QPR-Signature", &*signature)];
    /// let mut values = HeaderValues::new();
    /// for (name, value) in request {
    ///     if name.eq_ignore_ascii_case(webhook.signature_header().as_str()) {
    ///         values = values.with_signature(value.as_bytes());
    ///     }
    /// }
    /// let delivery = webhook.verify_values(&values, body, SystemTime::now())?;
    /// assert_eq!(delivery.id(), Some("evt_1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_values<'a>(
        &self,
        values: &HeaderValues<'_>,
        body: &'a [u8],
        now: SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        self.accept(values, Body::Borrowed(body), || now)
    }

    /// Verifies the signature alone, for a provider that signs this way and whose bodies have no
    /// envelope. Says which secret matched; nothing of the headers is signed.
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`] and
    /// [`Error::SignatureMismatch`].
    pub fn verify_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<MatchedSecret, Error> {
        self.verifier.verify(body, &self.header_values(headers).signature()?)
    }

    /// Signs a body with the newest secret, as the provider would: for testing your receiver. The
    /// value of the signature header is what the signature displays.
    ///
    /// ```
    /// # use countersign::{Secret, Webhook, provider::ThreeQpr};
    /// # let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
    /// let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
    /// let header = (webhook.signature_header(), webhook.sign(body).to_string());
    /// # Ok::<(), countersign::SecretError>(())
    /// ```
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> Signature {
        self.verifier.sign(body)
    }

    /// What can be refused before any of the body is read.
    #[cfg(feature = "axum")]
    pub(crate) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Error> {
        self.header_values(headers).signature().map(drop)
    }

    /// [`verify`](Webhook::verify) of a body that the delivery then shares.
    #[cfg(feature = "axum")]
    pub(crate) fn verify_shared(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Delivery<'static, P>, Error> {
        self.accept(&self.header_values(headers), Body::Shared(body), SystemTime::now)
    }

    /// The values of this webhook's headers in a request.
    fn header_values<'h>(&self, headers: &'h HeaderMap) -> HeaderValues<'h> {
        let mut values = HeaderValues::new();
        for value in headers.get_all(&self.signature_header) {
            values = values.with_signature(value.as_bytes());
        }
        if let Some(name) = &self.event_header {
            for value in headers.get_all(name) {
                values = values.with_event(value.as_bytes());
            }
        }
        values
    }

    /// The one way in which a delivery comes to be.
    fn accept<'a>(
        &self,
        values: &HeaderValues<'_>,
        body: Body<'a>,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        let matched = self.verifier.verify(body.as_slice(), &values.signature()?)?;
        let delivery = Delivery::read(body, matched)?;
        if self.event_header.is_some() && values.event()? != delivery.event.as_bytes() {
            return Err(Error::EventMismatch);
        }
        match self.max_age {
            Some(max_age) if !delivery.is_within(max_age, now()) => Err(Error::Stale),
            _ => Ok(delivery),
        }
    }
}

impl<P> Clone for Webhook<P> {
    fn clone(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            signature_header: self.signature_header.clone(),
            event_header: self.event_header.clone(),
            verifier: self.verifier.clone(),
            max_age: self.max_age,
            body_limit: self.body_limit,
        }
    }
}

const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.') {
            return false;
        }
        at += 1;
    }
    !bytes.is_empty() && bytes.len() <= 32
}

impl<P: Provider> fmt::Debug for Webhook<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("provider", &P::NAME)
            .field("signature_header", &self.signature_header)
            .field("event_header", &self.event_header)
            .field("verifier", &self.verifier)
            .field("max_age", &self.max_age)
            .field("body_limit", &self.body_limit)
            .finish()
    }
}

/// The values of a request's signature and event headers, as bytes: what
/// [`Webhook::verify_values`] needs of a header type that is not `http`'s.
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

    fn signature(&self) -> Result<Signature, Error> {
        match self.signature {
            Occurrence::Never => Err(Error::MissingSignature),
            Occurrence::Once(value) => Signature::parse(value),
            Occurrence::Repeated => Err(Error::DuplicateSignature),
        }
    }

    fn event(&self) -> Result<&'a [u8], Error> {
        match self.event {
            Occurrence::Never => Err(Error::MissingEventHeader),
            Occurrence::Once(value) => Ok(value),
            Occurrence::Repeated => Err(Error::DuplicateEventHeader),
        }
    }
}

/// A body, borrowed or shared.
#[derive(Clone)]
enum Body<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl Body<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Body::Borrowed(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}

/// A delivery that was verified: its being there is the proof.
///
/// It comes from [`Webhook::verify`] alone, and everything in it is from the signed body.
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
    provider: PhantomData<fn() -> P>,
}

impl<'a, P: Provider> Delivery<'a, P> {
    fn read(body: Body<'a>, secret: MatchedSecret) -> Result<Self, Error> {
        match body {
            Body::Borrowed(bytes) => {
                let Envelope { event, id, timestamp, data } = Envelope::parse(bytes)?;
                let data = data.map(|data| range_in(bytes, data));
                Ok(Self { body, event, id, timestamp, data, secret, provider: PhantomData })
            }
            Body::Shared(ref bytes) => {
                let Envelope { event, id, timestamp, data } = Envelope::parse(bytes)?;
                Ok(Self {
                    event: owned(event),
                    id: id.map(owned),
                    timestamp: timestamp.map(owned),
                    data: data.map(|data| range_in(bytes, data)),
                    body,
                    secret,
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

    /// The body's `id`, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The body's `timestamp`, where it has one that is RFC 3339.
    #[must_use]
    pub fn timestamp(&self) -> Option<SystemTime> {
        let text = self.timestamp.as_deref()?;
        OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
    }

    /// The body's `timestamp` as text, RFC 3339 or not.
    #[must_use]
    pub fn timestamp_text(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    /// The body's `data` as JSON text, and `null` where it has none.
    #[must_use]
    pub fn data(&self) -> &str {
        let text = self.data.clone().and_then(|range| self.body().get(range));
        // The body was found to be UTF-8 when it was read, so the second case does not occur.
        text.and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("null")
    }

    /// What to handle this event once by. It is made at each call, which hashes the body where it
    /// has no `id`.
    #[must_use]
    pub fn idempotency_key(&self) -> IdempotencyKey {
        IdempotencyKey::new(P::NAME, self.id(), self.body())
    }

    /// Which of the secrets it was signed with.
    #[must_use]
    pub fn secret(&self) -> &MatchedSecret {
        &self.secret
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
            provider: PhantomData,
        }
    }

    /// Whether the timestamp is there and at most `max_age` from `now`.
    fn is_within(&self, max_age: Duration, now: SystemTime) -> bool {
        self.timestamp().is_some_and(|timestamp| {
            let distance = now.duration_since(timestamp).unwrap_or_else(|later| later.duration());
            distance <= max_age
        })
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
            provider: PhantomData,
        }
    }
}

/// Without the body, which may hold what does not belong in a log.
impl<P: Provider> fmt::Debug for Delivery<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("provider", &P::NAME)
            .field("event", &self.event)
            .field("id", &self.id)
            .field("timestamp", &self.timestamp)
            .field("secret", &self.secret)
            .finish_non_exhaustive()
    }
}
