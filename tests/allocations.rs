//! A delivery that is refused for its signature costs no allocation.

mod common;

use std::time::Duration;

use allocation_counter::measure;
use common::{QUOTE3D, headers, rotating, signed, webhook};
use countersign::provider::{DeclaredProvider, Quote3d};
use countersign::store::{Claim, Lease, LeaseStatus};
use countersign::{
    Delivery, Error, IdempotencyKey, IdempotencyStore, MemoryStore, Receiver, Secret, Webhook,
};
use futures_util::FutureExt;

#[test]
fn a_rejected_delivery_allocates_nothing() {
    let webhook = rotating::<Quote3d>();
    let right = &webhook.sign(QUOTE3D.as_bytes()).to_string();
    let other = &webhook.sign(b"another body").to_string();
    let upper = right.to_uppercase().replace("SHA256", "sha256");
    let name = "x-webhook-signature";
    let event = ("x-webhook-event", "quote.completed");
    let megabyte = vec![b'x'; 1 << 20];
    let cases = [
        (headers(&[event]), Error::MissingSignature),
        (headers(&[event, (name, right), (name, right)]), Error::DuplicateSignature),
        (headers(&[event, (name, "sha256=00")]), Error::MalformedSignature),
        (headers(&[event, (name, &upper)]), Error::MalformedSignature),
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
fn a_rejected_delivery_allocates_nothing_under_every_scheme() {
    let signature = |form: &str| format!(r#"{{"header":"x-s",{form}}}"#);
    let forms = [
        signature(r#""prefix":"sha256=""#),
        signature(r#""encoding":"base64","separator":" ","each":"v1,""#),
        signature(r#""encoding":"base64url","separator":",","field":"v1""#),
    ];
    let templates = [
        ("{body}", ""),
        ("{timestamp}.{body}", r#","timestamp":{"header":"x-t","tolerance_s":1}"#),
        (
            "{header:x-id}.{timestamp}.{body}.{header:x-topic}",
            r#","timestamp":{"header":"x-t","unit":"rfc3339"}"#,
        ),
    ];
    for algorithm in ["hmac-sha256", "hmac-sha1", "hmac-sha512"] {
        for (form, (signed, time)) in forms.iter().flat_map(|form| templates.map(|template| (form, template)))
        {
            let json = format!(
                r#"{{"name":"a","algorithm":"{algorithm}","signature":{form},"signed":"{signed}"{time}}}"#
            );
            let provider: DeclaredProvider = serde_json::from_str(&json).unwrap();
            let secret = Secret::new("a-secret-for-the-tests").unwrap();
            let webhook = Webhook::for_provider(provider, secret).unwrap();
            let right = webhook.signed_headers(QUOTE3D.as_bytes());
            assert!(webhook.verify(&right, QUOTE3D.as_bytes()).is_ok(), "{json}");
            let mut rejected = vec![(right.clone(), "signature_mismatch")];
            for name in right.keys() {
                let is_signature = name == "x-s";
                let mut absent = right.clone();
                absent.remove(name);
                rejected
                    .push((absent, if is_signature { "missing_signature" } else { "malformed_signature" }));
                let mut repeated = right.clone();
                repeated.append(name.clone(), right[name].clone());
                rejected.push((repeated, "duplicate_signature"));
                let mut malformed = right.clone();
                malformed.insert(name.clone(), "v1,v1=t=..".repeat(1_000).parse().unwrap());
                // Of a signed id, only what it may not contain is malformed.
                if is_signature || name == "x-t" {
                    rejected.push((malformed, "malformed_signature"));
                }
            }
            for (headers, expected) in rejected {
                let mut code = "accepted";
                let allocations = measure(|| {
                    if let Err(error) = webhook.verify(&headers, b"another body") {
                        code = error.code();
                    }
                });
                assert_eq!((code, allocations.count_total), (expected, 0), "{json} {headers:?}");
            }
        }
    }
}

/// A store that must not be called.
struct Untouched;

impl IdempotencyStore for Untouched {
    type Error = std::convert::Infallible;

    async fn claim(&self, _: &IdempotencyKey, _: Duration) -> Result<Claim, Self::Error> {
        panic!("claim was called")
    }

    async fn complete(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Self::Error> {
        panic!("complete was called")
    }

    async fn release(&self, _: &Lease) -> Result<LeaseStatus, Self::Error> {
        panic!("release was called")
    }

    async fn renew(&self, _: &Lease, _: Duration) -> Result<LeaseStatus, Self::Error> {
        panic!("renew was called")
    }

    async fn forget(&self, _: &str) -> Result<bool, Self::Error> {
        panic!("forget was called")
    }
}

#[test]
fn a_million_forged_deliveries_call_no_store_and_take_no_memory() {
    let receiver = Receiver::new(rotating::<Quote3d>(), Untouched);
    let forged = |n: usize| {
        let signature = format!("sha256={n:064x}");
        headers(&[("x-webhook-event", "quote.completed"), ("x-webhook-signature", &signature)])
    };
    let forged: Vec<_> = (0..1_000).map(forged).collect();
    let mut refused = 0;
    let allocations = measure(|| {
        for headers in forged.iter().cycle().take(1_000_000) {
            let handler = async |_: Delivery<'_, Quote3d>| -> Result<(), Error> { panic!("it was handled") };
            let outcome = receiver.receive(headers, QUOTE3D.as_bytes(), handler).now_or_never();
            refused += usize::from(outcome.is_some_and(|outcome| outcome.code() == "signature_mismatch"));
        }
    });
    assert_eq!((refused, allocations.count_total), (1_000_000, 0));
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
fn a_delivery_whose_body_arrives_allocates_once_its_headers_have_passed() {
    let webhook = rotating::<Quote3d>();
    let right = signed(&webhook, QUOTE3D.as_bytes());
    let malformed = headers(&[("x-webhook-signature", "sha256=00")]);
    for (headers, expected) in [(malformed, 0), (right, 3)] {
        // The states of the MACs, which must stay where they are, the candidates, and the event header.
        assert_eq!(measure(|| drop(webhook.begin(&headers))).count_total, expected);
    }
}

/// 64 KiB of body that is signed, but no envelope.
fn large_body() -> Vec<u8> {
    vec![b'x'; 64 << 10]
}

#[test]
fn a_piece_of_the_body_allocates_nothing_but_that_the_body_grows_by_doubling() {
    let webhook = webhook::<Quote3d>();
    let body = large_body();
    let headers = signed(&webhook, &body);
    let measured = |size: usize| {
        measure(|| {
            let mut incoming = webhook.begin(&headers).unwrap();
            body.chunks(size).for_each(|piece| incoming.update(piece).unwrap());
            assert_eq!(incoming.finish().unwrap_err().code(), "malformed_payload");
        })
        .count_total
    };
    let one = measured(body.len());
    for pieces in [2, 64, 1_024, 65_536] {
        let doublings = u64::from(usize::ilog2(pieces)) + 1;
        let count = measured(body.len() / pieces);
        assert!(count <= one + doublings, "{pieces} pieces: {count} allocations, in one: {one}");
    }
}

#[cfg(feature = "tower")]
mod frames {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use countersign::tower::http_body::{Body, Frame};

    /// Pieces of one buffer, as frames.
    pub(super) struct Frames(pub(super) Bytes, pub(super) usize);

    impl Body for Frames {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let size = self.1.min(self.0.len());
            let frame = (size > 0).then(|| Ok(Frame::data(self.0.split_to(size))));
            Poll::Ready(frame)
        }
    }
}

#[cfg(feature = "tower")]
#[test]
fn a_frame_of_the_body_allocates_no_more_than_a_piece() {
    use bytes::Bytes;
    use countersign::tower::http_body::Frame;

    let webhook = webhook::<Quote3d>();
    let body = Bytes::from(large_body());
    let headers = signed(&webhook, &body);
    let measured = |size: usize| {
        let mut request = http::Request::new(frames::Frames(body.clone(), size));
        *request.headers_mut() = headers.clone();
        let measured = measure(|| {
            let verified = webhook.verify_request(request).now_or_never().unwrap();
            assert_eq!(verified.unwrap_err().code(), "malformed_payload");
        });
        (measured.count_total, measured.bytes_total)
    };
    let (one, bytes) = measured(body.len());
    // The states of the MACs alone: AWS-LC's are larger. A copy would be 64 KiB.
    assert!(bytes < 4_000, "one frame is not copied: {bytes} bytes");
    // An empty frame at the end, as HTTP/2 has it, makes no copy either.
    let (mut sender, frames) = http_body_util::channel::Channel::<Bytes, std::convert::Infallible>::new(4);
    let mut request = http::Request::new(frames);
    *request.headers_mut() = headers.clone();
    for frame in [Bytes::new(), body.clone(), Bytes::new()] {
        sender.try_send(Frame::data(frame)).unwrap();
    }
    drop(sender);
    let bytes = measure(|| {
        let verified = webhook.verify_request(request).now_or_never().unwrap();
        assert_eq!(verified.unwrap_err().code(), "malformed_payload");
    })
    .bytes_total;
    assert!(bytes < 4_000, "one frame and empty ones are not copied: {bytes} bytes");
    for frames in [2, 64, 1_024, 65_536] {
        let doublings = u64::from(usize::ilog2(frames)) + 1;
        let (count, _) = measured(body.len() / frames);
        assert!(count <= one + doublings, "{frames} frames: {count} allocations, in one: {one}");
    }
}

#[cfg(feature = "tower")]
#[test]
fn a_connection_that_sends_an_unsigned_mebibyte_takes_no_memory_for_it() {
    use std::sync::Arc;

    use bytes::Bytes;
    use countersign::tower::{Endpoint, Verified};
    use tower::ServiceExt;

    let handler = |_: Verified<Quote3d>| async { Err::<(), &str>("it was handled") };
    let receiver = Arc::new(Receiver::new(rotating::<Quote3d>(), Untouched));
    let most = |size: usize| {
        let endpoint = Endpoint::new(Arc::clone(&receiver), handler);
        let mut request = http::Request::new(frames::Frames(Bytes::from(vec![b'x'; size]), 16 << 10));
        *request.headers_mut() = headers(&[("x-webhook-event", "quote.completed")]);
        let mut status = None;
        let allocations = measure(|| {
            let response = endpoint.oneshot(request).now_or_never().expect("an answer at once");
            status = response.ok().map(|response| response.status().as_u16());
        });
        assert_eq!(status, Some(401));
        println!("{} bytes for a body of {size}", allocations.bytes_max);
        allocations.bytes_max
    };
    // The response, and the timer for the dropped body.
    assert!(most(1) < 4_000);
    assert!(most(1 << 20) < 4_000);
}

#[cfg(feature = "tower")]
#[test]
fn a_request_whose_body_arrives_whole_allocates_nothing_before_its_signature_has_matched() {
    use bytes::Bytes;
    use http_body_util::Full;

    let webhook = rotating::<Quote3d>();
    let right = signed(&webhook, QUOTE3D.as_bytes());
    let forged = signed(&webhook, b"another body");
    for (headers, at_most, expected) in
        [(forged, 0, Err("signature_mismatch")), (right, 4, Ok("quote.completed"))]
    {
        let mut request = http::Request::new(Full::new(Bytes::from_static(QUOTE3D.as_bytes())));
        *request.headers_mut() = headers;
        let mut verified = None;
        let allocations = measure(|| verified = webhook.verify_request(request).now_or_never());
        let verified = verified.unwrap();
        let verdict = verified.as_ref().map(Delivery::event_name).map_err(Error::code);
        assert_eq!(verdict, expected);
        // What the envelope says, and the parser's stack of the objects that it is in.
        assert!(allocations.count_total <= at_most, "{expected:?}: {allocations:?}");
    }
}

/// By how full its tables are: most double between 50,000 and 64,000 keys, and then at twice that, and so on.
#[test]
fn a_key_in_memory_takes_some_200_bytes() {
    let webhook = rotating::<Quote3d>();
    for (keys, at_most) in [(50_000, 192), (64_000, 216)] {
        let store = MemoryStore::new();
        // The keys are made here too: the store keeps what they are made of.
        let allocations = measure(|| {
            for n in 0..keys {
                let body = format!(r#"{{"event":"quote.failed","timestamp":"{n}"}}"#);
                let headers = signed(&webhook, body.as_bytes());
                let key = webhook.verify(&headers, body.as_bytes()).unwrap().idempotency_key();
                // A future of this store is ready at once.
                let claim = store.claim(&key, Duration::from_secs(60)).now_or_never().unwrap().unwrap();
                let Claim::Acquired(lease) = claim else { panic!() };
                let _ = store.complete(&lease, Duration::from_secs(3600)).now_or_never().unwrap().unwrap();
            }
        });
        assert_eq!(store.len(), keys);
        let bytes = allocations.bytes_current / keys as i64;
        println!("{bytes} bytes a key, of {keys}");
        assert!((100..=at_most).contains(&bytes), "{bytes}");
    }
}

#[test]
fn the_counter_counts() {
    assert_ne!(measure(|| drop(std::hint::black_box(vec![0_u8; 7]))).count_total, 0);
}
