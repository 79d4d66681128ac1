//! Where secrets, headers, a provider and a body meet: from a request to a delivery that is proven.

mod delivery;
mod headers;
mod incoming;
#[allow(clippy::module_inception, reason = "the room is named after its main noun")]
mod webhook;

#[cfg(feature = "diagnose")]
pub(crate) use delivery::Body;
pub use delivery::Delivery;
pub use headers::HeaderValues;
pub use incoming::Incoming;
pub use webhook::Webhook;
