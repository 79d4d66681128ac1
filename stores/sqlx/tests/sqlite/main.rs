//! The SQLite store: the contract, restarts, and many processes on one file.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../many/mod.rs"]
mod many;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod contract;
mod disk;
mod file;
mod flush;
mod purge;
mod support;
