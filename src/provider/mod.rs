//! Providers: their names, headers and events.
//!
//! | provider | signature header | event header | idempotency key |
//! |---|---|---|---|
//! | [`Quote3d`] | `X-Webhook-Signature` | `X-Webhook-Event`, required | SHA-256 of the body |
//! | [`NowToPrint`] | not documented: `X-Webhook-Signature` by default | none | the body's `id`, as this crate reads the documentation |
//! | [`ThreeQpr`] | `X-3QPR-Signature` | none | the body's `id` |

use http::HeaderName;

use crate::event::Event;

pub mod nowtoprint;
pub mod quote3d;
pub mod threeqpr;

pub use nowtoprint::NowToPrint;
pub use quote3d::Quote3d;
pub use threeqpr::ThreeQpr;

/// A provider: its name, its headers and its events. A provider contains no logic, and the three in this
/// crate are declared as yours would be. [Writing a provider](crate::guide::writing_a_provider) is the guide.
///
/// A provider must sign and format its deliveries like this:
///
/// - The signature header is `sha256=` and the lower-case hex HMAC-SHA256 of the raw body.
/// - The body is a JSON object with a string `event`. It may have an `id` (or the member that
///   [`EVENT_ID`](Provider::EVENT_ID) names) and a `timestamp`, which are strings or null, and `data`, which is any JSON.
///   A number as the `id` or the `timestamp` refuses the delivery, as
///   [`Error::MalformedPayload`](crate::Error::MalformedPayload).
///
/// If a provider signs like this but formats its bodies differently (a `type` instead of an `event`, a number as the
/// `id`), use [`Webhook::verify_signature`](crate::Webhook::verify_signature).
///
/// ```
/// use countersign::{Provider, Secret, UnknownEvent, Webhook};
/// use http::HeaderName;
///
/// #[derive(Debug, Default)]
/// struct Acme;
///
/// impl Provider for Acme {
///     type Event = UnknownEvent;
///     const NAME: &'static str = "acme";
///
///     fn signature_header(&self) -> HeaderName {
///         HeaderName::from_static("x-acme-signature")
///     }
/// }
///
/// let webhook = Webhook::<Acme>::new(Secret::new("a-secret-of-sixteen-bytes-or-more")?);
/// let body = br#"{"event":"door.opened","id":"evt_1","data":{"door":7}}"#;
/// let delivery = webhook.verify(&webhook.signed_headers(body), body)?;
/// assert_eq!(delivery.idempotency_key().as_str(), "acme:evt_1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Provider: Send + Sync + 'static {
    /// The type of the provider's events. [`events!`](crate::events) declares one; without types, use
    /// [`UnknownEvent`](crate::UnknownEvent).
    type Event: Event;

    /// The provider's name in keys, logs and metrics: 1 to 32 characters of `a` to `z`, `0` to `9`, `-`, `_`
    /// and `.`. The compiler checks this. The name is part of the keys that stores remember, so it must never
    /// change.
    const NAME: &'static str;

    /// The member of the body that identifies the event: `id` by default. With `None`, no member does: a body's
    /// `id` is ignored, and the [`IdempotencyKey`](crate::IdempotencyKey) is the body's SHA-256.
    ///
    /// Use `None` if the documentation does not promise that two events never share the value: the second
    /// event would be answered as a duplicate, and lost. `event`, `timestamp` and `data` cannot identify an event. The
    /// compiler checks this:
    ///
    /// ```compile_fail,E0080
    /// use countersign::{Provider, Secret, UnknownEvent, Webhook};
    ///
    /// #[derive(Default)]
    /// struct Acme;
    ///
    /// impl Provider for Acme {
    ///     type Event = UnknownEvent;
    ///     const NAME: &'static str = "acme";
    ///     const EVENT_ID: Option<&'static str> = Some("event"); // with `Some("delivery_id")` it compiles
    ///
    ///     fn signature_header(&self) -> http::HeaderName {
    ///         http::HeaderName::from_static("x-acme-signature")
    ///     }
    /// }
    ///
    /// let webhook = Webhook::<Acme>::new(Secret::new("your-provider-showed-this-once").unwrap());
    /// ```
    const EVENT_ID: Option<&'static str> = Some("id");

    /// The header with the signature. It is called once, when the webhook is made.
    ///
    /// `HeaderName::from_static` accepts only lower case, and panics otherwise. In a `const`, the panic is an error
    /// of the compiler.
    fn signature_header(&self) -> HeaderName;

    /// The header with the event's name, if the provider has one. Each delivery must then have it once, and it must
    /// equal the signed body's `event`, because the header is not signed.
    fn event_header(&self) -> Option<HeaderName> {
        None
    }
}
