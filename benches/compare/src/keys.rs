//! Idempotency keys as a receiver has them.

use countersign::provider::Quote3d;
use countersign::{IdempotencyKey, Webhook};

use crate::case::Case;

/// The key of a delivery of Quote3D's, of 79 characters; each number has its own.
pub fn key(webhook: &Webhook<Quote3d>, number: u64) -> IdempotencyKey {
    let body = format!(r#"{{"event":"quote.failed","timestamp":"{number}"}}"#);
    let mut headers = http::HeaderMap::new();
    headers.insert("x-webhook-event", http::HeaderValue::from_static("quote.failed"));
    headers.insert("x-webhook-signature", webhook.sign(body.as_bytes()).to_string().parse().unwrap());
    webhook.verify(&headers, body.as_bytes()).unwrap().idempotency_key()
}

/// The keys of these numbers.
pub fn keys(numbers: std::ops::Range<u64>) -> Vec<IdempotencyKey> {
    let webhook = Case::new(300, 1, true).webhook();
    numbers.map(|number| key(&webhook, number)).collect()
}
