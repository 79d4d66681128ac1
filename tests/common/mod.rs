//! What several of the tests need.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod oracle;
pub mod servers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::store::{Claim, Fenced, Lease};
use countersign::{IdempotencyKey, IdempotencyStore, Provider, Secret, Secrets, Webhook};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Barrier;

pub const QUOTE3D: &str = include_str!("../data/quote3d_quote_completed.json");
pub const NOWTOPRINT: &str = include_str!("../data/nowtoprint_quote_received.json");
pub const THREEQPR: &str = include_str!("../data/threeqpr_scan_created.json");

pub const NEWEST: &str = "whsec_the-newest-secret-of-2026";
pub const OLDER: &str = "whsec_the-older-secret-of-2025";

/// A webhook with one secret, [`NEWEST`].
pub fn webhook<P: Provider + Default>() -> Webhook<P> {
    Webhook::new(Secret::new(NEWEST).unwrap())
}

/// A webhook with two secrets: [`NEWEST`], and [`OLDER`] with the label `2025`.
pub fn rotating<P: Provider + Default>() -> Webhook<P> {
    let older = Secret::new(OLDER).unwrap().with_label("2025");
    Webhook::new(Secrets::new(Secret::new(NEWEST).unwrap()).with_older(older).unwrap())
}

/// Races tasks for a key, and says how many acquired it; all the others have to be told to wait.
pub async fn race<S: IdempotencyStore + 'static>(
    store: &Arc<S>,
    key: &IdempotencyKey,
    racers: usize,
) -> usize {
    let barrier = Arc::new(Barrier::new(racers));
    let tasks: Vec<_> = (0..racers)
        .map(|_| {
            let (store, key, barrier) = (Arc::clone(store), key.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                store.claim(&key, Duration::from_secs(60)).await.unwrap()
            })
        })
        .collect();
    let mut acquired = 0;
    for task in tasks {
        match task.await.unwrap() {
            Claim::Acquired(_) => acquired += 1,
            Claim::InFlight { retry_after } => {
                assert!(retry_after > Duration::ZERO && retry_after.as_secs() <= 60);
            }
            Claim::Done => panic!("nobody completed it"),
        }
    }
    acquired
}

/// Several handles on one store, of which each claim takes the next.
pub struct InTurn<S> {
    stores: Vec<S>,
    next: AtomicUsize,
}

impl<S> InTurn<S> {
    pub fn new(stores: Vec<S>) -> Self {
        Self { stores, next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &S {
        &self.stores[self.next.fetch_add(1, Ordering::Relaxed) % self.stores.len()]
    }
}

impl<S: IdempotencyStore> IdempotencyStore for InTurn<S> {
    type Error = S::Error;

    async fn claim(&self, key: &IdempotencyKey, lease: Duration) -> Result<Claim, S::Error> {
        self.next().claim(key, lease).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Fenced, S::Error> {
        self.next().complete(lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<Fenced, S::Error> {
        self.next().release(lease).await
    }

    async fn renew(&self, lease: &Lease, lease_for: Duration) -> Result<Fenced, S::Error> {
        self.next().renew(lease, lease_for).await
    }

    async fn forget(&self, key: &str) -> Result<bool, S::Error> {
        self.next().forget(key).await
    }
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
