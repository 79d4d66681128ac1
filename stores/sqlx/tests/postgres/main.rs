//! The PostgreSQL store, on a real server.

#[path = "../../../../tests/common/mod.rs"]
mod common;
#[path = "../many/mod.rs"]
mod many;
#[path = "../../../../tests/common/race.rs"]
mod race;

mod contract;
mod flush;
mod operation;
mod standby;
mod support;
mod tls;
mod transactions;
