//! A delivery whose body is still arriving.

use std::fmt;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::mac::{Streamed, Tag};
use crate::provider::Provider;
use crate::scheme::{Head, Headers};
use crate::webhook::delivery::{Body, Delivery};
use crate::webhook::event_header::EventHeader;
use crate::webhook::plan::SignedValues;
use crate::webhook::{Proof, Webhook};

/// A delivery whose headers have passed, and whose body is still arriving. [`Webhook::begin`] makes one.
///
/// Each piece is hashed when it arrives, so the verdict is known right after the last one. The body never grows past
/// the webhook's [`body_limit`](Webhook::body_limit). The pieces are kept, so that the [`Delivery`] has the same bytes
/// that were hashed. If the sender hangs up, drop it.
///
/// The adapters use it. Use it yourself if you read a body in a loop:
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
///     let mut partial = webhook.begin(headers)?; // before reading the body
///     let mut piece = [0; 8 * 1024];
///     loop {
///         match body.read(&mut piece).map_err(Error::incomplete_body)? {
///             0 => return partial.finish(),
///             length => partial.update(&piece[..length])?,
///         }
///     }
/// }
/// # use countersign::Secret;
/// # let webhook = Webhook::<ThreeQpr>::new(Secret::new("whsec_0123456789abcdef")?)?;
/// # let body = br#"{"event":"scan.created","id":"evt_1","data":{}}"#;
/// # let headers = webhook.signed_headers(body);
/// # assert_eq!(receive(&webhook, &headers, &body[..])?.id(), Some("evt_1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is verified before `finish`"]
pub struct PartialDelivery<P> {
    webhook: Webhook<P>,
    macs: Streamed,
    candidates: Box<[Tag]>,
    /// What is signed after the body.
    after: Vec<u8>,
    signed_at: Option<SystemTime>,
    values: SignedValues<Box<[u8]>>,
    event_header: EventHeader<Box<[u8]>>,
    /// The body while it is a single piece, which is shared and not copied.
    piece: Bytes,
    /// The body once it has several pieces. It grows by doubling, because an announced length cannot be trusted.
    pieces: BytesMut,
    /// Whether a piece was refused. The whole body is refused then.
    too_large: bool,
}

impl<P: Provider> Webhook<P> {
    /// Begins a delivery whose body arrives in pieces. The delivery is refused before its body is read if the headers
    /// have no single well-formed signature, or announce a body longer than the [`body_limit`](Webhook::body_limit).
    ///
    /// # Errors
    /// [`Error::MissingSignature`], [`Error::DuplicateSignature`], [`Error::MalformedSignature`] and
    /// [`Error::BodyTooLarge`]. Anyone can cause these.
    pub fn begin(&self, headers: &(impl Headers + ?Sized)) -> Result<PartialDelivery<P>, Error> {
        self.begin_unlogged(headers).inspect_err(|error| self.refused(error))
    }

    /// Like [`begin`](Webhook::begin), for an adapter, which logs at its end.
    pub(crate) fn begin_unlogged(
        &self,
        headers: &(impl Headers + ?Sized),
    ) -> Result<PartialDelivery<P>, Error> {
        let mut head = Head::new();
        self.read_head(headers, &mut head)?;
        let (before, after) = self.plan.reader.around(&head);
        let mut macs = self.keys.begin();
        before.as_slice().iter().for_each(|piece| macs.update(piece));
        Ok(PartialDelivery {
            webhook: self.clone(),
            macs,
            candidates: head.candidates.as_slices().concat().into(),
            after: after.as_slice().concat(),
            signed_at: head.time(),
            values: self.plan.signed_values(&head).to_owned(),
            event_header: self.event_of(headers).to_owned(),
            piece: Bytes::new(),
            pieces: BytesMut::new(),
            too_large: false,
        })
    }
}

impl<P: Provider> PartialDelivery<P> {
    /// Adds the next piece, of any length.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`] if the body is now longer than the webhook's limit. Stop reading then.
    pub fn update(&mut self, piece: &[u8]) -> Result<(), Error> {
        let is_logged = self.too_large;
        self.push(piece).inspect_err(|error| {
            if !is_logged {
                self.webhook.refused(error);
            }
        })
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.make_room(piece.len())?;
        self.macs.update(piece);
        self.pieces.extend_from_slice(&std::mem::take(&mut self.piece));
        self.pieces.extend_from_slice(piece);
        Ok(())
    }

    /// Adds a piece for an adapter, which logs at its end. A single piece is not copied.
    #[cfg(any(feature = "tower", feature = "actix-web"))]
    pub(crate) fn push_shared(&mut self, piece: Bytes) -> Result<(), Error> {
        if self.len() > 0 && !piece.is_empty() {
            return self.push(&piece);
        }
        self.make_room(piece.len())?;
        self.macs.update(&piece);
        if self.len() == 0 {
            self.piece = piece;
        }
        Ok(())
    }

    /// Refuses a piece that would exceed the limit, before reading it. The whole body is refused then.
    pub(crate) fn make_room(&mut self, length: usize) -> Result<(), Error> {
        let whole = if self.too_large { usize::MAX } else { self.len().saturating_add(length) };
        self.webhook.check_length(whole as u64).inspect_err(|_| self.too_large = true)
    }

    #[cfg(feature = "actix-web")]
    pub(crate) fn too_large(&self) -> Error {
        self.webhook.too_large()
    }

    fn len(&self) -> usize {
        self.piece.len() + self.pieces.len()
    }

    /// Verifies the whole body. The verdict is the same as [`Webhook::verify`]'s.
    ///
    /// # Errors
    /// The errors of [`Webhook::verify`], and [`Error::BodyTooLarge`] if a piece was refused.
    pub fn finish(self) -> Result<Delivery<'static, P>, Error> {
        let (webhook, is_logged) = (self.webhook.clone(), self.too_large);
        let result = self.finish_unlogged();
        if is_logged { result } else { webhook.logged(result) }
    }

    /// Like [`finish`](PartialDelivery::finish), for an adapter, which logs at its end.
    pub(crate) fn finish_unlogged(self) -> Result<Delivery<'static, P>, Error> {
        if self.too_large {
            return Err(self.webhook.too_large());
        }
        let body = if self.pieces.is_empty() { self.piece } else { self.pieces.freeze() };
        let secret = self.macs.finish(&[&self.after], &self.candidates)?;
        self.webhook.judge(self.signed_at)?;
        let proof = Proof { secret, signed_at: self.signed_at, values: self.values };
        self.webhook.read(proof, &self.event_header, Body::Shared(body))
    }
}

/// Leaves out the body.
impl<P: Provider> fmt::Debug for PartialDelivery<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialDelivery").field("webhook", &self.webhook).finish_non_exhaustive()
    }
}
