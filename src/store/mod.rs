//! Where handled events are remembered: the store contract, and the store in memory.
//!
//! | store | keeps keys | for |
//! |---|---|---|
//! | [`MemoryStore`] | in the process, until it ends | one process that may handle an event again after a restart; tests |
//! | `SqliteStore`, in the crate `countersign-sqlx` | in a file | one machine, any number of processes |
//! | `PostgresStore`, in the crate `countersign-sqlx` | in a table | any number of machines |
//! | `RedisStore`, in the crate `countersign-redis` | in Redis or Valkey | any number of machines |
//! | your own | in your database | other needs: see [writing a store](crate::guide::writing_a_store) |
//!
//! [Choosing a store](crate::guide::choosing_a_store) compares them.
//!
//! A SQL store can record the key in one transaction with the handler's effect ([`TransactionalStore`]). Otherwise, a key is
//! claimed under a lease while its event is handled, and marked done afterwards:
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
mod transactional;

pub use contract::{Claim, IdempotencyStore, Lease, LeaseStatus, check_lease_duration, check_retention};
pub use dyn_store::{DynIdempotencyStore, DynStoreError};
pub use idempotency_key::IdempotencyKey;
#[cfg(feature = "tracing")]
pub(crate) use idempotency_key::is_short_and_plain;
pub use memory::{MemoryStore, MemoryStoreError};
pub use policy_error::PolicyError;
pub use transactional::{Begun, TransactionalStore};
