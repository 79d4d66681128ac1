//! How an example ends when it fails: with the error and its causes as text, and exit code 1.
//!
//! A program whose `main` returns an error prints that error's `Debug` form, which is made for the developers of a
//! crate. The errors of `anyhow` and `eyre` print text, as this one does.

use std::error::Error;
use std::fmt;

/// Any error, for `main` to return.
pub struct Report(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
