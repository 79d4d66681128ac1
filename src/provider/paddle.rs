//! Paddle: subscriptions and payments.
//!
//! Taken from Paddle's page "Verify webhook signatures"
//! (<https://developer.paddle.com/webhooks/signature-verification>). The header `Paddle-Signature` holds `ts=` and `h1=`,
//! separated by `;`, with one `h1` for each secret during a rotation. Paddle signs `ts:body`. The `event_id` identifies
//! the event. Paddle waits 5 seconds for an answer, and retries a live account's events 60 times in 3 days, and a
//! sandbox's 3 times in 15 minutes (<https://developer.paddle.com/webhooks/respond-to-webhooks>).
//!
//! Paddle's libraries refuse a delivery that is more than 5 seconds old, so each try is signed anew. This crate's choice
//! is 5 minutes, because a queue before the receiver takes longer than 5 seconds.

use std::time::Duration;

use crate::event::Envelope;
use crate::provider::builtin::builtin;
use crate::scheme::{Scheme, TimeUnit};

builtin! {
    /// Paddle Billing.
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Paddle};
    ///
    /// let webhook = Webhook::<Paddle>::new(Secret::new("pdl_ntfset_0123456789abcdef")?)?;
    /// # let body = br#"{"event_id":"evt_1","event_type":"transaction.paid","occurred_at":"2026-03-10T14:30:00Z","data":{}}"#;
    /// # let headers = webhook.signed_headers(body);
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert_eq!((delivery.event_name(), delivery.id()), ("transaction.paid", Some("evt_1")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub struct Paddle = "paddle";
    scheme: Scheme::new("paddle-signature")
        .with_fields(';', "h1")
        .with_time_field("ts", TimeUnit::Seconds)
        .with_template("{timestamp}:{body}")
        .with_tolerance(Duration::from_secs(300));
    envelope: Envelope::new().with_name("event_type").with_id("event_id").with_time("occurred_at");
}
