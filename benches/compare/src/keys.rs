//! Idempotency keys as a receiver has them.

use countersign::provider::{Provider, Quote3d, ThreeQpr};
use countersign::{IdempotencyKey, Secret, Webhook};
use http::{HeaderMap, HeaderValue};

/// The keys of deliveries of Quote3D's, of 79 characters, with the SHA-256 of the body; each number has its own.
pub fn keys(numbers: std::ops::Range<u64>) -> Vec<IdempotencyKey> {
    let body = |number| format!(r#"{{"event":"quote.failed","timestamp":"{number}"}}"#);
    keys_of::<Quote3d>("quote.failed", numbers, body)
}

/// The keys of deliveries of 3QPR's, of 17 characters, with the event's id.
pub fn short_keys(numbers: std::ops::Range<u64>) -> Vec<IdempotencyKey> {
    let body = |number| format!(r#"{{"event":"order.paid","id":"evt_{number:08}"}}"#);
    keys_of::<ThreeQpr>("order.paid", numbers, body)
}

fn keys_of<P: Provider + Default>(
    event: &'static str,
    numbers: std::ops::Range<u64>,
    body: impl Fn(u64) -> String,
) -> Vec<IdempotencyKey> {
    let webhook = Webhook::<P>::new(Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    let key = |number| {
        let body = body(number);
        let mut headers = HeaderMap::new();
        headers
            .insert(webhook.signature_header(), webhook.sign(body.as_bytes()).to_string().parse().unwrap());
        if let Some(name) = webhook.event_header() {
            headers.insert(name, HeaderValue::from_static(event));
        }
        webhook.verify(&headers, body.as_bytes()).unwrap().idempotency_key()
    };
    numbers.map(key).collect()
}
