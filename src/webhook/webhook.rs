//! From headers and raw bytes to a verified delivery.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "tower")]
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, SetupError};
use crate::event::{Contents, check_object};
use crate::mac::{Keys, MatchedSecret, Secrets, hex_digits, sha256};
use crate::provider::{Provider, check};
use crate::scheme::{Head, Headers, MAX_HEADERS, Pieces, Sent, Tolerance, occurrence};
use crate::trace;
use crate::webhook::SigningOptions;
use crate::webhook::delivery::{Body, Delivery, EventNameSource};
use crate::webhook::event_header::EventHeader;
use crate::webhook::plan::{Plan, SignedValues};

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
/// let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard")?)?;
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
    pub(super) plan: Arc<Plan>,
    pub(super) keys: Keys,
    tenant: Option<Arc<str>>,
    max_age: Option<Duration>,
    body_limit: usize,
    clock: Clock,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl<P: Provider + Default> Webhook<P> {
    /// Makes a webhook for a provider without settings, with one [`Secret`](crate::Secret) or
    /// several [`Secrets`].
    ///
    /// # Errors
    /// [`SetupError::Secret`] if a secret does not spell a key in the encoding that the provider's scheme expects.
    pub fn new(secrets: impl Into<Secrets>) -> Result<Self, SetupError> {
        Self::for_provider(P::default(), secrets)
    }
}

impl<P: Provider> Webhook<P> {
    /// Makes a webhook for a provider with settings, such as
    /// [`NowToPrint`](crate::provider::NowToPrint) with another header.
    ///
    /// # Errors
    /// [`SetupError::Secret`] as in [`new`](Webhook::new), and [`SetupError::Scheme`] if the provider's scheme or
    /// envelope, as its settings make them, make no sense.
    pub fn for_provider(provider: P, secrets: impl Into<Secrets>) -> Result<Self, SetupError> {
        const {
            if let Err(error) = check(P::NAME, &P::SCHEME, &P::ENVELOPE) {
                panic!("{}", error.problem());
            }
        }
        let plan = Plan::of(&provider)?;
        let keys = Keys::new(&secrets.into(), plan.reader.algorithm(), provider.scheme().key)?;
        Ok(Self {
            plan: Arc::new(plan),
            keys,
            provider: Arc::new(provider),
            tenant: None,
            max_age: None,
            body_limit: DEFAULT_BODY_LIMIT,
            clock: Arc::new(SystemTime::now),
        })
    }

    /// Sets the tenant's name, for a service whose tenants bring their own secrets. The name becomes part of
    /// the [`IdempotencyKey`](crate::IdempotencyKey), so that no tenant can claim another's events. Use the one
    /// permanent name by which your service knows the tenant, and not the spelling in the request's path.
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
    /// than `max_age` in the past or in the future, is absent, or is not a time. Exactly `max_age` is accepted.
    ///
    /// The signed timestamp is the signature's, if the scheme has one; the maximum age then replaces the scheme's
    /// tolerance. Otherwise it is the body's.
    ///
    /// A scheme without a tolerance has no maximum age by default, because honest deliveries can be old: 3QPR's last retry comes 73
    /// minutes after the event, and a Quote3D resend days later. The defence against replays is to
    /// handle each key once, and to remember it for long enough.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the clock for the [maximum age](Webhook::with_max_age), for a test or for a platform without a clock.
    /// It is read only if a maximum age is set or the scheme has a
    /// tolerance, and to sign.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use countersign::{Secret, Webhook, provider::ThreeQpr};
    ///
    /// let later = SystemTime::now() + Duration::from_secs(3600);
    /// let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?
    ///     .with_max_age(Duration::from_secs(300))
    ///     .with_clock(move || later);
    /// # Ok::<(), countersign::SetupError>(())
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

    /// The header with the signature, or the first of several.
    #[must_use]
    pub fn signature_header(&self) -> &HeaderName {
        self.plan.reader.signature_header()
    }

    /// The header that names the event and is not signed, if the provider has one.
    #[must_use]
    pub fn event_header(&self) -> Option<&HeaderName> {
        self.plan.event_header.as_ref()
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
        self.logged(self.matched(headers, body).and_then(|proof| self.accept(proof, headers, body)))
    }

    /// Verifies only the signature and its time, and returns which secret matched. Do not trust the headers.
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`],
    /// [`Error::SignatureMismatch`], and [`Error::Stale`] if the scheme has a time that is judged. Where a header's
    /// value stands beside the body in the scheme's template, also [`Error::MalformedPayload`]: the body must then be a
    /// JSON object, or it could not be told from the value.
    pub fn verify_signature(
        &self,
        headers: &(impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<MatchedSecret, Error> {
        let verdict = || {
            let mut head = Head::new();
            let secret = self.prove(headers, body, &mut head)?;
            self.judge(head.time())?;
            if self.plan.reader.needs_object() {
                check_object(body)?;
            }
            Ok(secret)
        };
        verdict().inspect_err(|error| self.refused(error))
    }

    /// Signs a body with the newest secret, as the provider would, and returns the value of the
    /// [signature header](Webhook::signature_header), for testing your receiver. If the scheme signs other headers as
    /// well, use [`signed_headers`](Webhook::signed_headers).
    ///
    /// ```
    /// # use countersign::{Secret, Webhook, provider::ThreeQpr};
    /// # let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
    /// let header = (webhook.signature_header(), webhook.sign(body));
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        let headers = self.signed_headers(body);
        let signature = headers.get(self.signature_header()).and_then(|value| value.to_str().ok());
        signature.unwrap_or_default().to_owned()
    }

    /// Returns the headers that the provider would send with a body, signed with the newest secret, for testing your
    /// receiver. [Testing a receiver](crate::guide::testing_a_receiver) shows it in each framework.
    ///
    /// They are the signature, the headers that it covers (with the webhook's time and an id that is made of the body),
    /// and the [`event_header`](Webhook::event_header) if the provider has one: the event that the body names, or `test`
    /// if the body does not name events. [`signed_headers_with`](Webhook::signed_headers_with) lets you choose.
    /// If a body that should name an event is not an envelope, the event header is left out.
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
    /// let webhook = Webhook::<Quote3d>::new(Secret::new("a-secret-for-the-tests")?)?;
    /// let body = br#"{"event":"file.deleted","timestamp":"2026-03-10T14:30:00.000Z","data":{}}"#;
    /// let headers = webhook.signed_headers(body);
    /// assert_eq!(headers["x-webhook-event"], "file.deleted");
    /// assert!(webhook.verify(&headers, body).is_ok());
    /// assert!(webhook.verify(&headers, b"{}").is_err());
    /// # Ok::<(), countersign::SetupError>(())
    /// ```
    #[must_use]
    pub fn signed_headers(&self, body: &[u8]) -> HeaderMap {
        self.signed_headers_with(body, &SigningOptions::new())
    }

    /// Like [`signed_headers`](Webhook::signed_headers), with a time, an id and an event of your choice.
    #[must_use]
    pub fn signed_headers_with(&self, body: &[u8], options: &SigningOptions) -> HeaderMap {
        // The clock is read only if its time is sent.
        let now = || if self.plan.reader.has_time() { self.now() } else { SystemTime::UNIX_EPOCH };
        let time = options.time.unwrap_or_else(now);
        let id = options
            .id
            .clone()
            .unwrap_or_else(|| format!("msg_{}", hex_digits(&sha256(&[body])).take(24).collect::<String>()));
        let named = self.contents(body).ok().and_then(|contents| contents.event);
        let is_unsigned = self.plan.is_name_unsigned();
        let event = options.event.as_deref().or(named.as_deref()).or(is_unsigned.then_some("test"));
        let mut values = [id.as_str(); MAX_HEADERS];
        if let Some(value) = self.plan.name_place.and_then(|place| values.get_mut(place)) {
            *value = event.unwrap_or("test");
        }
        let sent = Sent { time, values };
        let mut headers = self.plan.reader.write(&sent, body, |pieces| self.keys.sign(pieces));
        let event = event.and_then(|event| HeaderValue::from_bytes(event.as_bytes()).ok());
        headers.extend(self.event_header().cloned().zip(event));
        headers
    }

    /// Checks a request's head before its body is read: it must have one well-formed signature, and must not announce
    /// a body longer than the limit.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn check_head(&self, headers: &(impl Headers + ?Sized)) -> Result<(), Error> {
        let mut head = Head::new();
        self.read_head(headers, &mut head)
    }

    /// Like [`check_head`](Webhook::check_head), and keeps what the head says.
    pub(super) fn read_head<'h>(
        &self,
        headers: &'h (impl Headers + ?Sized),
        head: &mut Head<'h>,
    ) -> Result<(), Error> {
        self.plan.reader.read(headers, head)?;
        content_length(headers).map_or(Ok(()), |bytes| self.check_length(bytes))
    }

    pub(crate) fn check_length(&self, length: u64) -> Result<(), Error> {
        if length <= self.body_limit as u64 { Ok(()) } else { Err(self.too_large()) }
    }

    pub(crate) fn too_large(&self) -> Error {
        Error::BodyTooLarge { limit: self.body_limit }
    }

    /// Reads the head, and proves that a whole body is signed, whenever that was. It does not log.
    fn prove<'h>(
        &self,
        headers: &'h (impl Headers + ?Sized),
        body: &[u8],
        head: &mut Head<'h>,
    ) -> Result<MatchedSecret, Error> {
        self.plan.reader.read(headers, head)?;
        let (alone, mut several);
        let pieces = if self.plan.reader.signs_body_alone() {
            alone = [body];
            &alone[..]
        } else {
            several = Pieces::new();
            self.plan.reader.pieces(head, body, &mut several)
        };
        Ok(self.keys.verify(pieces, head.candidates.as_slices())?)
    }

    /// Like [`prove`](Webhook::prove), and keeps what the head says of the event.
    pub(crate) fn proven<'h>(
        &self,
        headers: &'h (impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<Proof<&'h [u8]>, Error> {
        let mut head = Head::new();
        let secret = self.prove(headers, body, &mut head)?;
        Ok(Proof { secret, signed_at: head.time(), values: self.plan.signed_values(&head) })
    }

    /// Like [`proven`](Webhook::proven), and judges the age of the signature.
    pub(crate) fn matched<'h>(
        &self,
        headers: &'h (impl Headers + ?Sized),
        body: &[u8],
    ) -> Result<Proof<&'h [u8]>, Error> {
        let proof = self.proven(headers, body)?;
        self.judge(proof.signed_at)?;
        Ok(proof)
    }

    /// Judges the age of a signature that has matched.
    pub(crate) fn judge(&self, signed_at: Option<SystemTime>) -> Result<(), Error> {
        if signed_at.is_none_or(|time| self.is_timely(time)) { Ok(()) } else { Err(Error::Stale) }
    }

    /// Whether the time of a signature is within the maximum age, or else the scheme's tolerance.
    pub(crate) fn is_timely(&self, time: SystemTime) -> bool {
        self.is_timely_within(time, self.plan.tolerance)
    }

    /// Like [`is_timely`](Webhook::is_timely), with the tolerance of another scheme.
    pub(crate) fn is_timely_within(&self, time: SystemTime, tolerance: Option<Tolerance>) -> bool {
        self.age_limits(tolerance).is_none_or(|limits| match self.now().duration_since(time) {
            Ok(past) => past <= limits.past,
            Err(future) => future.duration() <= limits.future,
        })
    }

    fn age_limits(&self, tolerance: Option<Tolerance>) -> Option<Tolerance> {
        self.max_age.map(|max_age| Tolerance { past: max_age, future: max_age }).or(tolerance)
    }

    /// How long a delivery can be replayed, if its age is limited: the time from the earliest moment at which it is accepted
    /// to the latest. Zero without a limit.
    pub(crate) fn replay_window(&self) -> Duration {
        let limits = self.age_limits(self.plan.tolerance);
        limits.map_or(Duration::ZERO, |limits| limits.past.saturating_add(limits.future))
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Checks all but the signature of a whole body. It does not log.
    pub(crate) fn accept<'a>(
        &self,
        proof: Proof<&[u8]>,
        headers: &(impl Headers + ?Sized),
        body: &'a [u8],
    ) -> Result<Delivery<'a, P>, Error> {
        self.read(proof, &self.event_of(headers), Body::Borrowed(body))
    }

    /// Verifies a whole body for an adapter, which logs at its end. The body is shared, and not copied.
    #[cfg(feature = "tower")]
    pub(crate) fn verify_shared(
        &self,
        headers: &(impl Headers + ?Sized),
        body: Bytes,
    ) -> Result<Delivery<'static, P>, Error> {
        let proof = self.matched(headers, &body)?;
        self.read(proof, &self.event_of(headers), Body::Shared(body))
    }

    pub(super) fn event_of<'h>(&self, headers: &'h (impl Headers + ?Sized)) -> EventHeader<&'h [u8]> {
        EventHeader::new(self.event_header().map(|name| occurrence(headers, name)))
    }

    /// Reads a body as the provider's envelope.
    pub(crate) fn contents<'a>(&self, body: &'a [u8]) -> Result<Contents<'a>, Error> {
        Contents::parse(body, &self.plan.members)
    }

    /// Makes the delivery, after all checks. This is the only place that makes one. The proof is that of its
    /// signature.
    pub(super) fn read<'a>(
        &self,
        proof: Proof<impl AsRef<[u8]>>,
        event_header: &EventHeader<impl AsRef<[u8]>>,
        body: Body<'a>,
    ) -> Result<Delivery<'a, P>, Error> {
        let mut contents = match &body {
            Body::Borrowed(bytes) => self.contents(bytes)?,
            Body::Shared(bytes) => self.contents(bytes)?.into_owned(),
        };
        proof.values.add_to(&mut contents).ok_or(Error::MalformedSignature)?;
        let source = if self.plan.is_name_unsigned() {
            contents.event = event_header.name()?.map(|name| name.to_owned().into());
            EventNameSource::Unsigned
        } else {
            event_header.check(contents.event.as_deref().unwrap_or_default())?;
            if contents.event.is_some() { EventNameSource::Signed } else { EventNameSource::Absent }
        };
        match self.max_age.filter(|_| !self.plan.reader.has_time()) {
            Some(max_age) if !contents.is_within(max_age, self.now()) => return Err(Error::Stale),
            _ => {}
        }
        let answer = self.challenge_response(body.as_slice(), &proof.secret);
        let delivery = Delivery::new(
            Arc::clone(&self.provider),
            body,
            contents,
            source,
            proof.secret,
            proof.signed_at,
            self.tenant.clone(),
        );
        Ok(delivery.with_challenge_response(answer))
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
        let tenant = self.tenant().filter(|_| !self.keys.rejects_all());
        trace::refused(self.provider.name(), tenant, error);
    }
}

impl<P> Clone for Webhook<P> {
    fn clone(&self) -> Self {
        Self {
            provider: Arc::clone(&self.provider),
            plan: Arc::clone(&self.plan),
            keys: self.keys.clone(),
            tenant: self.tenant.clone(),
            max_age: self.max_age,
            body_limit: self.body_limit,
            clock: Arc::clone(&self.clock),
        }
    }
}

/// The proof that a signature matched.
pub(crate) struct Proof<T> {
    pub(crate) secret: MatchedSecret,
    pub(crate) signed_at: Option<SystemTime>,
    pub(super) values: SignedValues<T>,
}

/// Reads the length of the body that the sender announced, in bytes. If there are several, this is the greatest. A
/// value that is not a number is ignored.
fn content_length(headers: &(impl Headers + ?Sized)) -> Option<u64> {
    let mut longest = None;
    headers.each_value(&CONTENT_LENGTH, &mut |value| {
        let bytes = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        longest = longest.max(bytes);
    });
    longest
}

impl<P: Provider> fmt::Debug for Webhook<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("provider", &self.provider.name())
            .field("signature_header", self.signature_header())
            .field("event_header", &self.event_header())
            .field("secrets", &self.keys.labels())
            .field("tenant", &self.tenant)
            .field("max_age", &self.max_age)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}
