//! From a proven body to a typed event: nothing lost, nothing lenient.

#[path = "../common/mod.rs"]
mod common;

mod events;
mod quote3d;
mod recursion;
mod strictness;
