//! The Redis store, on a real server.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod cluster;
mod refusals;
mod replica;
mod server;
mod support;
mod tls;
