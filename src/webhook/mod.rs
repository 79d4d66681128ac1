//! From a request's headers and body to a verified delivery.

mod challenge;
mod delivery;
mod event_header;
mod partial_delivery;
mod plan;
mod signing_options;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod webhook;

pub use delivery::{Delivery, EventNameSource};
pub use partial_delivery::PartialDelivery;
pub use signing_options::SigningOptions;
pub(crate) use webhook::Proof;
pub use webhook::Webhook;
