//! Schemes: what is accepted and refused, by published vectors, by an independent model, and by the rules.

mod builtins;
mod candidates;
mod declarations;
mod headers;
mod model;
mod refusals;
mod vectors;

use countersign::provider::DeclaredProvider;
use countersign::{Envelope, Provider, Scheme, SchemeError, Secret, SetupError, UnknownEvent, Webhook};

/// A webhook of the provider that this row declares.
fn declared(json: &str) -> Webhook<DeclaredProvider> {
    let provider = serde_json::from_str(json).unwrap();
    Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests").unwrap()).unwrap()
}

/// The error of a declaration.
fn refusal(json: &str) -> String {
    serde_json::from_str::<DeclaredProvider>(json)
        .map(|_| "accepted".to_owned())
        .unwrap_or_else(|error| error.to_string())
}

/// A declaration with these members beside its name and its signature.
fn with(members: &str) -> String {
    refusal(&format!(r#"{{"name":"a","signature":{{"header":"x-s"}}{members}}}"#))
}

fn with_signature(signature: &str) -> String {
    refusal(&format!(r#"{{"name":"a","signature":{signature}}}"#))
}

/// A provider of a program whose settings decide its scheme and its envelope.
struct Set(Scheme<'static>, Envelope<'static>);

impl Provider for Set {
    type Event = UnknownEvent;
    const NAME: &'static str = "set";
    const SCHEME: Scheme<'static> = Scheme::new("x-s");

    fn scheme(&self) -> Scheme<'_> {
        self.0
    }

    fn envelope(&self) -> Envelope<'_> {
        self.1
    }
}

fn scheme_error<P: Provider>(provider: P) -> Option<SchemeError> {
    match Webhook::for_provider(provider, Secret::new("a-secret-for-the-tests").unwrap()) {
        Ok(_) => None,
        Err(SetupError::Scheme(error)) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

/// The part that is wrong.
fn wrong_part<P: Provider>(provider: P) -> Option<&'static str> {
    scheme_error(provider).map(|error| error.part())
}
