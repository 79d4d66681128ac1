//! The official SDKs of the built-in providers. `tests/interop` holds countersign against them.

/// svix's crate as far as it signs and verifies: its own file, which uses nothing of the rest.
pub mod svix {
    include!(env!("SVIX_WEBHOOKS"));
}
