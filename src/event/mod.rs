//! From verified bytes to types: the envelope, the events, their payloads, and JSON that is kept as text.

mod contents;
mod envelope;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod event;
mod json;
mod json_object;
mod open_enum;
mod payload;
mod private;
mod time;

pub(crate) use contents::{Contents, Members, check_object};
pub use envelope::Envelope;
pub(crate) use envelope::{Name, Place};
pub use event::{Event, EventData, UnknownEvent, deserialize, serialize};
pub use json::{Json, Number};
pub use json_object::once;
pub(crate) use open_enum::open_enum;
pub use payload::{Extra, Fields, optional, read, unknown};
pub(crate) use time::rfc3339;
