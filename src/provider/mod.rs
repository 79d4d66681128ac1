//! Providers: their names, headers and events.
//!
//! | provider | signature header | event header | idempotency key |
//! |---|---|---|---|
//! | [`Quote3d`] | `X-Webhook-Signature` | `X-Webhook-Event`, required | SHA-256 of the body |
//! | [`NowToPrint`] | not documented: `X-Webhook-Signature` by default | none | the body's `id`, as this crate reads the documentation |
//! | [`ThreeQpr`] | `X-3QPR-Signature` | none | the body's `id` |
//!
//! These are generic over the type of their events, which is [`UnknownEvent`](crate::UnknownEvent) unless told:
//!
//! | provider | signature header | what is signed | tolerance | event's name | idempotency key |
//! |---|---|---|---|---|---|
//! | [`StandardWebhooks`] | `webhook-signature` or `svix-signature` | id, time and body | 5 minutes | `type`, if there is one | the id, after the sender's name |
//! | [`Stripe`] | `Stripe-Signature` | time and body | 5 minutes | `type` | `id` |
//! | [`GitHub`] | `X-Hub-Signature-256` | body | | `X-GitHub-Event`, **unsigned** | SHA-256 of name and body |
//! | [`Shopify`] | `X-Shopify-Hmac-SHA256` | body | | `X-Shopify-Topic`, **unsigned** | SHA-256 of name and body |
//! | [`Slack`] | `X-Slack-Signature` | time and body | 5 minutes | none: its bodies are opaque | SHA-256 of the body |
//! | [`Zoom`] | `x-zm-signature` | time and body | none | `event` | SHA-256 of the body |
//! | [`Paddle`] | `Paddle-Signature` | time and body | 5 minutes | `event_type` | `event_id` |
//! | [`Linear`] | `Linear-Signature` | body | none | `type` | SHA-256 of the body |
//! | [`Square`] | `x-square-hmacsha256-signature` | URL and body | | `type` | `event_id` |
//!
//! A [`DeclaredProvider`] comes from a configuration.

mod builtin;
mod challenge;
mod check;
mod declared;
mod github;
mod linear;
pub mod nowtoprint;
mod paddle;
pub mod quote3d;
mod shopify;
mod slack;
mod square;
mod standard_webhooks;
mod stripe;
pub mod threeqpr;
mod zoom;

pub(crate) use challenge::Answer;
pub use challenge::Challenge;
pub(crate) use check::{check, scheme_with};
pub use declared::DeclaredProvider;
pub use github::GitHub;
pub use linear::Linear;
pub use nowtoprint::NowToPrint;
pub use paddle::Paddle;
pub use quote3d::Quote3d;
pub use shopify::Shopify;
pub use slack::Slack;
pub use square::Square;
pub use standard_webhooks::StandardWebhooks;
pub use stripe::Stripe;
pub use threeqpr::ThreeQpr;
pub use zoom::Zoom;

use crate::event::{Envelope, Event};
use crate::scheme::Scheme;

/// A provider: its name, its scheme, its envelope and its events. A provider contains no logic, and those in this
/// crate are declared as yours would be. [Writing a provider](crate::guide::writing_a_provider) is the guide.
///
/// The [`Scheme`] says what the provider signs and how it writes the signature, and the [`Envelope`] where the event's
/// name, id, time and data stand. The envelope is by default a JSON object with a string `event`, an `id` and a
/// `timestamp` that are strings or null, and `data`, which is any JSON.
///
/// ```
/// use countersign::{Provider, Scheme, Secret, UnknownEvent, Webhook};
///
/// #[derive(Debug, Default)]
/// struct Acme;
///
/// impl Provider for Acme {
///     type Event = UnknownEvent;
///     const NAME: &'static str = "acme";
///     const SCHEME: Scheme<'static> = Scheme::new("x-acme-signature").with_prefix("sha256=");
/// }
///
/// let webhook = Webhook::<Acme>::new(Secret::new("a-secret-of-sixteen-bytes-or-more")?)?;
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
    /// and `.`. The compiler checks this. The name is part of the keys that stores remember, so it must not
    /// change.
    const NAME: &'static str;

    /// What the provider signs, and how it writes the signature. The compiler checks that it makes sense, and that
    /// deliveries which differ in what is signed have different signed bytes:
    ///
    /// ```compile_fail,E0080
    /// use countersign::{Provider, Scheme, Secret, UnknownEvent, Webhook};
    ///
    /// #[derive(Default)]
    /// struct Acme;
    ///
    /// impl Provider for Acme {
    ///     type Event = UnknownEvent;
    ///     const NAME: &'static str = "acme";
    ///     const SCHEME: Scheme<'static> = Scheme::new("x-acme-signature")
    ///         .with_template("{header:x-acme-id}{header:x-acme-topic}.{body}"); // with `.` in between, it compiles
    /// }
    ///
    /// let webhook = Webhook::<Acme>::new(Secret::new("your-provider-showed-this-once").unwrap())?;
    /// ```
    const SCHEME: Scheme<'static>;

    /// Where the event's name, id, time and data stand. The compiler checks that no member is two of them.
    ///
    /// ```compile_fail,E0080
    /// use countersign::{Envelope, Provider, Scheme, Secret, UnknownEvent, Webhook};
    ///
    /// #[derive(Default)]
    /// struct Acme;
    ///
    /// impl Provider for Acme {
    ///     type Event = UnknownEvent;
    ///     const NAME: &'static str = "acme";
    ///     const SCHEME: Scheme<'static> = Scheme::new("x-acme-signature");
    ///     const ENVELOPE: Envelope<'static> = Envelope::new().with_id("event"); // with "delivery_id", it compiles
    /// }
    ///
    /// let webhook = Webhook::<Acme>::new(Secret::new("your-provider-showed-this-once").unwrap())?;
    /// ```
    const ENVELOPE: Envelope<'static> = Envelope::new();

    /// How the provider verifies an endpoint, if it does.
    const CHALLENGE: Option<Challenge> = None;

    /// The name, for a provider that is known only at run time.
    fn name(&self) -> &str {
        Self::NAME
    }

    /// The scheme, for a provider with settings. It is called once, when the webhook is made, which checks it.
    fn scheme(&self) -> Scheme<'_> {
        Self::SCHEME
    }

    /// The envelope, for a provider that is known only at run time. It is called once, when the webhook is made, which
    /// checks it.
    fn envelope(&self) -> Envelope<'_> {
        Self::ENVELOPE
    }
}
