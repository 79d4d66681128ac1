//! How a command fails: an exit code for scripts, and a message that tells people what to do.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::terminal;

/// The verdict was not as expected: a delivery was refused, or a forged one was accepted.
pub(crate) const REJECTED: u8 = 1;
/// The usage was wrong, or a secret or a file was missing or unreadable.
pub(crate) const USAGE: u8 = 2;
/// No answer came: no connection, a broken one, or no answer in time.
pub(crate) const UNREACHABLE: u8 = 3;
/// The exit code that a shell reports for a program ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// The exit code that a shell reports for a program that wrote to a closed pipe.
const BROKEN_PIPE: u8 = 141;

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Says what is wrong, and what to do about it.
    Usage(String),
    /// The reader closed the output.
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

/// An I/O error without a message of its own comes from writing the output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::Usage(format!("the output cannot be written: {error}")),
        }
    }
}
