//! From a request's headers and body to a verified delivery.

mod delivery;
mod headers;
mod partial_delivery;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod webhook;

pub use delivery::Delivery;
pub use headers::Headers;
pub use partial_delivery::PartialDelivery;
pub use webhook::Webhook;
