//! The servers that the crate's tests start.

#[path = "../../../tests/common/servers.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests use the rest")]
mod servers;

pub use servers::Server;
