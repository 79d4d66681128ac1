//! Receive webhooks safely: verify the signature, read a typed event, and handle each event once.
//!
//! ```
//! use countersign::{Error, Secrets, Webhook, http::HeaderMap, provider::{Quote3d, quote3d}};
//!
//! /// Make the webhook once, at start-up.
//! fn webhook() -> Result<Webhook<Quote3d>, countersign::SetupError> {
//!     Webhook::new(Secrets::from_env("QUOTE3D_WEBHOOK_SECRET")?)
//! }
//!
//! fn receive(webhook: &Webhook<Quote3d>, headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
//!     let delivery = webhook.verify(headers, body)?; // on an error, answer `error.status()`
//!     match delivery.event()? {
//!         quote3d::Event::QuoteCompleted(quote) => println!("{}", quote.result.total_price),
//!         other => println!("not ours: {:?}", other.name()),
//!     }
//!     Ok(())
//! }
//! # let webhook = Webhook::new(countersign::Secret::new("a-secret-for-the-tests")?)?;
//! # let body = include_bytes!("../tests/data/quote3d_quote_completed.json");
//! # receive(&webhook, &webhook.signed_headers(body), body)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Delivery`] exists only if its signature matched the raw body. Events and idempotency keys are read from a
//! delivery and from nothing else. A [`Receiver`] adds a store: it verifies a delivery, claims its key, runs your
//! handler, marks the key done, and returns the status to answer. With a SQL store, key and effect are one commit.
//!
//! It is not a server, a queue, a scheduler of retries or a sender of webhooks, and it owns none of your databases.
//! It verifies no asymmetric signatures or JWTs.
//!
//! | type | what it is for |
//! |---|---|
//! | [`Webhook`], [`Delivery`], [`Error`] | from headers and raw bytes to a verified delivery |
//! | [`PartialDelivery`] | a delivery whose body is still arriving |
//! | [`provider`] | the providers that are built in: their schemes, envelopes and events |
//! | [`Provider`], [`Scheme`], [`Envelope`], [`events!`], [`payload!`] | a provider of your own, in ten lines |
//! | [`Receiver`], [`Outcome`] | each event handled once |
//! | [`IdempotencyStore`], [`store`] | where handled events are remembered |
//! | [`Secret`], [`Signature`], [`Verifier`] | the layer below, which knows neither HTTP nor JSON |
//!
//! # Features
//!
//! No feature is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `tower` | a layer, an endpoint and `verify_request`, for hyper, AWS Lambda and everything that uses `http::Request` |
//! | `axum` | `Verified`, an axum 0.8 extractor, and responses for [`Error`] and [`Outcome`]; it enables `tower` |
//! | `actix-web` | `Verified`, an actix-web 4 extractor, an endpoint, and responses |
//! | `tracing` | one event for each refusal and outcome, and a span around the handler, without payload or secret |
//! | `aws-lc-rs` | AWS-LC's HMAC instead of RustCrypto's: see [the MAC](guide::the_mac) |
//! | `conformance` | the contract of a store, as a test suite for your own store |
//! | `diagnose` | `diagnose::Diagnoser`, for operators: why a delivery was refused, and the cure |
//!
//! The stores for databases are crates of their own: `countersign-sqlx` and `countersign-redis`.
//!
//! # Guides
//!
//! [Migrating from a hand-written check](guide::migrating), [frameworks](guide::frameworks),
//! [choosing a store](guide::choosing_a_store), [statuses](guide::statuses),
//! [testing a receiver](guide::testing_a_receiver), [rotation](guide::rotation), [tenants](guide::tenants),
//! [writing a provider](guide::writing_a_provider), [writing a store](guide::writing_a_store) and
//! [the MAC](guide::the_mac).

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
#[cfg(feature = "diagnose")]
#[cfg_attr(docsrs, doc(cfg(feature = "diagnose")))]
pub mod diagnose;
#[cfg(doctest)]
mod doc_tests;
mod error;
mod event;
pub mod guide;
mod mac;
pub mod provider;
mod receiver;
mod scheme;
pub mod store;
mod trace;
mod webhook;

pub use error::{Error, SetupError};
pub use event::{Envelope, Event, EventData, Extra, Json, Number, UnknownEvent};
/// The `http` crate, whose header types are part of this crate's interface.
pub use http;
#[cfg(countersign_memcheck)]
#[doc(hidden)]
pub use mac::memcheck;
pub use mac::{
    Algorithm, KeyEncoding, MalformedSignature, MatchedSecret, Secret, SecretError, Secrets, Signature,
    SignatureMismatch, TagEncoding, Verification, Verifier,
};
#[doc(inline)]
pub use provider::Provider;
pub use receiver::{Outcome, Receiver};
pub use scheme::{Headers, Scheme, SchemeError, TimeUnit};
#[doc(inline)]
pub use store::{IdempotencyKey, IdempotencyStore, MemoryStore, PolicyError};
pub use webhook::{Delivery, EventNameSource, PartialDelivery, SigningOptions, Webhook};

#[cfg(feature = "actix-web")]
#[cfg_attr(docsrs, doc(cfg(feature = "actix-web")))]
pub use adapter::actix_web;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use adapter::axum;
#[cfg(feature = "tower")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub use adapter::tower;

/// What the exported macros refer to. It is not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use std::borrow::Cow;

    pub use serde;

    pub use crate::event::{Fields, deserialize, once, optional, read, serialize, unknown};
}
