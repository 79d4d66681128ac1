//! The store in a file.

use std::time::Duration;

use countersign_sqlx::SqliteStore;
use tempfile::TempDir;

pub(crate) const LEASE: Duration = Duration::from_secs(60);
pub(crate) const RETENTION: Duration = Duration::from_secs(3600);

pub(crate) async fn open(directory: &TempDir) -> SqliteStore {
    SqliteStore::open(directory.path().join("webhooks.db")).await.unwrap()
}
