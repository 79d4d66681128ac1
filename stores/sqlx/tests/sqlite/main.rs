//! The SQLite store: the contract, restarts, and many processes on one file.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod contract;
mod file;
mod purge;
mod support;
