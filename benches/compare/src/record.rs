//! What was measured: one value a line, under a name like `time/sha2/641/1/accepted/hmac`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Values by name.
pub struct Record(BTreeMap<String, f64>);

impl Record {
    /// The value of this name, if it was measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All values whose names begin and end so, with a number between, in its order.
    pub fn curve(&self, prefix: &str, suffix: &str) -> Vec<(f64, f64)> {
        let number = |name: &str| name.strip_prefix(prefix)?.strip_suffix(suffix)?.parse().ok();
        let mut points: Vec<(f64, f64)> =
            self.0.iter().filter_map(|(name, value)| Some((number(name)?, *value))).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    }

    /// Reads a file's lines.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut values = BTreeMap::new();
        for line in std::fs::read_to_string(path)?.lines() {
            let (name, value) = line.split_once('\t').ok_or(io::ErrorKind::InvalidData)?;
            if values.insert(name.to_owned(), value.parse().map_err(io::Error::other)?).is_some() {
                return Err(io::Error::other(format!("{name} was recorded twice")));
            }
        }
        Ok(Self(values))
    }
}

/// Writes one value to standard output, where `benches/figures` collects them.
pub fn put(name: impl std::fmt::Display, value: f64) {
    println!("{name}\t{value}");
}
