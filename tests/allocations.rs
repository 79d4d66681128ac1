//! A delivery that is refused for its signature costs no allocation.

mod common;

use std::time::Duration;

use allocation_counter::measure;
use common::{QUOTE3D, headers, rotating, signed};
use countersign::provider::Quote3d;
use countersign::store::Claim;
use countersign::{Error, IdempotencyStore, MemoryStore};
use futures_util::FutureExt;

#[test]
fn a_rejected_delivery_allocates_nothing() {
    let webhook = rotating::<Quote3d>();
    let right = &webhook.sign(QUOTE3D.as_bytes()).to_string();
    let other = &webhook.sign(b"another body").to_string();
    let name = "x-webhook-signature";
    let event = ("x-webhook-event", "quote.completed");
    let megabyte = vec![b'x'; 1 << 20];
    let cases = [
        (headers(&[event]), Error::MissingSignature),
        (headers(&[event, (name, right), (name, right)]), Error::DuplicateSignature),
        (headers(&[event, (name, "sha256=00")]), Error::MalformedSignature),
        (headers(&[event, (name, &right.to_uppercase())]), Error::MalformedSignature),
        (headers(&[event, (name, &"x".repeat(60_000))]), Error::MalformedSignature),
        (headers(&[event, (name, other)]), Error::SignatureMismatch),
    ];
    for (headers, expected) in cases {
        for body in [QUOTE3D.as_bytes(), &megabyte] {
            let mut code = "accepted";
            let allocations = measure(|| {
                if let Err(error) = webhook.verify(&headers, body) {
                    code = error.code();
                }
            });
            assert_eq!((code, allocations.count_total), (expected.code(), 0));
        }
    }
}

#[test]
fn an_accepted_delivery_is_verified_in_one_allocation_at_most() {
    let webhook = rotating::<Quote3d>();
    let headers = signed(&webhook, QUOTE3D.as_bytes());
    let allocations = measure(|| {
        let delivery = webhook.verify(&headers, QUOTE3D.as_bytes()).unwrap();
        assert_eq!(delivery.event_name(), "quote.completed");
    });
    // The parser's stack of the objects that it is in.
    assert!(allocations.count_total <= 1, "{allocations:?}");
}

#[test]
fn a_key_in_memory_takes_less_than_300_bytes() {
    let webhook = rotating::<Quote3d>();
    let keys: Vec<_> = (0..100_000)
        .map(|n| {
            let body = format!(r#"{{"event":"quote.failed","timestamp":"{n}"}}"#);
            webhook.verify(&signed(&webhook, body.as_bytes()), body.as_bytes()).unwrap().idempotency_key()
        })
        .collect();
    let store = MemoryStore::new();
    let allocations = measure(|| {
        for key in &keys {
            // A future of this store is ready at once.
            let claim = store.claim(key, Duration::from_secs(60)).now_or_never().unwrap().unwrap();
            let Claim::Acquired(lease) = claim else { panic!() };
            let _ = store.complete(&lease, Duration::from_secs(3600)).now_or_never().unwrap().unwrap();
        }
    });
    assert_eq!(store.len(), keys.len());
    let bytes = allocations.bytes_current / 100_000;
    println!("{bytes} bytes a key");
    assert!((100..300).contains(&bytes), "{bytes}");
}

#[test]
fn the_counter_counts() {
    assert_ne!(measure(|| drop(std::hint::black_box(vec![0_u8; 7]))).count_total, 0);
}
