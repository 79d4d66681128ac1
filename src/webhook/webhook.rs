//! From headers and raw bytes to a verified delivery.

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

/// More than a thousand times the size of a documented payload.
const DEFAULT_BODY_LIMIT: usize = 1 << 20;

/// A provider's webhook: the provider, and the secrets to verify its deliveries with.
///
/// Make one at start-up and share it. A clone is cheap and shares the keys.
///
/// You still have to do three things: pass the **raw** body (not one that was parsed and written again), limit
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
    pub(super) headers: WantedHeaders,
    pub(super) verifier: Verifier,
    tenant: Option<Arc<str>>,
    max_age: Option<Duration>,
    body_limit: usize,
    clock: Clock,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl<P: Provider + Default> Webhook<P> {
    /// Makes a webhook for a provider without settings, with one [`Secret`](crate::Secret) or
    /// several [`Secrets`].
    #[must_use]
    pub fn new(secrets: impl Into<Secrets>) -> Self {
        Self::for_provider(P::default(), secrets)
    }
}

impl<P: Provider> Webhook<P> {
    /// Makes a webhook for a provider with settings, such as
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

    /// Sets the tenant's name, for a service whose tenants bring their own secrets. The name becomes part of
    /// the [`IdempotencyKey`](crate::IdempotencyKey), so that no tenant can claim another's events. Use the one
    /// name by which your service knows the tenant, which never changes, and not the spelling in the request's
    /// path.
    ///
    /// Tenants that share a store share its capacity: give each tenant a [`MemoryStore`](crate::MemoryStore) of its
    /// own, or use a durable store.
    ///
    /// If a tenant does not exist, use [`Secrets::reject_all`]. The adapters' `verify_request_with` looks the secrets
    /// up only for a request with a well-formed signature. Without an adapter, call [`begin`](Webhook::begin) on a
    /// webhook that rejects all before the lookup: it checks only the head. The guide to
    /// [tenants](crate::guide::tenants) shows both.
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into().into());
        self
    }

    /// Sets a maximum age. A delivery is refused as [`Error::Stale`] if its signed timestamp is further
    /// than `max_age` in the past or in the future, is absent, or is not RFC 3339. Exactly `max_age` is accepted.
    ///
    /// There is no maximum age by default, because honest deliveries can be old: 3QPR's last retry comes 73
    /// minutes after the event, and a Quote3D resend days later. The defence against replays is to
    /// handle each key once, and to remember it for long enough.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the clock for the [maximum age](Webhook::with_max_age), for a test or for a platform without a clock.
    /// It is read only if a maximum age is set.
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

    /// Sets the longest body that adapters accept, in bytes. The default is 1 MiB.
    ///
    /// [`verify`](Webhook::verify) does not check it, because it gets a body that you have already collected.
    #[must_use]
    pub fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// The longest body that adapters accept, in bytes.
    #[must_use]
    pub fn body_limit(&self) -> usize {
        self.body_limit
    }

    /// The maximum age, if there is one.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// The tenant's name, if one is set.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The header with the signature.
    #[must_use]
    pub fn signature_header(&self) -> &HeaderName {
        &self.headers.signature
    }

    /// The header that must name the signed body's event, if the provider has one.
    #[must_use]
    pub fn event_header(&self) -> Option<&HeaderName> {
        self.headers.event.as_ref()
    }

    /// Verifies a delivery: first the signature of the raw bytes, and then the envelope,
    /// the event header and, if one is set, the maximum age.
    ///
    /// Nothing is allocated before the signature has matched, so refusing a forged delivery costs one
    /// hash of the body for each secret.
    ///
    /// # Errors
    /// Before the signature has matched: [`Error::MissingSignature`], [`Error::DuplicateSignature`],
    /// [`Error::MalformedSignature`] and [`Error::SignatureMismatch`]. Anyone can cause these.
    ///
    /// After the signature has matched: [`Error::MalformedPayload`], [`Error::MissingEventHeader`],
    /// [`Error::DuplicateEventHeader`], [`Error::EventMismatch`] and [`Error::Stale`].
    pub fn verify<'a>(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &'a [u8],
    ) -> Result<Delivery<'a, P>, Error> {
        self.logged(self.matched(headers, body).and_then(|secret| self.accept(secret, headers, body)))
    }

    /// Verifies only the signature, for a provider that signs in this way and whose bodies have another
    /// form. Returns which secret matched. The headers are not signed, so trust nothing in them.
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

    /// Signs a body with the newest secret, as the provider would, for testing your receiver. The signature
    /// displays as the value of the header.
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

    /// Returns the headers that the provider would send with a body, signed with the newest secret, for testing your
    /// receiver. [Testing a receiver](crate::guide::testing_a_receiver) shows it in each framework.
    ///
    /// They are the signature and, if the provider has an [`event_header`](Webhook::event_header), the event that the
    /// body names. If the body is not an envelope, it names no event, and only the signature is returned.
    ///
    /// | your test sends | add them with |
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

    /// Checks a request's head before its body is read: it must have one well-formed signature, and must not announce
    /// a body longer than the limit.
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

    /// Returns which secret signed a whole body. It writes nothing to the log.
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

    /// Makes the delivery, after every check. This is the only place that makes one. The matched secret is the proof
    /// that the signature matched.
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

    /// Logs the verdict on a delivery.
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

    /// Logs a refusal. The name of a tenant that does not exist is left out, because the sender chose it.
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

/// Whether the member can identify an event.
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
