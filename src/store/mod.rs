//! Where handled keys are kept: the contract, and the stores of this crate.
//!
//! | store | keeps keys | for |
//! |---|---|---|
//! | [`MemoryStore`] | in the process, until it ends | one process whose restart may handle an event again; tests |
//! | `SqliteStore`, of the crate `countersign-sqlx` | in a file | one machine, any number of processes |
//! | `PostgresStore`, of the crate `countersign-sqlx` | in a table | any number of machines |
//! | `RedisStore`, of the crate `countersign-redis` | in Redis or Valkey | any number of machines |
//! | yours | wherever you like | implement [`IdempotencyStore`], and run `conformance` (a feature) on it |
//!
//! A key is claimed under a lease while its event is handled, and marked done after:
//!
//! ```text
//!            claim ──▶ Acquired ──▶ complete ──▶ Done, until the retention ends
//!  unknown ──┤            │  ├────▶ release  ──▶ unknown
//!            │            │  └────▶ renew    ──▶ Acquired, for longer
//!            │            └─ lapsed: the next claim takes it over, and this lease is Lost
//!            └─ another holds it: InFlight
//! ```

#[cfg(feature = "conformance")]
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
pub mod conformance;
mod contract;
mod dyn_store;
mod idempotency_key;
mod memory;
mod policy_error;

pub use contract::{Claim, IdempotencyStore, Lease, LeaseStatus, check_lease_duration, check_retention};
pub use dyn_store::{DynIdempotencyStore, DynStoreError};
pub use idempotency_key::IdempotencyKey;
#[cfg(feature = "tracing")]
pub(crate) use idempotency_key::is_short_and_plain;
pub use memory::{MemoryStore, MemoryStoreError};
pub use policy_error::PolicyError;
