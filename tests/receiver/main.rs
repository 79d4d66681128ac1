//! Each event handled once: the receiver, and whole services on every store that are killed, cut off and misled.

#[path = "../common/mod.rs"]
mod common;

#[cfg(all(unix, feature = "axum", feature = "conformance"))]
mod clock;
#[cfg(all(unix, feature = "axum"))]
mod crash;
mod outage;
mod policy;
mod receiver;
mod renewal;
mod support;
