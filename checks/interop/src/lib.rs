//! The official SDKs of the built-in providers. `tests/interop` holds countersign against them.
