//! From headers and raw bytes to a delivery that is proven.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::Error;
use crate::event::Envelope;
use crate::mac::Secrets;
use crate::mac::Signature;
use crate::mac::{MatchedSecret, Verification, Verifier};
use crate::provider::Provider;
use crate::trace;
use crate::webhook::delivery::{Body, Delivery};
use crate::webhook::headers::{HeaderValues, Occurrence};

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
    signature_header: HeaderName,
    event_header: Option<HeaderName>,
    verifier: Verifier,
    tenant: Option<Arc<str>>,
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
            tenant: None,
            max_age: None,
            body_limit: DEFAULT_BODY_LIMIT,
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
    /// For a tenant that does not exist, take [`Secrets::of_nobody`]. To look the secrets up only for a request with a
    /// well-formed signature, verify with the adapters' `verify_request_with`; without an adapter, call
    /// [`start`](Webhook::start) of a webhook of nobody before the lookup: it checks the head alone.
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
        self.verify_values(&self.values_of(headers), body, SystemTime::now)
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
        self.verify_values(&self.values_of(headers), body, || now)
    }

    /// [`verify_at`](Webhook::verify_at) for people on another header type: what
    /// [`header_values`](Webhook::header_values) picks out of it.
    ///
    /// # Errors
    /// Those of [`verify`](Webhook::verify).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use countersign::{Secret, Webhook, provider::ThreeQpr};
    ///
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
    /// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
    /// # let signature = webhook.sign(body).to_string();
    /// # let request = [("Host", "example.org"), ("X-3QPR-Signature", &*signature)];
    /// let values = webhook.header_values(request.map(|(name, value)| (name, value.as_bytes())));
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
        self.verify_values(values, body, || now)
    }

    /// Verifies the signature alone, for a provider that signs this way and whose bodies have no
    /// envelope. Says which secret matched; nothing of the headers is signed.
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`] and
    /// [`Error::SignatureMismatch`].
    pub fn verify_signature(&self, headers: &HeaderMap, body: &[u8]) -> Result<MatchedSecret, Error> {
        self.check(&self.signature_values_of(headers), body).inspect_err(|error| self.refuse(error))
    }

    /// Picks this webhook's headers out of all of a request's, in whatever type they come. Give it
    /// every occurrence of every header, since a repeated one is refused; upper and lower case are one.
    #[must_use]
    pub fn header_values<'h, N: AsRef<str>>(
        &self,
        headers: impl IntoIterator<Item = (N, &'h [u8])>,
    ) -> HeaderValues<'h> {
        let mut values = HeaderValues::new();
        for (name, value) in headers {
            let is = |header: &HeaderName| name.as_ref().eq_ignore_ascii_case(header.as_str());
            if is(&self.signature_header) {
                values = values.with_signature(value);
            }
            if self.event_header.as_ref().is_some_and(is) {
                values = values.with_event(value);
            }
            if is(&CONTENT_LENGTH) {
                values = announced(values, value);
            }
        }
        values
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
        let event = Envelope::parse(body).ok();
        let event = event.and_then(|envelope| HeaderValue::from_bytes(envelope.event.as_bytes()).ok());
        let named = [(Some(&self.signature_header), signature), (self.event_header.as_ref(), event)];
        named.into_iter().filter_map(|(name, value)| Some((name?.clone(), value?))).collect()
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Error> {
        if length <= self.body_limit as u64 {
            return Ok(());
        }
        Err(self.too_large())
    }

    /// A body that is refused for its length, which the log is told.
    pub(crate) fn too_large(&self) -> Error {
        let error = Error::BodyTooLarge { limit: self.body_limit };
        self.refuse(&error);
        error
    }

    /// What a request's head has to be for its body to be read: one well-formed signature, and no more
    /// announced than the limit.
    pub(crate) fn check_head(&self, values: &HeaderValues<'_>) -> Result<Signature, Error> {
        let signature = values.signature().inspect_err(|error| self.refuse(error))?;
        values.content_length().map_or(Ok(()), |bytes| self.check_length(bytes))?;
        Ok(signature)
    }

    /// Begins to check a body.
    pub(crate) fn start_check(&self, signature: Signature) -> Verification {
        self.verifier.start(signature)
    }

    /// Tells the log. A tenant that does not exist is only what a stranger has called it.
    fn refuse(&self, error: &Error) {
        let tenant = self.tenant().filter(|_| !self.verifier.is_of_nobody());
        trace::refused(P::NAME, tenant, (error.code(), error.status()), error);
    }

    fn signature_values_of<'h>(&self, headers: &'h HeaderMap) -> HeaderValues<'h> {
        let mut values = HeaderValues::new();
        for value in headers.get_all(&self.signature_header) {
            values = values.with_signature(value.as_bytes());
        }
        values
    }

    pub(crate) fn values_of<'h>(&self, headers: &'h HeaderMap) -> HeaderValues<'h> {
        let mut values = self.signature_values_of(headers);
        if let Some(name) = &self.event_header {
            for value in headers.get_all(name) {
                values = values.with_event(value.as_bytes());
            }
        }
        values
    }

    fn verify_values<'a>(
        &self,
        values: &HeaderValues<'_>,
        body: &'a [u8],
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        self.accept(self.check(values, body), values.event(), Body::Borrowed(body), now)
    }

    /// Whose signature it is, without a word to the log.
    pub(crate) fn check(&self, values: &HeaderValues<'_>, body: &[u8]) -> Result<MatchedSecret, Error> {
        self.verifier.verify(body, &values.signature()?)
    }

    /// The one way in which a delivery comes to be: of a body that was just held against its signature.
    pub(crate) fn accept<'a>(
        &self,
        matched: Result<MatchedSecret, Error>,
        event_header: Occurrence<&[u8]>,
        body: Body<'a>,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        self.judge(matched, event_header, body, now)
            .inspect(|delivery| trace::verified(&delivery.named()))
            .inspect_err(|error| self.refuse(error))
    }

    /// What comes after the signature, without a word to the log.
    pub(crate) fn judge<'a>(
        &self,
        matched: Result<MatchedSecret, Error>,
        event_header: Occurrence<&[u8]>,
        body: Body<'a>,
        now: impl FnOnce() -> SystemTime,
    ) -> Result<Delivery<'a, P>, Error> {
        let delivery = Delivery::read(body, matched?, self.tenant.clone())?;
        if self.event_header.is_some() {
            match event_header {
                Occurrence::Never => return Err(Error::MissingEventHeader),
                Occurrence::Once(event) if event == delivery.event_name().as_bytes() => {}
                Occurrence::Once(_) => return Err(Error::EventMismatch),
                Occurrence::Repeated => return Err(Error::DuplicateEventHeader),
            }
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
            tenant: self.tenant.clone(),
            max_age: self.max_age,
            body_limit: self.body_limit,
        }
    }
}

/// With the value of a Content-Length header, of several the greatest; what is no number of bytes
/// says nothing.
pub(crate) fn announced<'h>(values: HeaderValues<'h>, length: &[u8]) -> HeaderValues<'h> {
    let bytes = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
    let longest = values.content_length().max(bytes);
    longest.map_or(values, |bytes| values.with_content_length(bytes))
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
            .field("tenant", &self.tenant)
            .field("max_age", &self.max_age)
            .field("body_limit", &self.body_limit)
            .finish()
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
