//! The Redis store, on a real server.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod cluster;
mod contract;
mod refusals;
mod replica;
mod support;
mod tls;
