//! Shopify: shops, orders and products.
//!
//! Taken from Shopify's page "Deliver webhooks through HTTPS"
//! (<https://shopify.dev/docs/apps/build/webhooks/subscribe/https>). The header `X-Shopify-Hmac-SHA256` is the base64
//! HMAC-SHA-256 of the body, keyed with the text of the app's client secret. The topic in `X-Shopify-Topic`, the ids and
//! the time are in headers that are not signed. Shopify waits 5 seconds for an answer, and retries 8 times in 4 hours.
//!
//! The data is the whole body. Two topics may carry the same bytes, so the key is made of the topic and the body.
//!
//! Shopify's newer "Events" are not covered, because they are a developer preview in an unstable version of its API
//! (<https://shopify.dev/docs/apps/build/events/verify-deliveries>). They are signed alike, with the header
//! `Shopify-Hmac-Sha256`, and name their `topic` in the body: a [`DeclaredProvider`](crate::provider::DeclaredProvider)
//! reads them.

use crate::event::Envelope;
use crate::mac::TagEncoding;
use crate::provider::builtin::builtin;
use crate::scheme::Scheme;

builtin! {
    /// Shopify. The topic is not signed: it selects the event's type, and is hashed into the key with the body.
    /// Whoever has seen one delivery can send it again under another topic, which makes another key. So ignore a
    /// topic that you do not know, and check that the body is what its topic says.
    ///
    /// The key has no id, because Shopify signs none: two events of one topic with the same bytes count as one.
    ///
    /// ```
    /// use countersign::{Secret, SigningOptions, Webhook, provider::Shopify};
    ///
    /// let webhook = Webhook::<Shopify>::new(Secret::new("the-client-secret-of-the-app")?)?;
    /// # let body = br#"{"id":820982911946154508}"#;
    /// # let headers = webhook.signed_headers_with(body, &SigningOptions::new().with_event("orders/paid"));
    /// assert_eq!(webhook.verify(&headers, body)?.event_name(), "orders/paid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Shopify = "shopify";
    scheme: Scheme::new("x-shopify-hmac-sha256").with_tag_encoding(TagEncoding::Base64);
    envelope: Envelope::new().with_name_header("x-shopify-topic").without_id().without_time().with_whole_body();
}
