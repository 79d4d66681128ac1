//! What the handlers do to the world: one row for each event.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// A row, in any database.
pub const INSERT: &str = "INSERT INTO effects VALUES ($1, $2)";

pub const SQLITE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS effects (job_id TEXT NOT NULL, total_price REAL NOT NULL)";

/// The list in Redis.
pub const REDIS_LIST: &str = "effects";

/// Rows in the memory of this process.
#[derive(Clone, Default)]
pub struct Effects(Arc<Mutex<Vec<(String, f64)>>>);

impl Effects {
    pub fn push(&self, job_id: String, total_price: f64) {
        self.0.lock().unwrap().push((job_id, total_price));
    }

    /// How many there are, and of how many jobs.
    pub fn count(&self) -> String {
        let effects = self.0.lock().unwrap();
        let jobs: HashSet<_> = effects.iter().map(|(job_id, _)| job_id).collect();
        format!("{} {}", effects.len(), jobs.len())
    }
}
