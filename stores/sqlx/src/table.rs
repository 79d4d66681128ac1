//! The name of a store's table. It becomes part of SQL statements, so it is checked.

use std::fmt;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The name of a SQL store's table: `countersign_keys` by default.
///
/// ```
/// use countersign_sqlx::TableName;
///
/// assert_eq!(TableName::new("webhook_keys")?.as_str(), "webhook_keys");
/// assert!(TableName::new("keys; DROP TABLE orders").is_err());
/// # Ok::<(), countersign_sqlx::TableNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName(String);

impl TableName {
    /// The greatest length of a name, in bytes: PostgreSQL keeps 63 bytes of an identifier, and the names
    /// of the second table and of its primary key add 14 bytes.
    pub const MAX_LEN: usize = 48;

    /// Checks a name: a lower-case ASCII letter or `_`, followed by lower-case letters, digits and `_`. A keyword of
    /// SQL, such as `order`, is accepted, because this crate quotes the name. Upper case is refused, because PostgreSQL
    /// folds it in an unquoted name. `pg_…` and `sqlite_…` are refused, because the databases reserve them, and
    /// `…_versions`, because a store's second table has such a name.
    ///
    /// # Errors
    /// [`TableNameError`] if it is anything else.
    pub fn new(name: impl Into<String>) -> Result<Self, TableNameError> {
        let name = name.into();
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let goes_on = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let reserved = name.starts_with("pg_") || name.starts_with("sqlite_");
        // The table of `advance` has this name.
        let reserved = reserved || name.ends_with("_versions");
        let fits = name.len() <= Self::MAX_LEN;
        if begins && goes_on && fits && !reserved { Ok(Self(name)) } else { Err(TableNameError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Replaces the default name in this crate's SQL with this one.
    pub(crate) fn in_sql(&self, sql: &str) -> SqlStr {
        // Safe: the SQL is this crate's own, except for the name, which was checked.
        AssertSqlSafe(Arc::<str>::from(sql.replace("countersign_keys", &self.0))).into_sql_str()
    }
}

impl Default for TableName {
    fn default() -> Self {
        Self("countersign_keys".to_owned())
    }
}

/// The error of a table name that [`TableName::new`] refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableNameError;

impl TableNameError {
    /// Always `invalid_table_name`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_table_name"
    }
}

impl fmt::Display for TableNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table name is at most 48 of a-z, 0-9 and _, and begins with no digit, pg_ or sqlite_")
    }
}

impl std::error::Error for TableNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_plain_identifier() {
        for name in ["countersign_keys", "_", "k9", "order", "pg", "pgkeys", &"k".repeat(48)] {
            assert!(TableName::new(name).is_ok(), "{name}");
        }
        let long = "k".repeat(49);
        let names = ["", "9k", "Keys", "a.b", "a-b", "a b", "\"a\"", "a'", "a;--", "é", "a\0", &long];
        for name in names.into_iter().chain(["pg_class", "sqlite_keys"]) {
            assert_eq!(TableName::new(name), Err(TableNameError), "{name}");
        }
        assert_eq!(TableNameError.code(), "invalid_table_name");
        let message =
            "a table name is at most 48 of a-z, 0-9 and _, and begins with no digit, pg_ or sqlite_";
        assert_eq!(TableNameError.to_string(), message);
    }
}
