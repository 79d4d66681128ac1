//! The contract of a store, on the stores of this crate and on broken ones that it has to catch.

#[path = "../common/race.rs"]
mod race;

mod stores;
