//! Framework adapters: each reads a request's body within its limit, and verifies it.

#[cfg(feature = "axum")]
pub mod axum;
