//! The idempotency stores of [countersign](https://docs.rs/countersign) in SQLite and PostgreSQL, with sqlx.
//!
//! | store | feature | keeps keys | for |
//! |---|---|---|---|
//! | `SqliteStore` | `sqlite` | in a file | one machine, any number of processes |
//! | `PostgresStore` | `postgres` | in a table | any number of machines |
//!
//! Both keep the contract of [`IdempotencyStore`](countersign::IdempotencyStore). Both can also mark a key done in your
//! own transaction: the key and the effect are then committed together or not at all.
//! [Choosing a store](countersign::guide::choosing_a_store) compares them with the others.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![cfg(any(feature = "postgres", feature = "sqlite"))]

#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod batch;
mod claim;
mod error;
#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
mod flush;
#[cfg(feature = "postgres")]
mod postgres;
mod purge;
mod recorded;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;

pub use error::SqlStoreError;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::PostgresStore;
pub use recorded::Recorded;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;
/// The `sqlx` crate, whose pools and transactions the stores use.
pub use sqlx;
pub use table::{TableName, TableNameError};

/// The README's code compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
