//! Square: payments, orders and customers.
//!
//! Taken from Square's page "Verify and Validate an Event Notification"
//! (<https://developer.squareup.com/docs/webhooks/step3validate>). The header `x-square-hmacsha256-signature` is the base64
//! HMAC-SHA-256 of the notification URL and the body, keyed with the text of the signature key. The `event_id` identifies
//! the event. Square retries for up to 24 hours.

use std::fmt;
use std::marker::PhantomData;

use crate::event::{Envelope, Event, UnknownEvent};
use crate::mac::TagEncoding;
use crate::provider::Provider;
use crate::scheme::Scheme;

const SCHEME: Scheme<'static> = Scheme::new("x-square-hmacsha256-signature")
    .with_tag_encoding(TagEncoding::Base64)
    .with_template("{body}");

/// Square. It signs the notification URL with the body, so the provider needs the URL exactly as it stands in the
/// subscription. It is never taken from the request, whose headers are not signed.
///
/// ```
/// use countersign::{Secret, Webhook, provider::Square};
///
/// let square = Square::new("https://example.org/webhooks/square");
/// let webhook: Webhook<Square> = Webhook::for_provider(square, Secret::new("the-signature-key-of-square")?)?;
/// # let body = br#"{"merchant_id":"m","type":"payment.created","event_id":"e_1","created_at":"2026-03-10T14:30:00Z","data":{}}"#;
/// # let headers = webhook.signed_headers(body);
/// let delivery = webhook.verify(&headers, body)?;
/// assert_eq!(delivery.idempotency_key().as_str(), "square:e_1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Square<E = UnknownEvent> {
    template: String,
    events: PhantomData<fn() -> E>,
}

impl<E> Square<E> {
    /// Makes a provider whose subscription has this notification URL. If it does not begin with `https://` or `http://`,
    /// or has white space, [`Webhook::for_provider`](crate::Webhook::for_provider) returns an error: nothing but the body
    /// would tell a delivery for this endpoint from one for another.
    #[must_use]
    pub fn new(notification_url: &str) -> Self {
        let is_after = |scheme| notification_url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
        let is_url = is_after("https://") || is_after("http://");
        let template = if is_url && !notification_url.contains(char::is_whitespace) {
            notification_url.replace('{', "{{") + "{body}"
        } else {
            // A scheme's check refuses it.
            String::new()
        };
        Self { template, events: PhantomData }
    }
}

impl<E: Event> Provider for Square<E> {
    type Event = E;

    const NAME: &'static str = "square";

    const SCHEME: Scheme<'static> = SCHEME;

    const ENVELOPE: Envelope<'static> =
        Envelope::new().with_name("type").with_id("event_id").with_time("created_at");

    fn scheme(&self) -> Scheme<'_> {
        SCHEME.with_template(&self.template)
    }
}

impl<E> Clone for Square<E> {
    fn clone(&self) -> Self {
        Self { template: self.template.clone(), events: PhantomData }
    }
}

/// Leaves out the URL, which may hold a token.
impl<E> fmt::Debug for Square<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Square").finish_non_exhaustive()
    }
}
