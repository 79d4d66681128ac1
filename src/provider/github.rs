//! GitHub: repositories and what happens in them.
//!
//! Taken from GitHub's page "Validating webhook deliveries"
//! (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>). The header
//! `X-Hub-Signature-256` is `sha256=` and the hex HMAC-SHA-256 of the body. The event's name is in `X-GitHub-Event`, and the
//! delivery's id in `X-GitHub-Delivery`; neither is signed. GitHub waits 10 seconds for an answer, and does not retry by
//! itself (<https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries>). A person or a program
//! can redeliver for 3 days
//! (<https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks>).
//!
//! The webhook's content type must be `application/json`. The data is the whole body.

use crate::event::Envelope;
use crate::provider::builtin::builtin;
use crate::scheme::Scheme;

builtin! {
    /// GitHub. The event's name is not signed: it selects the event's type, and is hashed into the key with the body.
    /// Whoever has seen one delivery can send it again under another name, which makes another key. So ignore an
    /// event whose name you do not know, and check that the body is what its name says.
    ///
    /// ```
    /// use countersign::{EventNameSource, Secret, SigningOptions, Webhook, provider::GitHub};
    ///
    /// let webhook = Webhook::<GitHub>::new(Secret::new("It's a Secret to Everybody")?)?;
    /// # let body = br#"{"ref":"refs/heads/main"}"#;
    /// # let headers = webhook.signed_headers_with(body, &SigningOptions::new().with_event("push"));
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert_eq!(delivery.event_name(), "push");
    /// assert_eq!(delivery.event_name_source(), EventNameSource::Unsigned);
    /// assert!(delivery.idempotency_key().as_str().starts_with("github:sha256:"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct GitHub = "github";
    scheme: Scheme::new("x-hub-signature-256").with_prefix("sha256=");
    envelope: Envelope::new().with_name_header("x-github-event").without_id().without_time().with_whole_body();
}
