//! The idempotency stores of [countersign](https://docs.rs/countersign) in SQLite and PostgreSQL, with sqlx.
//!
//! | store | feature | keeps keys | for |
//! |---|---|---|---|
//! | `SqliteStore` | `sqlite` | in a file | one machine, any number of processes |
//! | `PostgresStore` | `postgres` | in a table | any number of machines |
//!
//! Both keep the contract of [`IdempotencyStore`](countersign::IdempotencyStore). Both can also record a key in one
//! transaction with the handler's effect ([`TransactionalStore`](countersign::store::TransactionalStore)): both are then
//! committed together or not at all.
//! [Choosing a store](countersign::guide::choosing_a_store) compares them with the others.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![cfg(any(feature = "postgres", feature = "sqlite"))]

#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod batch;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod call;
mod claim;
mod error;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod flush;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_transaction;
mod purge;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod queue;
mod recorded;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_transaction;
mod table;
mod version;

pub use error::SqlStoreError;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::PostgresStore;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres_transaction::PostgresTransaction;
pub use recorded::Recorded;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite_transaction::SqliteTransaction;
/// The `sqlx` crate, whose pools and transactions the stores use.
pub use sqlx;
pub use table::{TableName, TableNameError};
pub use version::{Advance, Version};

/// The README's code compiles.
#[cfg(all(doctest, feature = "postgres", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
