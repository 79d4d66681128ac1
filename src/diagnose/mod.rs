//! A [`Diagnoser`] tells operators what would have made a delivery verify (feature `diagnose`).

mod body;
mod cause;
mod diagnoser;
mod diagnosis;
mod found;
mod hash;
mod json;
mod lens;
mod message;
mod reading;
mod search;
mod secret;
mod sent;
mod spelling;
mod style;
mod tokens;

pub use cause::{Cause, JsonLayout};
pub use diagnoser::Diagnoser;
pub use diagnosis::{Diagnosis, Hint};
