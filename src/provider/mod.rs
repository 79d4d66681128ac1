//! Providers: what is known of each, as data.
//!
//! | provider | signature header | event header | idempotency key |
//! |---|---|---|---|
//! | [`Quote3d`] | `X-Webhook-Signature` | `X-Webhook-Event`, required | SHA-256 of the body |
//! | [`NowToPrint`] | not documented: `X-Webhook-Signature` unless told | none | the body's `id`, by this crate's reading |
//! | [`ThreeQpr`] | `X-3QPR-Signature` | none | the body's `id` |

use http::HeaderName;

use crate::event::Event;

pub mod nowtoprint;
pub mod quote3d;
pub mod threeqpr;

pub use nowtoprint::NowToPrint;
pub use quote3d::Quote3d;
pub use threeqpr::ThreeQpr;

/// A provider: its name, its headers and its events. There is no logic in it, and the three of this
/// crate are declared just as yours would be.
///
/// What has to hold of a provider is the scheme: the signature header is `sha256=` and the hex
/// HMAC-SHA256 of the raw body, and the body is a JSON object with a string `event`, perhaps an `id`
/// (or what [`EVENT_ID`](Provider::EVENT_ID) names) and a `timestamp`, which are strings or null, and `data`, which is
/// anything. A number in either refuses the delivery, as [`Error::MalformedPayload`](crate::Error::MalformedPayload).
/// For a provider that signs so but has other bodies (a `type` instead of an `event`, a number for an `id`), take
/// [`Webhook::verify_signature`](crate::Webhook::verify_signature).
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
    /// The provider's events: a type that [`events!`](crate::events) declares, or
    /// [`UnknownEvent`](crate::UnknownEvent).
    type Event: Event;

    /// The provider's name in keys, logs and metrics: 1 to 32 of `a` to `z`, `0` to `9`, `-`, `_`
    /// and `.`, which is checked when your program is compiled. It stands in the keys that stores
    /// remember, so it must never change.
    const NAME: &'static str;

    /// The member of the body that identifies the event, where the provider documents one: `id` unless you
    /// say otherwise. With `None` no member does: a body's `id` is ignored, and the
    /// [`IdempotencyKey`](crate::IdempotencyKey) is made of the body's SHA-256.
    ///
    /// Say `None` if the documentation does not promise that two events never share the value: the second
    /// would be answered as a duplicate, and lost. `event`, `timestamp` and `data` identify no event, which is
    /// checked when your program is compiled:
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

    /// The header with the signature. Asked once, when the webhook is made.
    ///
    /// `HeaderName::from_static` takes lower case alone, and panics otherwise; in a `const`, it does so when
    /// your program is compiled.
    fn signature_header(&self) -> HeaderName;

    /// The header with the event's name, if there is one. It then has to be there, once, and equal
    /// the signed body's `event`: nobody signed the header.
    fn event_header(&self) -> Option<HeaderName> {
        None
    }
}
