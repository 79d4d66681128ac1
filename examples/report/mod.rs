//! How an example ends when it fails: with the error and its causes as text, and exit code 1.
//!
//! A program whose `main` returns an error prints that error's `Debug` form, which is made for developers. The errors
//! of `anyhow` and `eyre` print text there, and so does this one.

use std::error::Error;
use std::fmt;

/// Any error, for `main` to return.
pub(crate) struct Report(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(&*self.0))
    }
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
