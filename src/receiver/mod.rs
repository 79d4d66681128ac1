//! A webhook and a store together: each event is handled once.

mod outcome;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod receiver;
mod renewal;
mod transaction;

pub use outcome::Outcome;
pub use receiver::Receiver;
