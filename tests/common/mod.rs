//! What several of the tests need.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod address;
pub mod certificates;
pub mod failover;
pub mod instance;
pub mod oracle;
pub mod servers;

use std::time::Duration;

use countersign::{Provider, Secret, Secrets, Webhook};
use http::header::{HeaderMap, HeaderName, HeaderValue};

pub const QUOTE3D: &str = include_str!("../data/quote3d_quote_completed.json");
pub const NOWTOPRINT: &str = include_str!("../data/nowtoprint_quote_received.json");
pub const THREEQPR: &str = include_str!("../data/threeqpr_scan_created.json");

pub const NEWEST: &str = "whsec_the-newest-secret-of-2026";
pub const OLDER: &str = "whsec_the-older-secret-of-2025";

/// A webhook with one secret, [`NEWEST`].
pub fn webhook<P: Provider + Default>() -> Webhook<P> {
    Webhook::new(Secret::new(NEWEST).unwrap()).unwrap()
}

/// A webhook with two secrets: [`NEWEST`], and [`OLDER`] with the label `2025`.
pub fn rotating<P: Provider + Default>() -> Webhook<P> {
    let older = Secret::new(OLDER).unwrap().with_label("2025");
    Webhook::new(Secrets::new(Secret::new(NEWEST).unwrap()).with_older(older).unwrap()).unwrap()
}

pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// The headers of a delivery as the provider would send it, the event taken from the body.
pub fn signed<P: Provider>(webhook: &Webhook<P>, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let signature = webhook.sign(body).to_string();
    headers.insert(webhook.signature_header().clone(), signature.try_into().unwrap());
    if let Some(name) = webhook.event_header() {
        #[derive(serde::Deserialize)]
        struct Named {
            event: String,
        }
        let event = serde_json::from_slice(body).map_or("none".to_owned(), |Named { event }| event);
        headers.insert(name.clone(), HeaderValue::from_bytes(event.as_bytes()).unwrap());
    }
    headers
}

/// Waits for what must happen, for 30 seconds at most.
pub async fn within_30_s<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = tokio::time::timeout(Duration::from_secs(30), happens).await;
    happened.unwrap_or_else(|_| panic!("not within 30 s: {what}"))
}

/// Waits until something is so, for 30 seconds at most.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    within_30_s(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
