//! The form in which the handler gets the transaction: key and effect in one commit, on both stores.

#[path = "../../../../tests/common/mod.rs"]
mod common;

mod advance;
mod backend;
mod crowd;
mod failures;
mod hang_ups;
mod outcomes;
mod races;
mod shared;
