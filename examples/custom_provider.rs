//! A provider of your own, with GitHub's scheme: `X-Hub-Signature-256` is `sha256=` and the hex HMAC-SHA256 of
//! the body. It is declared as the crate's own providers are.
//!
//! Run it with `cargo run --example custom_provider`.

use countersign::{Provider, Scheme, Secret, Webhook};
use http::{HeaderMap, HeaderValue};

mod report;
use report::Report;

// The whole declaration: the data of an event, the events, and the provider.
countersign::payload! {
    struct Deployment { required { environment: String = "environment" } optional { sha: String = "sha" } }
}
countersign::events! {
    enum Event { DeploymentCreated(Deployment) = "deployment.created" }
}
#[derive(Debug, Default)]
struct HubStyle;
impl Provider for HubStyle {
    type Event = Event;
    const NAME: &'static str = "hub-style";
    const SCHEME: Scheme<'static> = Scheme::new("x-hub-signature-256").with_prefix("sha256=");
}

fn main() -> Result<(), Report> {
    // The secret, the body and the signature of GitHub's documentation ("Validating webhook
    // deliveries"). GitHub's own bodies have no envelope (the event's name is in an unsigned header),
    // so only the signature is verified here.
    let webhook = Webhook::<HubStyle>::new(Secret::new("It's a Secret to Everybody")?)?;
    let documented = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let mut headers = HeaderMap::new();
    headers.insert(webhook.signature_header().clone(), HeaderValue::from_static(documented));
    webhook.verify_signature(&headers, b"Hello, World!")?;
    println!("GitHub's documented vector: accepted");

    // A body with an envelope becomes a typed event.
    let body = br#"{"event":"deployment.created","id":"evt_1","data":{"environment":"production"}}"#;
    let delivery = webhook.verify(&webhook.signed_headers(body), body)?;
    match delivery.event()? {
        Event::DeploymentCreated(deployment) => {
            println!("{:?}: to {:?}", delivery.event_name(), deployment.environment);
        }
        other => println!("not ours: {:?}", other.name()),
    }
    println!("handle it once by {}", delivery.idempotency_key());
    Ok(())
}
