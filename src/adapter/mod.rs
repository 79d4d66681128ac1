//! Adapters for frameworks. Each reads a request's body within its limit, and verifies it.

#[cfg(feature = "actix-web")]
pub mod actix_web;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
mod discard;
mod response;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tower")]
mod transaction;
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod verified;
