//! A delivery whose body is still arriving.

use std::fmt;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue};

use crate::error::Error;
use crate::mac::Verification;
use crate::provider::Provider;
use crate::webhook::delivery::{Body, Delivery};
use crate::webhook::headers::{HeaderValues, Occurrence};
use crate::webhook::webhook::{Webhook, announced};

/// A delivery whose headers have passed and whose body arrives in pieces. Made by
/// [`Webhook::start`].
///
/// Each piece goes into the MAC as it comes, so that the signature's verdict is due right after the last
/// one, before the envelope is read, and the body never grows past the webhook's [`body_limit`](Webhook::body_limit). The pieces are
/// kept, so that the [`Delivery`] has the very bytes that were hashed. Drop it when the sender hangs
/// up: nothing is left behind.
///
/// The adapters are made of it. By hand it serves wherever a body is read in a loop:
///
/// ```
/// use std::io::Read;
/// use countersign::{Delivery, Error, Webhook, provider::ThreeQpr};
///
/// fn receive(
///     webhook: &Webhook<ThreeQpr>,
///     headers: &http::HeaderMap,
///     mut body: impl Read,
/// ) -> Result<Delivery<'static, ThreeQpr>, Error> {
///     let mut incoming = webhook.start(headers)?; // nothing of the body was read yet
///     let mut piece = [0; 8 * 1024];
///     loop {
///         match body.read(&mut piece).map_err(Error::incomplete_body)? {
///             0 => return incoming.finish(),
///             length => incoming.update(&piece[..length])?,
///         }
///     }
/// }
/// # use countersign::Secret;
/// # let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?);
/// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
/// # let signature = http::HeaderValue::from_str(&webhook.sign(body).to_string())?;
/// # let headers = http::HeaderMap::from_iter([(webhook.signature_header().clone(), signature)]);
/// # assert_eq!(receive(&webhook, &headers, &body[..])?.id(), Some("evt_1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is verified before `finish`"]
pub struct Incoming<P> {
    webhook: Webhook<P>,
    verification: Verification,
    event: Occurrence<Box<[u8]>>,
    /// The body while it is one piece, which is then shared and not copied.
    piece: Bytes,
    /// The body once it is several. It grows by doubling: an announced length is only a word.
    pieces: BytesMut,
    /// A piece was refused, and so the whole is.
    too_large: bool,
}

impl<P: Provider> Webhook<P> {
    /// Begins a delivery whose body arrives in pieces, and refuses it before any of the body is read
    /// where there is not one well-formed signature, or where Content-Length is over the
    /// [`body_limit`](Webhook::body_limit).
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`], and
    /// [`Error::BodyTooLarge`].
    pub fn start(&self, headers: &HeaderMap) -> Result<Incoming<P>, Error> {
        let lengths = headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
        self.start_values(&lengths.fold(self.values_of(headers), announced))
    }

    /// [`start`](Webhook::start) for people on another header type: with what
    /// [`header_values`](Webhook::header_values) picks out of it.
    ///
    /// # Errors
    /// Those of [`start`](Webhook::start).
    pub fn start_values(&self, values: &HeaderValues<'_>) -> Result<Incoming<P>, Error> {
        let verification = self.start_check(values)?;
        values.content_length().map_or(Ok(()), |bytes| self.check_length(bytes))?;
        Ok(Incoming {
            webhook: self.clone(),
            verification,
            event: values.event().map(Into::into),
            piece: Bytes::new(),
            pieces: BytesMut::new(),
            too_large: false,
        })
    }
}

impl<P: Provider> Incoming<P> {
    /// Takes the next piece, of any length.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], when the body so far is over the webhook's limit: read no more of it.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.make_room(piece.len())?;
        self.verification.update(piece);
        self.pieces.extend_from_slice(&std::mem::take(&mut self.piece));
        self.pieces.extend_from_slice(piece);
        Ok(())
    }

    /// [`update`](Incoming::update) with a piece that need not be copied if it is the only one.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn update_shared(&mut self, piece: Bytes) -> Result<(), Error> {
        if self.len() > 0 && !piece.is_empty() {
            return self.update(&piece);
        }
        self.make_room(piece.len())?;
        self.verification.update(&piece);
        if self.len() == 0 {
            self.piece = piece;
        }
        Ok(())
    }

    /// Refuses a piece that would be too long, before it is looked at; what came before it is then
    /// refused as well.
    pub(crate) fn make_room(&mut self, length: usize) -> Result<(), Error> {
        let whole = if self.too_large { usize::MAX } else { self.len().saturating_add(length) };
        self.webhook.check_length(whole as u64).inspect_err(|_| self.too_large = true)
    }

    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn too_large(&self) -> Error {
        self.webhook.too_large()
    }

    fn len(&self) -> usize {
        self.piece.len() + self.pieces.len()
    }

    /// The verdict on the whole body: the same as [`Webhook::verify`]'s.
    ///
    /// # Errors
    /// Those of [`Webhook::verify`], and [`Error::BodyTooLarge`] if a piece was refused.
    pub fn finish(self) -> Result<Delivery<'static, P>, Error> {
        self.accept(SystemTime::now)
    }

    /// [`finish`](Incoming::finish) at a time of your choice, as [`Webhook::verify_at`].
    ///
    /// # Errors
    /// Those of [`Webhook::verify`].
    pub fn finish_at(self, now: SystemTime) -> Result<Delivery<'static, P>, Error> {
        self.accept(|| now)
    }

    fn accept(self, now: impl FnOnce() -> SystemTime) -> Result<Delivery<'static, P>, Error> {
        if self.too_large {
            return Err(self.webhook.too_large());
        }
        let body = if self.pieces.is_empty() { self.piece } else { self.pieces.freeze() };
        let event = self.event.as_ref().map(|value| &**value);
        self.webhook.accept(self.verification.finish(), event, Body::Shared(body), now)
    }
}

/// Without what has come of the body.
impl<P: Provider> fmt::Debug for Incoming<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}
