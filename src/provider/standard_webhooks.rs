//! Standard Webhooks: the scheme that many providers share, among them all that send with Svix.
//!
//! Taken from the specification at <https://www.standardwebhooks.com> and Svix's page "Verifying webhooks manually"
//! (<https://docs.svix.com/receiving/verifying-payloads/how-manual>). It signs `id.timestamp.body` with HMAC-SHA-256. The
//! secret is base64 after `whsec_`. The header holds items `v1,` and base64, separated by spaces; others, such as `v1a,`
//! for asymmetric signatures, are skipped. The id identifies the event and stays the same in a retry. The time is that of
//! the attempt. The specification leaves the tolerance to the receiver, and its libraries take 5 minutes.
//!
//! Retries and the time to answer are the sender's choice. Svix waits 15 seconds and retries for 28 hours.
//!
//! The specification recommends a body with `type`, `timestamp` and `data`, and does not demand it. This crate's choice:
//! the body must be a JSON object, and the three are read where they are there; a `type` that is no text is refused.

use std::time::Duration;

use crate::event::Envelope;
use crate::mac::{KeyEncoding, TagEncoding};
use crate::provider::builtin::builtin;
use crate::scheme::{Scheme, TimeUnit};

builtin! {
    /// Standard Webhooks, with the headers `webhook-…` or `svix-…`.
    ///
    /// **Name each sender.** All senders have the same name in their keys, and each chooses its ids. If several share a
    /// store, give each webhook a name of its own by [`with_tenant`](crate::Webhook::with_tenant); otherwise one sender's id
    /// can make another's event count as a duplicate. Or declare each as a
    /// [`DeclaredProvider`](crate::provider::DeclaredProvider) with its own name.
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::StandardWebhooks};
    ///
    /// let webhook = Webhook::<StandardWebhooks>::new(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?)?;
    /// # let body = br#"{"type":"user.created","data":{}}"#;
    /// # let headers = webhook.signed_headers_with(body, &countersign::SigningOptions::new().with_id("msg_1"));
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert_eq!(delivery.event_name(), "user.created");
    /// assert_eq!(delivery.idempotency_key().as_str(), "standard-webhooks:msg_1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct StandardWebhooks = "standard-webhooks";
    scheme: Scheme::new("webhook-signature")
        .with_family("webhook-", "svix-")
        .with_key_encoding(KeyEncoding::Base64)
        .with_tag_encoding(TagEncoding::Base64)
        .with_items(' ', "v1,")
        .with_time_header("webhook-timestamp", TimeUnit::Seconds)
        .with_template("{header:webhook-id}.{timestamp}.{body}")
        .with_tolerance(Duration::from_secs(300));
    envelope: Envelope::new().with_optional_name("type").with_id_header("webhook-id").with_numeric_time();
}
