//! What verifying costs, as ratios against the bare MAC in the same run: `cargo bench --bench verify`.
//!
//! Beside other crates and runtimes, with either backend, and by all sizes, it is measured by
//! `benches/figures`.

#[allow(dead_code, unreachable_pub, reason = "`benches/compare` uses the rest")]
mod rounds;

use std::hint::black_box;
use std::time::Duration;

use countersign::provider::{Quote3d, StandardWebhooks, Stripe};
use countersign::{Secret, Secrets, Signature, Verifier, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use rounds::{Candidate, measure};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Measures the candidates, and prints each as a ratio of the first.
fn compare(group: &str, mut candidates: Vec<Candidate<'_>>) {
    let times = measure(&mut candidates, 200, Duration::from_millis(1));
    println!("\n{group}");
    for (candidate, time) in candidates.iter().zip(&times) {
        let ratio = time.least / times[0].least;
        println!("  {:<44} {:>9.3} µs  {ratio:>6.2}", candidate.name, time.least / 1e3);
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
    let webhook = Webhook::<Quote3d>::new(Secret::new(secret).unwrap()).unwrap();
    let rotating = Webhook::<Quote3d>::new(eight).unwrap();

    for (size, body) in [("the documented payload", &documented), ("1 MiB", &megabyte)] {
        let signature: Signature = webhook.sign(body).parse().unwrap();
        let tag = hex::decode(&signature.to_string()[7..]).unwrap();
        let headers = |signature: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-webhook-signature", HeaderValue::from_str(signature).unwrap());
            headers.insert("x-webhook-event", HeaderValue::from_static("quote.completed"));
            headers
        };
        let right = headers(&signature.to_string());
        let forged = headers(&webhook.sign(b"another body").to_string());
        // In the digits alone, so that all of them are read.
        let malformed = headers(&signature.to_string().to_uppercase().replace("SHA256", "sha256"));
        let standard =
            Webhook::<StandardWebhooks>::new(Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap())
                .unwrap();
        let of_standard = standard.signed_headers(body);
        let stripe = Webhook::<Stripe>::new(Secret::new(secret).unwrap()).unwrap();
        let of_stripe = stripe.signed_headers(body);
        let mut candidates = vec![
            Candidate::new("bare hmac, keyed, and ct_eq", || {
                let computed = bare.clone().chain_update(black_box(body)).finalize().into_bytes();
                bool::from(computed.ct_eq(&tag))
            }),
            Candidate::new("Verifier::verify", || verifier.verify(black_box(body), &signature)),
            Candidate::new("Webhook::verify_signature", || webhook.verify_signature(&right, black_box(body))),
            Candidate::new("Webhook::verify, forged", || webhook.verify(&forged, black_box(body))),
            Candidate::new("Webhook::verify, forged, 8 secrets", || {
                rotating.verify(&forged, black_box(body))
            }),
            Candidate::new("Webhook::verify, malformed header", || {
                webhook.verify(&malformed, black_box(body))
            }),
        ];
        candidates.push(Candidate::new("Webhook::verify_signature, Standard Webhooks", || {
            standard.verify_signature(&of_standard, black_box(body))
        }));
        candidates.push(Candidate::new("Webhook::verify_signature, Stripe", || {
            stripe.verify_signature(&of_stripe, black_box(body))
        }));
        if size != "1 MiB" {
            candidates.push(Candidate::new("Webhook::verify", || webhook.verify(&right, black_box(body))));
            candidates.push(Candidate::new("Webhook::verify and event", || {
                webhook.verify(&right, black_box(body)).unwrap().event()
            }));
        }
        compare(size, candidates);
    }
}
