//! What is signed, and how the signature is written: from a request's headers to the bytes and the candidates.

mod error;
mod headers;
#[cfg(test)]
mod injectivity;
mod names;
mod reader;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod scheme;
mod template;
mod time;

pub use error::SchemeError;
pub use headers::Headers;
pub(crate) use headers::{Occurrence, occurrence};
pub(crate) use names::is_header_name;
pub(crate) use reader::{Head, Pieces, Reader, Sent};
pub use scheme::Scheme;
pub(crate) use scheme::{Form, TimeSource, Tolerance};
pub(crate) use template::{MAX_HEADERS, has_header, is_equal};
pub use time::TimeUnit;
