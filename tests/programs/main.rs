//! The programs under `examples`, driven as their users drive them.

#[path = "../common/mod.rs"]
mod common;

#[cfg(all(unix, feature = "actix-web", feature = "axum"))]
mod examples;
mod inspect;
#[cfg(all(unix, feature = "axum"))]
mod receiver;
