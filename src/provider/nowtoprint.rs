//! NowToPrint: quotes and orders for print.
//!
//! The page "Webhooks" of NowToPrint's partner API names five events "by entitlement", shows the
//! payload of `quote.received`, and says to remember the deliveries' ids. That such an id is the
//! body's `id` (`evt_…`) is this crate's reading: the page shows no other. It does not name the
//! signature's header.

use http::HeaderName;

use crate::provider::Provider;

/// NowToPrint. Its page does not name the signature's header: `X-Webhook-Signature` is this crate's
/// choice. See what your deliveries carry, and say so if it is another.
///
/// ```
/// use countersign::{Secret, Webhook, provider::NowToPrint};
/// use http::HeaderName;
///
/// let provider = NowToPrint::with_signature_header(HeaderName::from_static("x-ntp-signature"));
/// let webhook = Webhook::for_provider(provider, Secret::new("the-partner-api-secret")?);
/// # Ok::<(), countersign::SecretError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NowToPrint {
    signature_header: HeaderName,
}

impl NowToPrint {
    /// NowToPrint with its signature in this header.
    #[must_use]
    pub fn with_signature_header(signature_header: HeaderName) -> Self {
        Self { signature_header }
    }
}

impl Default for NowToPrint {
    fn default() -> Self {
        Self::with_signature_header(HeaderName::from_static("x-webhook-signature"))
    }
}

impl Provider for NowToPrint {
    type Event = Event;

    const NAME: &'static str = "nowtoprint";

    fn signature_header(&self) -> HeaderName {
        self.signature_header.clone()
    }
}

crate::events! {
    /// The events that NowToPrint's page names. Partners get others besides, which are
    /// [`Unknown`](Event::Unknown).
    pub enum Event {
        /// A quote was received.
        QuoteReceived(QuoteReceived) = "quote.received",
        /// A quote was updated.
        QuoteUpdated(Reference) = "quote.updated",
        /// An order was created.
        OrderCreated(Reference) = "order.created",
        /// An order was confirmed.
        OrderConfirmed(Reference) = "order.confirmed",
        /// An order was shipped.
        OrderShipped(Reference) = "order.shipped",
    }
}

crate::payload! {
    /// The data of `quote.received`, the one payload that the page shows.
    pub struct QuoteReceived {
        required {
            /// The request for quotation, `rfq_…`.
            rfq_id: String = "rfqId",
            /// The quote, `quote_…`.
            quote_id: String = "quoteId",
        }
    }
}

crate::payload! {
    /// The data of the other events. It is not documented: the names are those of `quote.received`,
    /// and every one is optional. An order's own fields are in `extra`.
    pub struct Reference {
        optional {
            /// The request for quotation.
            rfq_id: String = "rfqId",
            /// The quote.
            quote_id: String = "quoteId",
        }
    }
}
