//! NowToPrint: quotes and orders for print.
//!
//! The page "Webhooks" of NowToPrint's partner API names five events "by entitlement", shows the
//! payload of `quote.received`, and tells receivers to remember the deliveries' ids. This crate takes
//! the body's `id` (`evt_…`) for that id, because the page shows no other. The page does not name the
//! signature header.

use http::HeaderName;

use crate::provider::Provider;
use crate::scheme::Scheme;

/// NowToPrint. Its page does not name the signature header; `X-Webhook-Signature` is this crate's
/// choice. Look at your deliveries, and set the header if it is another.
///
/// ```
/// use countersign::{Secret, Webhook, provider::NowToPrint};
/// use http::HeaderName;
///
/// let provider = NowToPrint::with_signature_header(HeaderName::from_static("x-ntp-signature"));
/// let webhook = Webhook::for_provider(provider, Secret::new("the-partner-api-secret")?)?;
/// # Ok::<(), countersign::SetupError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NowToPrint {
    signature_header: HeaderName,
}

impl NowToPrint {
    /// Makes a provider with its signature in this header.
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

    const SCHEME: Scheme<'static> = Scheme::new("x-webhook-signature").with_prefix("sha256=");

    fn scheme(&self) -> Scheme<'_> {
        Scheme::new(self.signature_header.as_str()).with_prefix("sha256=")
    }
}

crate::events! {
    /// The events that NowToPrint's page names. Partners also get others, which are
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
    /// The data of `quote.received`, the only payload that the page shows.
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
    /// The data of the other events. It is not documented: the fields are those of `quote.received`,
    /// and all are optional. An order's own fields are in `extra`.
    pub struct Reference {
        optional {
            /// The request for quotation.
            rfq_id: String = "rfqId",
            /// The quote.
            quote_id: String = "quoteId",
        }
    }
}
