//! Receive webhooks safely: prove that a delivery is the provider's, turn it into a typed event,
//! and handle each event once, on storage of your own choosing.
//!
//! ```
//! use countersign::{Secret, Webhook, provider::{Quote3d, quote3d}};
//! # fn price(price: &countersign::Number) {}
//! # fn receive(headers: &http::HeaderMap, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let webhook = Webhook::<Quote3d>::new(Secret::from_env("QUOTE3D_WEBHOOK_SECRET")?);
//!
//! let delivery = webhook.verify(headers, body)?; // an error's `status()` is what to answer
//! match delivery.event()? {
//!     quote3d::Event::QuoteCompleted(quote) => price(&quote.result.total_price),
//!     other => println!("not ours: {:?}", other.name()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Webhook`] verifies; the [`Delivery`] it returns is the proof, and bytes from the wire become a
//! typed event or an [`IdempotencyKey`] only by way of one. A [`Receiver`] joins a webhook and an [`IdempotencyStore`]: it
//! verifies, claims the key, runs your handler, marks the key done, and knows the status to answer.
//!
//! It sends nothing, runs no server, schedules no retries, and owns no database of yours.
//!
//! | | |
//! |---|---|
//! | [`Webhook`], [`Delivery`], [`Error`] | from headers and raw bytes to a proven delivery |
//! | [`provider`] | Quote3D, NowToPrint, 3QPR: their headers and typed events |
//! | [`Provider`], [`events!`], [`payload!`] | a provider of your own, in some ten lines |
//! | [`Receiver`], [`Outcome`] | each event handled once |
//! | [`IdempotencyStore`], [`store`] | where handled keys are kept |
//! | [`Secret`], [`Signature`], [`Verifier`] | the layer below, which knows no HTTP and no JSON |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `tower` | for hyper, AWS Lambda and all that speaks `http::Request`: a layer, a whole endpoint, and `verify_request` |
//! | `axum` | `Verified`, an axum 0.8 extractor, and responses for [`Error`] and [`Outcome`] |
//! | `actix-web` | `Verified`, an actix-web 4 extractor, a whole endpoint, and responses |
//! | `tracing` | an event for each refusal and outcome, and a span around the handler, without payload or secret |
//! | `aws-lc-rs` | the MAC by AWS-LC in place of RustCrypto's `hmac` and `sha2`: see [below](#the-mac) |
//! | `conformance` | the contract of a store, as a suite that runs against yours |
//! | `diagnose` | `diagnose::Diagnoser`, for operators: what would have made a refused delivery verify, and the cure |
//!
//! # The MAC
//!
//! HMAC-SHA256 is RustCrypto's by default: Rust alone, and as fast as any on a CPU with SHA extensions. With
//! the feature `aws-lc-rs` it is AWS-LC's, as is the SHA-256 of keys: faster on CPUs without them, and it
//! takes a C compiler to build. Nothing else changes, neither the interface nor a verdict. The SHA-1 and SHA-512
//! that the feature `diagnose` tries stay RustCrypto's.
//!
//! Who has to use a module that is validated by FIPS 140 takes AWS-LC's: enable the feature here, and the
//! feature `fips` of `aws-lc-rs` in your own manifest, which then holds for the whole program. It takes
//! CMake and Go to build, which is why it is no feature here: `--all-features` would need them. It has to be
//! the same major version of `aws-lc-rs`, which Cargo then shares. That the FIPS module is what runs,
//! `aws_lc_rs::try_fips_mode` tells; which of its versions are validated, NIST does. RustCrypto's `hmac` and `sha2`
//! stay among the dependencies, and this MAC does not use them.
//!
//! ```toml
//! [dependencies]
//! countersign = { version = "0.1", features = ["aws-lc-rs"] }
//! aws-lc-rs = { version = "1", features = ["fips"] }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
#[cfg(feature = "diagnose")]
#[cfg_attr(docsrs, doc(cfg(feature = "diagnose")))]
pub mod diagnose;
mod error;
mod event;
mod mac;
pub mod provider;
mod receiver;
pub mod store;
mod trace;
mod webhook;

pub use error::Error;
pub use event::{Event, EventData, Extra, Json, Number, UnknownEvent};
/// The `http` crate, whose header types are part of this crate's interface.
pub use http;
#[cfg(countersign_memcheck)]
#[doc(hidden)]
pub use mac::memcheck;
pub use mac::{
    MalformedSignature, MatchedSecret, Secret, SecretError, Secrets, Signature, SignatureMismatch,
    Verification, Verifier,
};
#[doc(inline)]
pub use provider::Provider;
pub use receiver::{Outcome, Receiver};
#[doc(inline)]
pub use store::{IdempotencyKey, IdempotencyStore, MemoryStore, PolicyError};
pub use webhook::{Delivery, Headers, PartialDelivery, Webhook};

#[cfg(feature = "actix-web")]
#[cfg_attr(docsrs, doc(cfg(feature = "actix-web")))]
pub use adapter::actix_web;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use adapter::axum;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub use adapter::tower;
/// What the exported macros need to name. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use std::borrow::Cow;

    pub use serde;

    pub use crate::event::{Fields, deserialize, once, optional, read, serialize, unknown};
}

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Bytes from the wire become a delivery, an event or a key only by verifying. What must not compile:
///
/// ```compile_fail,E0451
/// # use countersign::{Delivery, provider::Quote3d};
/// fn forge(real: Delivery<'_, Quote3d>) -> Delivery<'_, Quote3d> {
///     Delivery { ..real }
/// }
/// ```
/// ```compile_fail,E0599
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
/// # let webhook = Webhook::<Quote3d>::new(Secret::new("shown-once-in-the-dashboard").unwrap());
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
#[cfg(doctest)]
struct OnlyByVerifying;
