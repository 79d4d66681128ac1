//! The contract of a store, on the stores of this crate and on broken ones that it has to catch.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/race.rs"]
mod race;

mod flaws;
mod stores;
