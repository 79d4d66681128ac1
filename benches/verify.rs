//! What verifying costs, as ratios against the bare primitives in the same run.
//!
//! Run it with `cargo bench`. The candidates of a group take turns, round by round, so that a noisy
//! machine slows all of them alike; the smallest time of each is compared. (Benchmark harnesses
//! measure one function after the other, which such a machine makes incomparable.)

use std::collections::HashMap;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use countersign::provider::Quote3d;
use countersign::store::Claim;
use countersign::{IdempotencyKey, IdempotencyStore, MemoryStore, Secret, Secrets, Verifier, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use subtle::ConstantTimeEq;

const ROUNDS: usize = 200;
const ROUND: Duration = Duration::from_millis(1);

type Candidate<'a> = (&'a str, Box<dyn FnMut() + 'a>);

/// Measures the candidates, and prints each as a ratio of the first.
fn compare(group: &str, mut candidates: Vec<Candidate<'_>>) {
    let mut best = vec![f64::INFINITY; candidates.len()];
    let times: Vec<u32> = candidates
        .iter_mut()
        .map(|(_, run)| {
            let start = Instant::now();
            let mut times = 0;
            while start.elapsed() < ROUND || times < 8 {
                run();
                times += 1;
            }
            times
        })
        .collect();
    for _ in 0..ROUNDS {
        for (index, (_, run)) in candidates.iter_mut().enumerate() {
            let start = Instant::now();
            (0..times[index]).for_each(|_| run());
            best[index] = best[index].min(start.elapsed().as_secs_f64() / f64::from(times[index]));
        }
    }
    println!("\n{group}");
    for ((name, _), time) in candidates.iter().zip(&best) {
        println!("  {name:<44} {:>9.3} µs  {:>6.2}", time * 1e6, time / best[0]);
    }
}

/// A future of a store in memory, which is ready at once.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a store in memory waits for nothing"),
    }
}

fn main() {
    // `cargo test` runs benchmarks too, where they would only cost time.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let secret = "whsec_0123456789abcdef";
    let documented = include_bytes!("../tests/data/quote3d_quote_completed.json").to_vec();
    let megabyte = vec![b'x'; 1 << 20];
    let bare: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
    let eight = (1..8).fold(Secrets::new(Secret::new(secret).unwrap()), |secrets, n| {
        secrets.with_older(Secret::new(format!("whsec_0123456789abcde{n}")).unwrap()).unwrap()
    });
    let verifier = Verifier::new(Secret::new(secret).unwrap());
    let webhook = Webhook::<Quote3d>::new(Secret::new(secret).unwrap());
    let rotating = Webhook::<Quote3d>::new(eight);

    for (size, body) in [("the documented payload", &documented), ("1 MiB", &megabyte)] {
        let signature = webhook.sign(body);
        let tag = hex::decode(&signature.to_string()[7..]).unwrap();
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-webhook-signature", HeaderValue::from_str(signature).unwrap());
            headers.insert("x-webhook-event", HeaderValue::from_static("quote.completed"));
            headers
        };
        let right = headers(&signature.to_string());
        let forged = headers(&webhook.sign(b"another body").to_string());
        let malformed = headers("sha256=00");
        let mut candidates: Vec<Candidate<'_>> = vec![
            (
                "bare hmac, keyed, and ct_eq",
                Box::new(|| {
                    let computed = bare.clone().chain_update(black_box(body)).finalize().into_bytes();
                    black_box(bool::from(computed.ct_eq(&tag)));
                }),
            ),
            (
                "bare hmac, keyed each time",
                Box::new(|| {
                    let mac: Hmac<Sha256> = Hmac::new_from_slice(black_box(secret.as_bytes())).unwrap();
                    let computed = mac.chain_update(black_box(body)).finalize().into_bytes();
                    black_box(bool::from(computed.ct_eq(&tag)));
                }),
            ),
            ("Verifier::verify", Box::new(|| drop(black_box(verifier.verify(black_box(body), &signature))))),
            (
                "Webhook::verify_signature",
                Box::new(|| drop(black_box(webhook.verify_signature(&right, black_box(body))))),
            ),
            (
                "Webhook::verify, forged",
                Box::new(|| drop(black_box(webhook.verify(&forged, black_box(body))))),
            ),
            (
                "Webhook::verify, forged, 8 secrets",
                Box::new(|| drop(black_box(rotating.verify(&forged, black_box(body))))),
            ),
            (
                "Webhook::verify, malformed header",
                Box::new(|| drop(black_box(webhook.verify(&malformed, black_box(body))))),
            ),
        ];
        if size != "1 MiB" {
            candidates.push((
                "Webhook::verify",
                Box::new(|| drop(black_box(webhook.verify(&right, black_box(body))))),
            ));
            candidates.push((
                "Webhook::verify and event",
                Box::new(|| {
                    drop(black_box(webhook.verify(&right, black_box(body)).unwrap().event().unwrap()));
                }),
            ));
            candidates.push((
                "bare hmac and serde_json::Value",
                Box::new(|| {
                    let computed = bare.clone().chain_update(black_box(body)).finalize().into_bytes();
                    assert!(bool::from(computed.ct_eq(&tag)));
                    drop(black_box(serde_json::from_slice::<serde_json::Value>(black_box(body)).unwrap()));
                }),
            ));
        }
        compare(size, candidates);
    }

    let keys: Vec<IdempotencyKey> = (0..100_000)
        .map(|n| {
            let body = format!(r#"{{"event":"quote.completed","timestamp":"{n}"}}"#);
            let mut headers = HeaderMap::new();
            headers.insert("x-webhook-signature", webhook.sign(body.as_bytes()).to_string().parse().unwrap());
            headers.insert("x-webhook-event", HeaderValue::from_static("quote.completed"));
            webhook.verify(&headers, body.as_bytes()).unwrap().idempotency_key()
        })
        .collect();
    let (lease, retention) = (Duration::from_secs(60), Duration::from_secs(3600));
    let map = Mutex::new(HashMap::new());
    let mut fresh = MemoryStore::new();
    let (mut at, mut to) = (0, 0);
    compare(
        "a claim and its completion, of 100,000 keys",
        vec![
            (
                "Mutex<HashMap>: an insert and an update",
                Box::new(|| {
                    let key = &keys[at % keys.len()];
                    if at % keys.len() == 0 {
                        map.lock().unwrap().clear();
                    }
                    at += 1;
                    map.lock().unwrap().insert(key.as_str().to_owned(), false);
                    map.lock().unwrap().insert(key.as_str().to_owned(), true);
                }),
            ),
            (
                "MemoryStore: claim and complete",
                Box::new(|| {
                    if to % keys.len() == 0 {
                        fresh = MemoryStore::new();
                    }
                    let key = &keys[to % keys.len()];
                    to += 1;
                    let Claim::Acquired(lease) = ready(fresh.claim(key, lease)).unwrap() else {
                        unreachable!()
                    };
                    let _ = black_box(ready(fresh.complete(&lease, retention)).unwrap());
                }),
            ),
        ],
    );
}
