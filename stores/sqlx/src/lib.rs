//! [countersign](https://docs.rs/countersign)'s idempotency stores in a SQL database, by sqlx.
//!
//! | store | feature | keeps keys | for |
//! |---|---|---|---|
//! | `SqliteStore` | `sqlite` | in a file | one machine, any number of processes |
//! | `PostgresStore` | `postgres` | in a table | any number of machines |
//!
//! Both keep the contract of [`IdempotencyStore`](countersign::IdempotencyStore), and both take part in a
//! transaction of yours: key and effect are then committed together or not at all.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![cfg(any(feature = "postgres", feature = "sqlite"))]

mod error;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod table;

pub use error::SqlStoreError;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;
/// The `sqlx` crate, whose pool and whose transactions the stores take.
pub use sqlx;
pub use statements::Recorded;
pub use table::{TableName, TableNameError};
