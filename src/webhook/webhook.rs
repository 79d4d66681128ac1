//! From headers and raw bytes to a delivery that is proven.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;
use crate::event::Envelope;
use crate::mac::{MatchedSecret, Secrets, Signature, Verifier};
use crate::provider::Provider;
use crate::trace;
use crate::webhook::delivery::{Body, Delivery};
use crate::webhook::headers::{EventHeader, Headers, WantedHeaders};
use crate::webhook::partial_delivery::PartialDelivery;

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
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?);
/// # let body = br#"{"event":"file.deleted","timestamp":"2026-03-10T14:30:00.000Z","data":{}}"#;
/// # let headers = &webhook.signed_headers(body);
///
/// let delivery = webhook.verify(headers, body)?; // on an error, answer `error.status()`
/// println!("{:?} {}", delivery.event_name(), delivery.idempotency_key());
/// # Ok(())
/// # }
/// ```
pub struct Webhook<P> {
    provider: Arc<P>,
    headers: WantedHeaders,
    verifier: Verifier,
    tenant: Option<Arc<str>>,
    max_age: Option<Duration>,
    body_limit: usize,
    clock: Clock,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

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
        const { assert!(may_identify(P::EVENT_ID), "Provider::EVENT_ID is not `event`, `timestamp` or `data`") };
        Self {
            headers: WantedHeaders { signature: provider.signature_header(), event: provider.event_header() },
            provider: Arc::new(provider),
            verifier: Verifier::new(secrets),
            tenant: None,
            max_age: None,
            body_limit: DEFAULT_BODY_LIMIT,
            clock: Arc::new(SystemTime::now),
        }
    }

    /// Says whose webhook it is, where tenants of your service bring secrets of their own. The name
    /// stands in the [`IdempotencyKey`](crate::IdempotencyKey), so that no tenant can sign away
    /// another's events. It may be any text that never changes: the one name by which your service
    /// knows the tenant, and not whatever spelling of it stands in the request's path.
    ///
    /// Keys are apart, and the room in a store is not: give each tenant a [`MemoryStore`](crate::MemoryStore) of its
    /// own, or take a durable store.
    ///
    /// For a tenant that does not exist, take [`Secrets::reject_all`]. To look the secrets up only for a request with a
    /// well-formed signature, verify with the adapters' `verify_request_with`; without an adapter, call
    /// [`begin`](Webhook::begin) of a webhook of nobody before the lookup: it checks the head alone.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into().into());
        self
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

    /// Sets the clock that the [maximum age](Webhook::with_max_age) goes by, for a test or for a platform without one.
    /// It is read only where a maximum age is set.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Secret, Webhook, provider::ThreeQpr};
    ///
    /// let later = SystemTime::now() + Duration::from_secs(3600);
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)
    ///     .with_max_age(Duration::from_secs(300))
    ///     .with_clock(move || later);
    /// # Ok::<(), countersign::SecretError>(())
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
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

    /// The maximum age, if there is one.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Whose webhook it is, if that was said.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The header that the signature is read from.
    #[must_use]
    pub fn signature_header(&self) -> &HeaderName {
        &self.headers.signature
    }

    /// The header that has to name the signed body's event, if the provider has one.
    #[must_use]
    pub fn event_header(&self) -> Option<&HeaderName> {
        self.headers.event.as_ref()
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
    pub fn verify<'a>(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &'a [u8],
    ) -> Result<Delivery<'a, P>, Error> {
        self.logged(self.matched(headers, body).and_then(|secret| self.accept(secret, headers, body)))
    }

    /// Verifies the signature alone, for a provider that signs this way and whose bodies have no
    /// envelope. Says which secret matched; nothing of the headers is signed.
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`] and
    /// [`Error::SignatureMismatch`].
    pub fn verify_signature(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<MatchedSecret, Error> {
        self.matched(headers, body).inspect_err(|error| self.refused(error))
    }

    /// Begins a delivery whose body arrives in pieces, and refuses it before any of the body is read if its headers
    /// have no well-formed signature, or announce a body over the [`body_limit`](Webhook::body_limit).
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`], and
    /// [`Error::BodyTooLarge`]: whoever sent it.
    pub fn begin(&self, headers: &(impl Headers + ?Sized)) -> Result<PartialDelivery<P>, Error> {
        self.begin_unlogged(headers).inspect_err(|error| self.refused(error))
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

    /// The headers that the provider would send with a body, signed with the newest secret: for testing your
    /// receiver.
    ///
    /// They are the signature and, if the provider has an [`event_header`](Webhook::event_header), the event that the
    /// body names. If the body is not an envelope, there is no event to name, and the signature stands alone.
    ///
    /// | your test sends | add them by |
    /// |---|---|
    /// | headers and a body to [`verify`](Webhook::verify) or [`receive`](crate::Receiver::receive) | passing them |
    /// | an `http::Request`: axum, tower, hyper, AWS Lambda | `request.headers_mut().extend(headers)` |
    /// | an actix-web `TestRequest` | `insert_header((name.as_str(), value.as_bytes()))` for each |
    /// | a real request: reqwest, hyper | `.headers(headers)`, or as above |
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Quote3d};
    ///
    /// let webhook = Webhook::<Quote3d>::new(Secret::new("a-secret-for-the-tests")?);
    /// let body = br#"{"event":"file.deleted","timestamp":"2026-03-10T14:30:00.000Z","data":{}}"#;
    /// let headers = webhook.signed_headers(body);
    /// assert_eq!(headers["x-webhook-event"], "file.deleted");
    /// assert!(webhook.verify(&headers, body).is_ok());
    /// assert!(webhook.verify(&headers, b"{}").is_err());
    /// # Ok::<(), countersign::SecretError>(())
    /// ```
    #[must_use]
    pub fn signed_headers(&self, body: &[u8]) -> HeaderMap {
        let signature = HeaderValue::try_from(self.sign(body).to_string()).ok();
        let event = Envelope::parse(body, P::EVENT_ID).ok();
        let event = event.and_then(|envelope| HeaderValue::from_bytes(envelope.event.as_bytes()).ok());
        let named = [(Some(&self.headers.signature), signature), (self.headers.event.as_ref(), event)];
        named.into_iter().filter_map(|(name, value)| Some((name?.clone(), value?))).collect()
    }

    /// [`begin`](Webhook::begin) for an adapter, which logs at its end.
    pub(crate) fn begin_unlogged(
        &self,
        headers: &(impl Headers + ?Sized),
    ) -> Result<PartialDelivery<P>, Error> {
        let signature = self.check_head(headers)?;
        let event = self.headers.event(headers).to_owned();
        Ok(PartialDelivery::new(self.clone(), self.verifier.begin(signature), event))
    }

    /// What a request's head must have for its body to be read: one well-formed signature, and no longer body
    /// announced than the limit.
    pub(crate) fn check_head(&self, headers: &(impl Headers + ?Sized)) -> Result<Signature, Error> {
        let signature = self.signature_of(headers)?;
        self.headers.content_length(headers).map_or(Ok(()), |bytes| self.check_length(bytes))?;
        Ok(signature)
    }

    pub(crate) fn signature_of(&self, headers: &(impl Headers + ?Sized)) -> Result<Signature, Error> {
        self.headers.signature(headers)
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Error> {
        if length <= self.body_limit as u64 { Ok(()) } else { Err(self.too_large()) }
    }

    pub(crate) fn too_large(&self) -> Error {
        Error::BodyTooLarge { limit: self.body_limit }
    }

    /// Which secret signed a whole body. It writes nothing to the log.
    pub(crate) fn matched(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<MatchedSecret, Error> {
        Ok(self.verifier.verify(body, &self.signature_of(headers)?)?)
    }

    /// Checks everything but the signature of a whole body. It writes nothing to the log.
    pub(crate) fn accept<'a>(
        &self,
        secret: MatchedSecret,
        headers: &(impl Headers + ?Sized),
        body: &'a [u8],
    ) -> Result<Delivery<'a, P>, Error> {
        self.read(secret, &self.headers.event(headers), Body::Borrowed(body))
    }

    /// The one place where a delivery comes to be: last, after everything that may refuse it. The matched secret
    /// is the proof that the body was held against its signature.
    pub(super) fn read<'a>(
        &self,
        secret: MatchedSecret,
        event_header: &EventHeader<impl AsRef<[u8]>>,
        body: Body<'a>,
    ) -> Result<Delivery<'a, P>, Error> {
        let envelope = match &body {
            Body::Borrowed(bytes) => Envelope::parse(bytes, P::EVENT_ID)?,
            Body::Shared(bytes) => Envelope::parse(bytes, P::EVENT_ID)?.into_owned(),
        };
        event_header.check(&envelope.event)?;
        match self.max_age {
            Some(max_age) if !envelope.is_within(max_age, (self.clock)()) => Err(Error::Stale),
            _ => Ok(Delivery::new(body, envelope, secret, self.tenant.clone())),
        }
    }

    /// Tells the log what came of a delivery.
    pub(crate) fn logged<'a>(
        &self,
        verdict: Result<Delivery<'a, P>, Error>,
    ) -> Result<Delivery<'a, P>, Error> {
        match &verdict {
            Ok(delivery) => trace::verified(&delivery.named()),
            Err(error) => self.refused(error),
        }
        verdict
    }

    /// Tells the log of a refusal. A tenant that does not exist is only a name that a stranger chose.
    pub(crate) fn refused(&self, error: &Error) {
        let tenant = self.tenant().filter(|_| !self.verifier.rejects_all());
        trace::refused(P::NAME, tenant, error);
    }
}

impl<P> Clone for Webhook<P> {
    fn clone(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            headers: self.headers.clone(),
            verifier: self.verifier.clone(),
            tenant: self.tenant.clone(),
            max_age: self.max_age,
            body_limit: self.body_limit,
            clock: Arc::clone(&self.clock),
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

/// Whether this member can identify an event: every other than these can.
const fn may_identify(name: Option<&str>) -> bool {
    match name {
        Some(name) => !matches!(name.as_bytes(), b"event" | b"timestamp" | b"data"),
        None => true,
    }
}

impl<P: Provider> fmt::Debug for Webhook<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("provider", &P::NAME)
            .field("signature_header", &self.headers.signature)
            .field("event_header", &self.headers.event)
            .field("verifier", &self.verifier)
            .field("tenant", &self.tenant)
            .field("max_age", &self.max_age)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_providers_name_is_1_to_32_characters_that_separate_nothing_in_a_key() {
        let longest = "n".repeat(32);
        for name in ["a", "3qpr", "a-b_c.d", "az09-_.", &longest] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "Acme", "a:b", "a@b", "a b", "a/b", "a~", "é", "a\0", "a:", &format!("{longest}n")]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
