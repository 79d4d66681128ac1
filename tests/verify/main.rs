//! From headers and raw bytes to a proven delivery: what is accepted, what is refused, and how each says so.

#[path = "../common/mod.rs"]
mod common;

mod age;
mod debug;
mod environment;
mod errors;
mod headers;
mod incidents;
mod incoming;
mod properties;
mod secrets;
mod sha256_hex_vectors;
mod vectors;
mod verdict;
mod webhook;
