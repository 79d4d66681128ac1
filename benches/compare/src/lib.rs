//! What countersign costs, beside what else does its work: the parts of the programs in `src/bin`,
//! which `benches/figures` and `benches/services` run.

pub mod candidates;
pub mod case;
pub mod claims;
pub mod diagram;
pub mod figures;
pub mod forms;
pub mod keys;
pub mod plots;
pub mod process;
pub mod record;
#[path = "../../rounds/mod.rs"]
pub mod rounds;
#[cfg(feature = "stores")]
#[path = "../../../tests/common/servers.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
pub mod servers;
pub mod services;
pub mod svg;
