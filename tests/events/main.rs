//! From a proven body to a typed event: nothing lost, nothing lenient.

#[path = "../common/mod.rs"]
mod common;

mod events;
mod recursion;
mod strictness;
