//! Slack: commands, interactions and events of a workspace.
//!
//! Taken from Slack's page "Verifying requests from Slack"
//! (<https://api.slack.com/authentication/verifying-requests-from-slack>). The header `X-Slack-Signature` is `v0=` and the
//! hex HMAC-SHA-256 of `v0:timestamp:body`, with the time of `X-Slack-Request-Timestamp`. The page refuses requests that
//! are more than five minutes old. Slack waits 3 seconds for an answer, and retries an event three times: nearly at once,
//! after one minute and after five (<https://docs.slack.dev/apis/events-api>). Whether a retry has a new time is not
//! documented; if it kept its own, the last one would be older than the tolerance.
//!
//! Commands and interactions are forms, and events are JSON. This crate's choice: all are opaque. Read
//! [`Delivery::body`](crate::Delivery::body).

use std::time::Duration;

use crate::event::Envelope;
use crate::provider::Challenge;
use crate::provider::builtin::builtin;
use crate::scheme::{Scheme, TimeUnit};

builtin! {
    /// Slack. Its bodies are opaque. A receiver answers the verification of the URL
    /// ([`Outcome::Challenge`](crate::Outcome::Challenge)).
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Slack};
    ///
    /// let webhook = Webhook::<Slack>::new(Secret::new("8f742231b10e8888abcd99yyyzzz85a5")?)?;
    /// # let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J";
    /// # let headers = webhook.signed_headers(body);
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert!(delivery.idempotency_key().as_str().starts_with("slack:sha256:"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Slack = "slack";
    scheme: Scheme::new("x-slack-signature")
        .with_prefix("v0=")
        .with_time_header("x-slack-request-timestamp", TimeUnit::Seconds)
        .with_template("v0:{timestamp}:{body}")
        .with_tolerance(Duration::from_secs(300));
    envelope: Envelope::opaque();
    challenge: Challenge::echo(("type", "url_verification"), &["challenge"]);
}
