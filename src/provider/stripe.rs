//! Stripe: payments.
//!
//! Taken from Stripe's page "Receive Stripe events in your webhook endpoint" (<https://docs.stripe.com/webhooks>). The
//! header `Stripe-Signature` holds `t=` and `v1=`; `v0=` and other schemes are skipped. Stripe signs `t.body`. The
//! secret's text is the key, `whsec_` included. The event's `id` identifies it. By the same page, Stripe retries for up to
//! three days with growing intervals (in a sandbox, three times over a few hours), and signs each try anew, with a time of
//! its own. It asks for a quick 2xx. How long it waits is not documented there.
//!
//! The tolerance of 5 minutes is that of Stripe's libraries. This crate's choice: it also holds for the future, which
//! they do not check. The data is the event's `data`, with `object` and perhaps `previous_attributes`. To read the whole
//! event with another crate's types, parse [`Delivery::body`](crate::Delivery::body).

use std::time::Duration;

use crate::event::Envelope;
use crate::provider::builtin::builtin;
use crate::scheme::{Scheme, TimeUnit};

builtin! {
    /// Stripe.
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Stripe};
    ///
    /// let webhook = Webhook::<Stripe>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let body = br#"{"id":"evt_1","type":"charge.failed","created":1614265330,"data":{"object":{}}}"#;
    /// # let headers = webhook.signed_headers(body);
    /// let delivery = webhook.verify(&headers, body)?;
    /// assert_eq!(delivery.event_name(), "charge.failed");
    /// assert_eq!(delivery.idempotency_key().as_str(), "stripe:evt_1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// To read your own types, declare the events that you use. The data of each is a struct whose member `object` is
    /// Stripe's object. A payload that does not parse is answered 422, and retried in vain, so make a field an `Option` if you
    /// can do without it.
    ///
    /// ```
    /// use countersign::{Secret, Webhook, provider::Stripe};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    /// struct Data<T> { object: T }
    ///
    /// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    /// struct Charge { id: String, amount: i64, failure_code: Option<String> }
    ///
    /// countersign::events! {
    ///     enum Event { ChargeFailed(Data<Charge>) = "charge.failed" }
    /// }
    ///
    /// let webhook = Webhook::<Stripe<Event>>::new(Secret::new("whsec_0123456789abcdef")?)?;
    /// # let object = r#"{"id":"ch_1","object":"charge","amount":1099,"failure_code":"card_declined"}"#;
    /// # let body = format!(r#"{{"id":"evt_1","type":"charge.failed","created":1614265330,"data":{{"object":{object}}}}}"#);
    /// # let (body, headers) = (body.as_bytes(), webhook.signed_headers(body.as_bytes()));
    /// let delivery = webhook.verify(&headers, body)?;
    /// let Event::ChargeFailed(Data { object: charge }) = delivery.event()? else { panic!("another event") };
    /// assert_eq!((charge.amount, charge.failure_code.as_deref()), (1099, Some("card_declined")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A plain struct drops the fields that it does not declare. [`payload!`](crate::payload) declares one that keeps them.
    pub struct Stripe = "stripe";
    scheme: Scheme::new("stripe-signature")
        .with_fields(',', "v1")
        .with_time_field("t", TimeUnit::Seconds)
        .with_template("{timestamp}.{body}")
        .with_tolerance(Duration::from_secs(300));
    envelope: Envelope::new().with_name("type").with_time("created").with_numeric_time();
}
