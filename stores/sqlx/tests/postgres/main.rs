//! The PostgreSQL store, on a real server.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod contract;
mod operation;
mod support;
mod transactions;
