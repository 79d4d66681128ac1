//! Linear: issues, projects and comments.
//!
//! Taken from Linear's page "Webhooks" (<https://linear.app/developers/webhooks>). The header `Linear-Signature` is the hex
//! HMAC-SHA-256 of the body. The body's `webhookTimestamp` is the time of sending in milliseconds, and the page advises to
//! refuse one that is more than a minute old. The delivery's id is in `Linear-Delivery`, which is not signed. Linear waits
//! 5 seconds for an answer, and retries three times: after a minute, an hour and six hours.
//!
//! The event's name is `type`, such as `Issue`; what happened is the body's `action`. The data is `data`. The key is the
//! body's SHA-256, so if a retry has a new time, it is handled again.
//!
//! This crate's choice: no maximum age is set. Linear's SDK refuses a delivery that is more than a minute old or ahead, but
//! only if its caller passes the time; the page does not say whether a retry has a new one. If it has not, a maximum age
//! of a minute refuses all retries.

use crate::event::Envelope;
use crate::provider::builtin::builtin;
use crate::scheme::Scheme;

builtin! {
    /// Linear. Each delivery has a signed time, which is not judged. To refuse one that is more than a minute old, as
    /// Linear advises, set [`Webhook::with_max_age`](crate::Webhook::with_max_age).
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Linear};
    ///
    /// let webhook = Webhook::<Linear>::new(Secret::new("lin_wh_0123456789abcdef")?)?;
    /// # let body = br#"{"action":"create","type":"Issue","data":{},"webhookTimestamp":1676056940508}"#;
    /// # let headers = webhook.signed_headers(body);
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert_eq!(delivery.event_name(), "Issue");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Linear = "linear";
    scheme: Scheme::new("linear-signature");
    envelope: Envelope::new().with_name("type").without_id().with_time("webhookTimestamp").with_numeric_time();
}
