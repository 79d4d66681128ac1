//! What was measured: one value a line, under a name like `time/sha2/641/1/accepted/hmac`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Values by name.
#[derive(Debug, Clone, Default)]
pub struct Record(BTreeMap<String, f64>);

impl Record {
    /// The value of this name, if it was measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// All values whose names begin so, by the rest of the name.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }

    /// Those among them whose rest is a number, in its order.
    pub fn curve(&self, prefix: &str, suffix: &str) -> Vec<(f64, f64)> {
        let point = |(name, value): (&str, f64)| Some((name.strip_suffix(suffix)?.parse().ok()?, value));
        let mut points: Vec<(f64, f64)> = self.under(prefix).filter_map(point).collect();
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
