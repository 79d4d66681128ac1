//! Why a call of a SQL store failed.

use std::fmt;
use std::sync::Arc;

use countersign::PolicyError;

/// Any error, behind `source()`.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a call of a SQL store failed.
///
/// The message names only the kind of the error. The reason, such as a wrong URL, port, role or TLS setting, is in
/// `source()`. (If no server answers at the address, the reason is that the pool timed out.) Print it when the service
/// starts, where no payload is involved:
///
/// ```
/// # #[cfg(feature = "postgres")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::{error::Error, iter::successors};
/// use countersign_sqlx::PostgresStore;
///
/// if let Err(error) = PostgresStore::connect("localhost/shop").await {
///     for cause in successors(Some(&error as &dyn Error), |&error| error.source()) {
///         eprintln!("error: {cause}");
///     }
/// #   assert_eq!(error.to_string(), "the store's database failed");
/// #   assert!(error.source().is_some_and(|source| source.to_string().contains("URL")));
/// #   return;
/// }
/// # panic!("a URL without a scheme");
/// # }
/// # #[cfg(not(feature = "postgres"))]
/// # fn main() {}
/// ```
///
/// A handler that returns this error from
/// [`Receiver::handle_in_transaction`](countersign::Receiver::handle_in_transaction) says that the store failed: the answer
/// is 503. For errors of its own SQL, let it return `sqlx::Error` or a box of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlStoreError {
    /// Another transaction is in the way; the call can be repeated. In PostgreSQL, that transaction holds the key for
    /// longer than the lock timeout or, if yours is stricter than `READ COMMITTED`, has
    /// changed it. In SQLite, it has been writing for longer than the busy timeout.
    #[error("another transaction is in the way")]
    #[non_exhaustive]
    Locked {
        /// The driver's error.
        source: BoxError,
    },
    /// The database or its driver failed: for example no connection, no table, no right to it, or a full disk. The driver's
    /// error may quote values, for example those of a row that your own constraint or trigger refuses at the commit. If
    /// your logs must not contain such values, log the [`code`](SqlStoreError::code) instead.
    #[error("the store's database failed")]
    #[non_exhaustive]
    Database {
        /// The driver's error.
        source: BoxError,
    },
    /// The path given to `SqliteStore::open` may not be a file. A store that ends with the process would handle an
    /// event again after a restart.
    #[error(
        "the path of the store is empty, :memory: or a URI, and so may be no file: give a path, or call \
         SqliteStore::in_memory in a test"
    )]
    NotAFile,
    /// The handler's transaction had ended before its commit, or was another delivery's, so the store committed nothing: the
    /// handler ignored the error of a statement, or ended the transaction with SQL of its own. In SQLite, it may
    /// have been another handler, with which this one shared the commit. In PostgreSQL, a `COMMIT` of the handler's own has
    /// committed what came before it, with the key.
    #[error("the handler's transaction had ended before its commit: an error of a statement was ignored")]
    NotCommitted,
    /// The name of an object is empty, longer than 1,024 bytes, or contains NUL.
    #[error("an object's name has 1 to 1,024 bytes and no NUL")]
    InvalidObject,
    /// The operating system returned no random bytes.
    #[error("no random token for a claim")]
    #[non_exhaustive]
    Random {
        /// The operating system's error.
        source: BoxError,
    },
    /// The lease duration or the retention is zero.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl SqlStoreError {
    /// The error's code, which never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Database { .. } | Self::Random { .. } => "store_failed",
            Self::NotAFile => "store_not_a_file",
            Self::NotCommitted => "store_not_committed",
            Self::InvalidObject => "store_invalid_object",
            Self::Policy(error) => error.code(),
        }
    }

    fn of_driver(is_locked: bool, source: BoxError) -> Self {
        if is_locked { Self::Locked { source } } else { Self::Database { source } }
    }

    pub(crate) fn random(source: BoxError) -> Self {
        Self::Random { source }
    }
}

/// The driver's error that several calls share.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<sqlx::Error>);

#[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "PostgreSQL uses its part"))]
impl Shared {
    pub(crate) fn new(error: sqlx::Error) -> Self {
        Self(Arc::new(error))
    }

    /// Shares an error if another transaction is in the way, for which each call would wait in vain.
    pub(crate) fn if_locked(error: sqlx::Error) -> Option<Self> {
        is_locked(&error).then(|| Self::new(error))
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<Shared> for SqlStoreError {
    fn from(error: Shared) -> Self {
        Self::of_driver(is_locked(&error.0), error.into())
    }
}

impl From<sqlx::Error> for SqlStoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::of_driver(is_locked(&error), error.into())
    }
}

/// Whether another transaction is in the way. The driver's type is checked first, because an SQLSTATE of PostgreSQL may
/// have the digits of a SQLite code.
fn is_locked(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        // lock_not_available, serialization_failure and deadlock_detected.
        return matches!(error.code(), "55P03" | "40001" | "40P01");
    }
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The primary result code SQLITE_BUSY is 5; extended codes hold it in their low byte.
        let code = error.code().and_then(|code| code.parse::<u32>().ok());
        return code.is_some_and(|code| code & 0xff == 5);
    }
    false
}
