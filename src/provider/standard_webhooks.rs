//! Standard Webhooks: the scheme that many providers share, among them all that send with Svix.
//!
//! Taken from the specification at <https://www.standardwebhooks.com> and Svix's page "Verifying webhooks manually"
//! (<https://docs.svix.com/receiving/verifying-payloads/how-manual>). It signs `id.timestamp.body` with HMAC-SHA-256. The
//! secret is base64 after `whsec_`. The header holds items `v1,` and base64, separated by spaces; others, such as `v1a,`
//! for asymmetric signatures, are skipped. The id identifies the event and stays the same in a retry. The time is that of
//! the attempt. The specification leaves the tolerance to the receiver, and its libraries take 5 minutes.
//!
//! The specification asks that no id contain a full stop, because one separates the id from the time in the signed bytes.
//! A delivery with such an id is refused as malformed.
//!
//! Retries and the time to answer are the sender's choice. Svix waits 15 seconds and retries for 28 hours.
//!
//! The specification recommends a body with `type`, `timestamp` and `data`, and does not demand it. This crate's choice:
//! the body must be a JSON object, and the three are read where they are there; a `type` that is no text is refused.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::event::{Envelope, Event, UnknownEvent};
use crate::mac::{KeyEncoding, TagEncoding};
use crate::provider::Provider;
use crate::scheme::{Scheme, TimeUnit};

/// Standard Webhooks, with the headers `webhook-…` or `svix-…`.
///
/// **Name each sender.** Each sender chooses its ids, so if several share a store, one sender's id could make another's
/// event count as a duplicate. [`named`](StandardWebhooks::named) gives each sender keys of its own. Without a name, the
/// keys begin with `standard-webhooks`.
///
/// ```
/// use countersign::{Secret, Webhook, provider::StandardWebhooks};
///
/// let acme: Webhook<StandardWebhooks> = Webhook::for_provider(
///     StandardWebhooks::named("acme"),
///     Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?,
/// )?;
/// # let body = br#"{"type":"user.created","data":{}}"#;
/// # let headers = acme.signed_headers_with(body, &countersign::SigningOptions::new().with_id("msg_1"));
/// let delivery = acme.verify(&headers, body)?;
/// assert_eq!(delivery.event_name(), "user.created");
/// assert_eq!(delivery.idempotency_key().as_str(), "acme:msg_1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StandardWebhooks<E = UnknownEvent> {
    name: Cow<'static, str>,
    events: PhantomData<fn() -> E>,
}

impl<E> StandardWebhooks<E> {
    /// Makes a provider for one sender, whose name follows the rules of [`Provider::NAME`]. It stands in the sender's
    /// keys, so give no two senders the same, nor a built-in provider's, and do not rename one later.
    /// [`Webhook::for_provider`](crate::Webhook::for_provider) returns an error if it breaks them.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), events: PhantomData }
    }
}

impl<E: Event> Provider for StandardWebhooks<E> {
    type Event = E;

    const NAME: &'static str = NAME;

    const SCHEME: Scheme<'static> = Scheme::new("webhook-signature")
        .with_family("webhook-", "svix-")
        .with_key_encoding(KeyEncoding::Base64)
        .with_tag_encoding(TagEncoding::Base64)
        .with_items(' ', "v1,")
        .with_time_header("webhook-timestamp", TimeUnit::Seconds)
        .with_template("{header:webhook-id}.{timestamp}.{body}")
        .with_tolerance(Duration::from_secs(300));

    const ENVELOPE: Envelope<'static> =
        Envelope::new().with_optional_name("type").with_id_header("webhook-id").with_numeric_time();

    fn name(&self) -> &str {
        &self.name
    }
}

const NAME: &str = "standard-webhooks";

impl<E> Default for StandardWebhooks<E> {
    fn default() -> Self {
        Self::named(NAME)
    }
}

impl<E> Clone for StandardWebhooks<E> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), events: PhantomData }
    }
}

impl<E> fmt::Debug for StandardWebhooks<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandardWebhooks").field("name", &self.name).finish_non_exhaustive()
    }
}
