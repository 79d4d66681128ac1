//! Documentation that is tested and not shown.

/// The README's code compiles, and runs where it can.
#[cfg(feature = "axum")]
#[doc = include_str!("../README.md")]
struct Readme;

/// Bytes from the wire become a delivery, an event or a key only by verifying. These must not compile:
///
/// ```compile_fail,E0451
/// # use countersign::{Delivery, provider::Quote3d};
/// fn forge(real: Delivery<'_, Quote3d>) -> Delivery<'_, Quote3d> {
///     Delivery { ..real }
/// }
/// ```
/// ```compile_fail,E0624
/// # use countersign::{Delivery, provider::Quote3d};
/// let delivery = Delivery::<'_, Quote3d>::new(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData::new("quote.failed", "{}"));
/// ```
/// ```compile_fail,E0451
/// # use countersign::{Event as _, EventData, provider::quote3d};
/// let event = quote3d::Event::from_data(EventData { name: "quote.failed", text: "{}" });
/// ```
/// ```compile_fail,E0599
/// # use countersign::{Secret, Webhook, provider::Quote3d};
/// # let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard").unwrap())?;
/// let event = webhook.event(b"{}");
/// ```
/// ```compile_fail,E0624
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey::new("quote3d", None, b"{}");
/// ```
/// ```compile_fail,E0423
/// # use countersign::IdempotencyKey;
/// let key = IdempotencyKey("quote3d:sha256:".into());
/// ```
/// ```compile_fail,E0277
/// # use countersign::IdempotencyKey;
/// let key: IdempotencyKey = "quote3d:sha256:".parse().unwrap();
/// ```
struct OnlyByVerifying;
