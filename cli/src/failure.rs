//! How a command ends: an exit code that scripts can use, and for people what to do.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::terminal;

/// What was judged is not as it should be: refused, or a forged delivery that was not.
pub(crate) const REJECTED: u8 = 1;
/// The command was called wrongly, or what it needs (a secret, a file) is not there or not readable.
pub(crate) const USAGE: u8 = 2;
/// Nobody answered: no connection, a broken one, or no answer in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// What a shell reports of a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;
/// What a shell reports of a program that wrote into a closed pipe.
const BROKEN_PIPE: u8 = 141;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// With what is wrong, and what to do about it.
    Usage(String),
    /// Whoever read the output has enough of it.
    BrokenPipe,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Reports it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => USAGE,
            Self::BrokenPipe => return BROKEN_PIPE.into(),
        };
        terminal::note(&terminal::visible(&format!("countersign: {self}")));
        code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::BrokenPipe => f.write_str("the output was closed"),
        }
    }
}

/// An error of writing the output, which is the only way commands meet one without a word of their own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Usage(format!("the output cannot be written: {error}")),
        }
    }
}
