//! From verified bytes to types: the envelope, the events, their payloads, and JSON that is kept as text.

mod envelope;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod event;
mod json;
mod json_object;
mod open_enum;
mod payload;
mod private;

pub(crate) use envelope::Envelope;
pub use event::{Event, EventData, UnknownEvent, deserialize, serialize};
pub use json::{Json, Number};
pub use json_object::once;
pub(crate) use open_enum::open_enum;
pub use payload::{Extra, Fields, optional, read, unknown};
