//! Zoom: meetings, recordings and users.
//!
//! Taken from Zoom's page "Using webhooks" (<https://developers.zoom.us/docs/api/webhooks/>). The header `x-zm-signature`
//! is `v0=` and the hex HMAC-SHA-256 of `v0:timestamp:body`, with the time of `x-zm-request-timestamp`. Zoom waits 3
//! seconds for an answer, and retries. It validates an endpoint when it is added, and every 72 hours.
//!
//! The page names no tolerance, and does not say whether a retry is signed anew. This crate sets no tolerance, so that no
//! retry is lost. No id is documented, so the key is the body's SHA-256. The data is `payload`.

use crate::event::Envelope;
use crate::provider::Challenge;
use crate::provider::builtin::builtin;
use crate::scheme::{Scheme, TimeUnit};

builtin! {
    /// Zoom. A receiver answers the validation of the endpoint ([`Outcome::Challenge`](crate::Outcome::Challenge)).
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Zoom};
    ///
    /// let webhook = Webhook::<Zoom>::new(Secret::new("the-secret-token-of-the-app")?)?;
    /// # let body = br#"{"event":"meeting.started","event_ts":1626230691572,"payload":{"account_id":"a"}}"#;
    /// # let headers = webhook.signed_headers(body);
    /// assert_eq!(webhook.verify(&headers, body)?.event_name(), "meeting.started");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Zoom = "zoom";
    scheme: Scheme::new("x-zm-signature")
        .with_prefix("v0=")
        .with_time_header("x-zm-request-timestamp", TimeUnit::Seconds)
        .with_template("v0:{timestamp}:{body}");
    envelope: Envelope::new().without_id().with_time("event_ts").with_numeric_time().with_data("payload");
    challenge: Challenge::mac(("event", "endpoint.url_validation"), &["payload", "plainToken"]);
}
