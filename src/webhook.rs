//! From headers and raw bytes to a delivery that is proven.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "axum")]
use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use crate::delivery::{Body, Delivery};
use crate::error::Error;
use crate::header::HeaderValues;
use crate::provider::Provider;
use crate::secret::Secrets;
use crate::signature::Signature;
use crate::verifier::{MatchedSecret, Verifier};

/// Over a thousand times a documented payload.
const DEFAULT_BODY_LIMIT: usize = 1 << 20;

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
            body_limit: DEFAULT_BODY_LIMIT,
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

    /// Sets the longest body that adapters take, in bytes: 1 MiB unless told.
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
    /// let delivery = webhook.verify_values_at(&values, body, SystemTime::now())?;
    /// assert_eq!(delivery.id(), Some("evt_1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_values_at<'a>(
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
        if self.event_header.is_some() && values.event()? != delivery.event_name().as_bytes() {
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
