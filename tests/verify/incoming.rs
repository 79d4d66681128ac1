//! A delivery that is verified while its body arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{NOWTOPRINT, QUOTE3D, THREEQPR, headers, rotating, signed, webhook};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Error, Provider, Secret, Secrets, Signature, Verifier, Webhook};
use http::HeaderMap;

/// All that a delivery tells, or the error's code.
fn told<P: Provider>(result: Result<Delivery<'_, P>, Error>) -> Result<String, &'static str> {
    let told = |delivery: Delivery<'_, P>| {
        let (key, body) = (delivery.idempotency_key(), delivery.body());
        format!("{delivery:?} {:?} {key} {body:?}", delivery.data())
    };
    result.map(told).map_err(|error| error.code())
}

fn in_pieces<'a, P: Provider>(
    webhook: &Webhook<P>,
    headers: &HeaderMap,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Delivery<'static, P>, Error> {
    let mut partial = webhook.begin(headers)?;
    pieces.into_iter().try_for_each(|piece| partial.update(piece))?;
    partial.finish()
}

#[test]
fn a_body_in_pieces_is_the_delivery_that_it_is_in_one() {
    fn check<P: Provider>(webhook: &Webhook<P>, headers: &HeaderMap, body: &[u8]) {
        let whole = told(webhook.verify(headers, body));
        for cut in 0..=body.len() {
            let (first, second) = body.split_at(cut);
            assert_eq!(told(in_pieces(webhook, headers, [first, second])), whole);
        }
        for size in [1, 63, 64, 65] {
            assert_eq!(told(in_pieces(webhook, headers, body.chunks(size))), whole);
        }
        assert_eq!(told(in_pieces(webhook, headers, [&[][..], body, &[]])), whole);
    }
    let quote3d = rotating::<Quote3d>().with_tenant("acme");
    let right = signed(&quote3d, QUOTE3D.as_bytes());
    check(&quote3d, &right, QUOTE3D.as_bytes());
    check(
        &rotating::<NowToPrint>(),
        &signed(&webhook::<NowToPrint>(), NOWTOPRINT.as_bytes()),
        NOWTOPRINT.as_bytes(),
    );
    check(&webhook::<ThreeQpr>(), &signed(&webhook::<ThreeQpr>(), THREEQPR.as_bytes()), THREEQPR.as_bytes());
    // And each refusal is the same.
    let signature = &right["x-webhook-signature"].to_str().unwrap();
    let other = &quote3d.sign(b"{}").to_string();
    let (name, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    for (headers, body) in [
        (headers(&[event]), QUOTE3D),
        (headers(&[event, (name, signature), (name, signature)]), QUOTE3D),
        (headers(&[event, (name, "sha256=")]), QUOTE3D),
        (headers(&[event, (name, other)]), QUOTE3D),
        (headers(&[event, (name, other)]), "{}"),
        (headers(&[(name, signature)]), QUOTE3D),
        (headers(&[event, event, (name, signature)]), QUOTE3D),
        (headers(&[("x-webhook-event", "quote.failed"), (name, signature)]), QUOTE3D),
    ] {
        assert!(quote3d.verify(&headers, body.as_bytes()).is_err());
        check(&quote3d, &headers, body.as_bytes());
    }
}

/// The only frame is shared and not copied, so that a second one finds the first elsewhere than a third.
#[cfg(feature = "tower")]
#[tokio::test]
async fn a_body_in_frames_is_the_delivery_that_it_is_in_one() {
    use bytes::Bytes;
    use countersign::tower::http_body::Frame;
    use http_body_util::channel::Channel;

    let webhook = webhook::<ThreeQpr>();
    let body = Bytes::from(THREEQPR);
    let headers = signed(&webhook, &body);
    let whole = told(webhook.verify(&headers, &body));
    let end = body.len();
    for cuts in [[0, 0], [0, 1], [0, end], [1, 1], [1, 2], [10, 100], [10, end], [end, end]] {
        let (mut sender, frames) = Channel::<Bytes, std::convert::Infallible>::new(3);
        for piece in [0..cuts[0], cuts[0]..cuts[1], cuts[1]..end] {
            sender.try_send(Frame::data(body.slice(piece))).unwrap();
        }
        drop(sender);
        let mut request = http::Request::new(frames);
        *request.headers_mut() = headers.clone();
        assert_eq!(told(webhook.verify_request(request).await), whole, "{cuts:?}");
    }
}

#[test]
fn no_more_than_the_limit_is_taken_however_it_comes() {
    let webhook = webhook::<ThreeQpr>().with_body_limit(THREEQPR.len());
    let mut headers = signed(&webhook, THREEQPR.as_bytes());
    for size in [1, 10, THREEQPR.len()] {
        assert!(in_pieces(&webhook, &headers, THREEQPR.as_bytes().chunks(size)).is_ok());
        let mut partial = webhook.begin(&headers).unwrap();
        for piece in THREEQPR.as_bytes().chunks(size) {
            partial.update(piece).unwrap();
        }
        for piece in ["x", "", "x"] {
            assert_eq!(partial.update(piece.as_bytes()).unwrap_err().code(), "body_too_large");
        }
        assert_eq!(partial.finish().unwrap_err().code(), "body_too_large");
    }
    // By what the sender announces, before anything has come. What is no number of bytes says nothing.
    let length = THREEQPR.len();
    for (announced, expected) in [
        (length.to_string(), Ok(())),
        ((length + 1).to_string(), Err("body_too_large")),
        (u64::MAX.to_string(), Err("body_too_large")),
        (format!("1{}", u64::MAX), Ok(())),
        ("x".to_owned(), Ok(())),
    ] {
        headers.insert("content-length", announced.parse().unwrap());
        assert_eq!(webhook.begin(&headers).map(drop).map_err(|error| error.code()), expected, "{announced}");
    }
}

#[test]
fn the_headers_may_be_of_another_type() {
    let webhook = webhook::<Quote3d>();
    let signature = webhook.sign(QUOTE3D.as_bytes()).to_string();
    let (name, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    let mut partial = webhook.begin(&[(name, &*signature), event]).unwrap();
    partial.update(QUOTE3D.as_bytes()).unwrap();
    assert!(partial.finish().is_ok());
    assert_eq!(webhook.begin(&[(name, ""), event]).unwrap_err().code(), "malformed_signature");
    let length = &*(webhook.body_limit() + 1).to_string();
    let too_long = [(name, &*signature), event, ("content-length", length)];
    assert_eq!(webhook.begin(&too_long).unwrap_err().code(), "body_too_large");

    // Picked out of all headers, with every occurrence and in any case.
    let (name, event) = ("X-WEBHOOK-Signature", ("x-Webhook-EVENT", "quote.completed"));
    let cases: [(&[(&str, &str)], Result<(), &str>); 6] = [
        (&[("Host", "localhost"), (name, &signature), event], Ok(())),
        (&[event], Err("missing_signature")),
        (&[(name, &signature), event, (name, &signature)], Err("duplicate_signature")),
        (&[(name, &signature), event, ("content-LENGTH", "1048577")], Err("body_too_large")),
        (&[(name, &signature), event, ("content-LENGTH", "1048576")], Ok(())),
        (&[(name, &signature), event, event], Err("duplicate_event_header")),
    ];
    for (headers, expected) in cases {
        let verdict = webhook.begin(headers).and_then(|mut partial| {
            partial.update(QUOTE3D.as_bytes())?;
            partial.finish().map(drop)
        });
        assert_eq!(verdict.map_err(|error| error.code()), expected, "{headers:?}");
    }
}

#[test]
fn a_repeated_content_length_is_read_alike_in_both_header_types() {
    let webhook = webhook::<ThreeQpr>();
    let (small, large) = ("10", "1048577");
    for (lengths, expected) in [
        (&[small, large][..], Err("body_too_large")),
        (&[large, small], Err("body_too_large")),
        (&[small, "x", small], Ok(())),
        (&["x", large], Err("body_too_large")),
        (&[large, "x"], Err("body_too_large")),
    ] {
        let mut headers = signed(&webhook, THREEQPR.as_bytes());
        for length in lengths {
            headers.append("content-length", length.parse().unwrap());
        }
        let pairs: Vec<_> = headers.iter().map(|(name, value)| (name, value.as_bytes())).collect();
        for begun in [webhook.begin(&headers), webhook.begin(&pairs)] {
            assert_eq!(begun.map(drop).map_err(|error| error.code()), expected, "{lengths:?}");
        }
    }
}

#[test]
fn the_time_of_the_verdict_can_be_chosen() {
    // `date -ud 2026-03-10T14:30:00Z +%s`
    let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_153_000);
    let age = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&age);
    let webhook = webhook::<Quote3d>()
        .with_max_age(Duration::from_secs(60))
        .with_clock(move || sent + Duration::from_secs(clock.load(Ordering::Relaxed)));
    let headers = signed(&webhook, QUOTE3D.as_bytes());
    // It is that of the end, however early or late the body began.
    for begun in [0, 60, 61] {
        for (ended, expected) in [(60, Ok(())), (61, Err("stale"))] {
            age.store(begun, Ordering::Relaxed);
            let mut partial = webhook.begin(&headers).unwrap();
            partial.update(QUOTE3D.as_bytes()).unwrap();
            age.store(ended, Ordering::Relaxed);
            let verdict = partial.finish().map(drop);
            assert_eq!(verdict.map_err(|error| error.code()), expected);
            let verdict = webhook.verify(&headers, QUOTE3D.as_bytes()).map(drop);
            assert_eq!(verdict.map_err(|error| error.code()), expected);
        }
    }
}

#[test]
fn secrets_that_reject_all_refuse_whatever_is_signed_with_anything() {
    let nobody = Webhook::<ThreeQpr>::new(Secrets::reject_all()).unwrap();
    let body = THREEQPR.as_bytes();
    let by_itself = signed(&nobody, body);
    // `openssl dgst -sha256 -hmac ''`, of the empty key, which no secret can be.
    let of_the_empty_key = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    let of_the_empty_key = headers(&[("x-3qpr-signature", of_the_empty_key)]);
    for (headers, body) in
        [(&by_itself, body), (&signed(&webhook::<ThreeQpr>(), body), body), (&of_the_empty_key, b"")]
    {
        assert_eq!(told(nobody.verify(headers, body)), Err("signature_mismatch"));
        assert_eq!(told(in_pieces(&nobody, headers, [body])), Err("signature_mismatch"));
        assert_eq!(nobody.verify_signature(headers, body).unwrap_err().code(), "signature_mismatch");
    }
    let signature: Signature = nobody.sign(body).parse().unwrap();
    let verifier = Verifier::new(Secrets::reject_all());
    assert!(verifier.verify(body, &signature).is_err());
    let mut verification = verifier.begin(signature);
    verification.update(body);
    assert!(verification.finish().is_err());
    // However many secrets are added, they stay nobody's.
    let mut still_nobody = Secrets::reject_all();
    for _ in 0..=Secrets::MAX {
        still_nobody = still_nobody.with_older(Secret::new(crate::common::NEWEST).unwrap()).unwrap();
        let still_nobody = Webhook::<ThreeQpr>::new(still_nobody.clone()).unwrap();
        for headers in [&signed(&webhook::<ThreeQpr>(), body), &by_itself] {
            assert_eq!(told(still_nobody.verify(headers, body)), Err("signature_mismatch"));
        }
    }
}

#[test]
fn a_tenants_events_have_keys_of_their_own() {
    let keys = [None, Some("acme"), Some("globex"), Some("a/b")].map(|tenant| {
        let webhook = webhook::<ThreeQpr>();
        let webhook = tenant.map_or(webhook.clone(), |tenant| webhook.with_tenant(tenant));
        let headers = signed(&webhook, THREEQPR.as_bytes());
        let delivery = webhook.verify(&headers, THREEQPR.as_bytes()).unwrap().into_owned();
        assert_eq!((webhook.tenant(), delivery.tenant()), (tenant, tenant));
        delivery.idempotency_key().to_string()
    });
    // `printf a/b | sha256sum`
    let hashed = "3qpr@~c14cddc033f64b9dea80ea675cf280a015e672516090a5626781153dc68fea11:evt_01HXYZSCAN";
    assert_eq!(
        keys,
        ["3qpr:evt_01HXYZSCAN", "3qpr@acme:evt_01HXYZSCAN", "3qpr@globex:evt_01HXYZSCAN", hashed]
    );
}

#[test]
fn no_debug_shows_what_has_come() {
    let webhook = webhook::<ThreeQpr>();
    let headers = signed(&webhook, THREEQPR.as_bytes());
    let mut partial = webhook.begin(&headers).unwrap();
    partial.update(THREEQPR.as_bytes()).unwrap();
    let debug = format!("{partial:?}");
    assert!(
        debug.contains("3qpr") && !debug.contains("scan.created") && !debug.contains("sha256="),
        "{debug}"
    );
}
