//! The built-in providers and their official SDKs. `checks/interop/install` installs the SDKs.

mod agreement;
mod deliveries;
mod maker;
mod malformed;
mod ours;
mod readme;
mod sdks;
