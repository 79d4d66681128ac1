//! Schemes: what is accepted and refused, by published vectors, by an independent model, and by the rules.

mod builtins;
mod candidates;
mod declarations;
mod model;
mod vectors;

use countersign::provider::DeclaredProvider;
use countersign::{Secret, Webhook};

/// A webhook of the provider that this row declares.
fn declared(json: &str) -> Webhook<DeclaredProvider> {
    let provider = serde_json::from_str(json).unwrap();
    Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests").unwrap()).unwrap()
}
