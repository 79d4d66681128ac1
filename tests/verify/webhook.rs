//! What a delivery has to be to be verified, and what it tells then.

use std::time::{Duration, SystemTime};

use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Error, Provider, Secret, Secrets, Signature, Verifier, Webhook};
use http::HeaderName;

use crate::common::{NEWEST, NOWTOPRINT, OLDER, QUOTE3D, THREEQPR, headers, rotating, signed, webhook};

/// The code of the error, or `accepted`.
pub(crate) fn verdict<P: Provider>(result: Result<Delivery<'_, P>, countersign::Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn the_documented_deliveries_are_accepted() {
    let quote3d = webhook::<Quote3d>();
    let headers = signed(&quote3d, QUOTE3D.as_bytes());
    let delivery = quote3d.verify(&headers, QUOTE3D.as_bytes()).unwrap();
    assert_eq!(delivery.event_name(), "quote.completed");
    assert_eq!(delivery.id(), None);
    assert_eq!(delivery.timestamp_text(), Some("2026-03-10T14:30:00.000Z"));
    let since_epoch = delivery.timestamp().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    // `date -ud 2026-03-10T14:30:00Z +%s`
    assert_eq!(since_epoch, Duration::from_secs(1_773_153_000));
    // `sha256sum tests/data/quote3d_quote_completed.json`
    let key = "quote3d:sha256:40d99dbca215dd13c968b53bcab954dd7f73d7e1289002e0ee46e7e484c428c9";
    assert_eq!(delivery.idempotency_key().as_str(), key);
    assert_eq!(delivery.matched_secret().position(), 0);
    assert_eq!(delivery.body(), QUOTE3D.as_bytes());
    assert!(delivery.data().starts_with("{\n    \"jobId\""));

    let nowtoprint = webhook::<NowToPrint>();
    let headers = signed(&nowtoprint, NOWTOPRINT.as_bytes());
    let delivery = nowtoprint.verify(&headers, NOWTOPRINT.as_bytes()).unwrap();
    assert_eq!(delivery.id(), Some("evt_01js3q7d9w4b2k8m1z0h3v6x7y"));
    assert_eq!(delivery.idempotency_key().as_str(), "nowtoprint:evt_01js3q7d9w4b2k8m1z0h3v6x7y");

    let threeqpr = webhook::<ThreeQpr>();
    let headers = signed(&threeqpr, THREEQPR.as_bytes());
    assert!(headers.contains_key("x-3qpr-signature"));
    let delivery = threeqpr.verify(&headers, THREEQPR.as_bytes()).unwrap();
    assert_eq!((delivery.timestamp_text(), delivery.timestamp()), (None, None));
    assert_eq!(delivery.idempotency_key().as_str(), "3qpr:evt_01HXYZSCAN");
}

#[test]
fn the_signature_header_is_there_once_and_right() {
    let webhook = webhook::<ThreeQpr>();
    let body = br#"{"event":"scan.created"}"#;
    let right = &webhook.sign(body).to_string();
    let other = &webhook.sign(b"another body").to_string();
    let name = "x-3qpr-signature";
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[(name, right)], "accepted"),
        (&[("X-3QPR-SIGNATURE", right)], "accepted"),
        (&[], "missing_signature"),
        (&[("x-webhook-signature", right)], "missing_signature"),
        (&[(name, right), (name, right)], "duplicate_signature"),
        (&[(name, right), (name, other)], "duplicate_signature"),
        (&[(name, ""), (name, right)], "duplicate_signature"),
        (&[(name, "")], "malformed_signature"),
        (&[(name, &format!("{right}, {right}"))], "malformed_signature"),
        (&[(name, other)], "signature_mismatch"),
    ];
    for (pairs, expected) in cases {
        assert_eq!(verdict(webhook.verify(&headers(pairs), body)), expected, "{pairs:?}");
    }
}

#[test]
fn a_body_that_differs_by_anything_is_not_what_was_signed() {
    let webhook = webhook::<Quote3d>();
    let headers = signed(&webhook, QUOTE3D.as_bytes());
    let reserialized = serde_json::from_str::<serde_json::Value>(QUOTE3D).unwrap().to_string();
    let bodies = [
        String::new(),
        format!("{QUOTE3D}\n"),
        format!(" {QUOTE3D}"),
        QUOTE3D.trim_end().to_owned(),
        QUOTE3D.replace('\n', "\r\n"),
        QUOTE3D.replace("25.5", "25.50"),
        QUOTE3D.replace("25.5", "0.5"),
        reserialized,
    ];
    for body in bodies {
        assert_eq!(verdict(webhook.verify(&headers, body.as_bytes())), "signature_mismatch", "{body}");
    }
}

#[test]
fn nothing_is_parsed_before_the_signature_has_matched() {
    // Each of these bodies would be refused for its form, were it signed.
    let webhook = webhook::<Quote3d>();
    for body in ["", "{", "\u{feff}{}", "[]", "{}", "\0"] {
        assert_eq!(verdict(webhook.verify(&headers(&[]), body.as_bytes())), "missing_signature");
        let forged = headers(&[("x-webhook-signature", &webhook.sign(b"other").to_string())]);
        assert_eq!(verdict(webhook.verify(&forged, body.as_bytes())), "signature_mismatch");
        let signed = signed(&webhook, body.as_bytes());
        assert_eq!(verdict(webhook.verify(&signed, body.as_bytes())), "malformed_payload");
    }
}

#[test]
fn the_event_header_is_there_once_and_equals_the_signed_event() {
    let webhook = webhook::<Quote3d>();
    let body = r#"{"event":"quote.\u0066ailed","data":{}}"#;
    let signature = &webhook.sign(body.as_bytes()).to_string();
    let name = "x-webhook-event";
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[(name, "quote.failed")], "accepted"),
        (&[], "missing_event_header"),
        (&[(name, "quote.failed"), (name, "quote.failed")], "duplicate_event_header"),
        (&[(name, "quote.completed")], "event_mismatch"),
        (&[(name, "quote.Failed")], "event_mismatch"),
        (&[(name, "quote.fail")], "event_mismatch"),
        (&[(name, "quote.failed.")], "event_mismatch"),
        (&[(name, "quote.failed, quote.failed")], "event_mismatch"),
        (&[(name, "")], "event_mismatch"),
    ];
    for (pairs, expected) in cases {
        let mut pairs = pairs.to_vec();
        pairs.push(("x-webhook-signature", signature));
        assert_eq!(verdict(webhook.verify(&headers(&pairs), body.as_bytes())), expected, "{pairs:?}");
    }
}

#[test]
fn a_provider_without_an_event_header_ignores_one() {
    let webhook = webhook::<NowToPrint>();
    let signature = &webhook.sign(NOWTOPRINT.as_bytes()).to_string();
    let headers = headers(&[("x-webhook-signature", signature), ("x-webhook-event", "order.created")]);
    let delivery = webhook.verify(&headers, NOWTOPRINT.as_bytes()).unwrap();
    assert_eq!(delivery.event_name(), "quote.received");
}

#[test]
fn an_unsigned_delivery_id_header_is_never_the_key() {
    let webhook = webhook::<ThreeQpr>();
    let mut headers = signed(&webhook, THREEQPR.as_bytes());
    let key = webhook.verify(&headers, THREEQPR.as_bytes()).unwrap().idempotency_key();
    for name in ["x-webhook-id", "x-delivery-id", "webhook-id", "x-3qpr-delivery", "idempotency-key"] {
        headers.insert(HeaderName::from_static(name), "evt_another".parse().unwrap());
    }
    assert_eq!(webhook.verify(&headers, THREEQPR.as_bytes()).unwrap().idempotency_key(), key);
}

#[test]
fn the_key_is_of_the_body_and_outlives_a_rotation() {
    let body = br#"{"event":"quote.failed","timestamp":"2026-03-10T14:30:00.000Z"}"#;
    let [old, new] = [OLDER, NEWEST].map(|secret| {
        let webhook = Webhook::<Quote3d>::new(Secret::new(secret).unwrap()).unwrap();
        webhook.verify(&signed(&webhook, body), body).unwrap().idempotency_key()
    });
    assert_eq!(old, new);
}

#[test]
fn nowtoprint_takes_its_signature_from_the_header_one_names() {
    let provider = NowToPrint::with_signature_header(HeaderName::from_static("x-ntp-signature"));
    let webhook = Webhook::for_provider(provider, Secret::new(NEWEST).unwrap()).unwrap();
    let signature = &webhook.sign(NOWTOPRINT.as_bytes()).to_string();
    let verdict = |name| verdict(webhook.verify(&headers(&[(name, signature)]), NOWTOPRINT.as_bytes()));
    assert_eq!(verdict("x-ntp-signature"), "accepted");
    assert_eq!(verdict("x-webhook-signature"), "missing_signature");
}

#[test]
fn a_body_in_pieces_has_the_verdict_of_the_whole() {
    let verifier = Verifier::new(
        Secrets::new(Secret::new(NEWEST).unwrap()).with_older(Secret::new(OLDER).unwrap()).unwrap(),
    );
    let body = QUOTE3D.as_bytes();
    for (secret, position) in [(NEWEST, Some(0)), (OLDER, Some(1)), ("whsec_none-of-the-secrets", None)] {
        let signature = Signature::sign(&Secret::new(secret).unwrap(), body);
        for size in [1, 2, 3, 63, 64, 65, 1000, usize::MAX] {
            let mut verification = verifier.begin(signature);
            verification.update(b"");
            body.chunks(size.min(body.len())).for_each(|chunk| verification.update(chunk));
            assert_eq!(verification.finish().ok().map(|secret| secret.position()), position);
        }
        let mut short = verifier.begin(signature);
        short.update(&body[..body.len() - 1]);
        assert_eq!(Error::from(short.finish().unwrap_err()).code(), "signature_mismatch");
    }
}

#[test]
fn header_values_as_bytes_have_the_verdict_of_a_header_map() {
    let webhook = webhook::<Quote3d>();
    let body = QUOTE3D.as_bytes();
    let signature = webhook.sign(body).to_string();
    let signature = signature.as_bytes();
    let event = &b"quote.completed"[..];
    let cases: [(&[&[u8]], &[&[u8]], &str); 8] = [
        (&[signature], &[event], "accepted"),
        (&[], &[event], "missing_signature"),
        (&[signature, signature], &[event], "duplicate_signature"),
        (&[signature, signature, signature], &[event], "duplicate_signature"),
        (&[b"sha256=\xff\n\0"], &[event], "malformed_signature"),
        (&[signature], &[], "missing_event_header"),
        (&[signature], &[event, event], "duplicate_event_header"),
        (&[signature], &[b"quote.completed\0"], "event_mismatch"),
    ];
    for (signatures, events, expected) in cases {
        let signatures = signatures.iter().map(|value| ("x-webhook-signature", *value));
        let events = events.iter().map(|value| ("x-webhook-event", *value));
        let headers: Vec<_> = signatures.chain(events).collect();
        assert_eq!(verdict(webhook.verify(&headers, body)), expected);
    }
}

#[test]
fn an_owned_delivery_is_the_same_delivery() {
    let webhook = webhook::<NowToPrint>();
    for body in [
        NOWTOPRINT.to_owned(),
        NOWTOPRINT.replace("evt", "\\u0065vt"),
        r#"{"event":"quote.updated"}"#.to_owned(),
    ] {
        let headers = signed(&webhook, body.as_bytes());
        let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
        let owned = delivery.clone().into_owned().into_owned();
        assert_eq!(owned.body(), delivery.body());
        assert_eq!(owned.event_name(), delivery.event_name());
        assert_eq!(owned.id(), delivery.id());
        assert_eq!(owned.timestamp_text(), delivery.timestamp_text());
        assert_eq!(owned.data(), delivery.data());
        assert_eq!(owned.matched_secret(), delivery.matched_secret());
        assert_eq!(owned.idempotency_key(), delivery.idempotency_key());
        assert_eq!(owned.event().unwrap(), delivery.event().unwrap());
    }
}

#[test]
fn a_signature_alone_can_be_verified_of_any_body() {
    let webhook = webhook::<ThreeQpr>();
    let headers = headers(&[("x-3qpr-signature", &webhook.sign(b"not JSON").to_string())]);
    assert!(webhook.verify_signature(&headers, b"not JSON").is_ok());
    assert_eq!(verdict(webhook.verify(&headers, b"not JSON")), "malformed_payload");
    assert_eq!(webhook.verify_signature(&headers, b"not json").unwrap_err().code(), "signature_mismatch");
}

#[test]
fn signed_headers_are_what_the_provider_would_send() {
    for webhook in [rotating::<Quote3d>(), webhook()] {
        let made = webhook.signed_headers(QUOTE3D.as_bytes());
        assert_eq!(made, signed(&webhook, QUOTE3D.as_bytes()));
        assert!(webhook.verify(&made, QUOTE3D.as_bytes()).unwrap().matched_secret().is_newest());
    }
    let made = webhook::<ThreeQpr>().signed_headers(THREEQPR.as_bytes());
    assert_eq!(made, signed(&webhook::<ThreeQpr>(), THREEQPR.as_bytes()));
    assert_eq!(made.len(), 1);
    // Without an event to name, or with one that no header can hold, the signature stands alone.
    for body in ["", "[]", r#"{"event":7}"#, r#"{"event":"a\u000ab"}"#] {
        let made = webhook::<Quote3d>().signed_headers(body.as_bytes());
        assert_eq!(made.keys().collect::<Vec<_>>(), ["x-webhook-signature"], "{body}");
        assert!(webhook::<Quote3d>().verify_signature(&made, body.as_bytes()).is_ok());
    }
}

#[test]
fn an_id_of_quote3d_identifies_no_event() {
    let webhook = webhook::<Quote3d>();
    let key = |body: &str| {
        let headers = signed(&webhook, body.as_bytes());
        let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
        assert_eq!(delivery.id(), None);
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body));
        assert_eq!(delivery.idempotency_key().as_str(), format!("quote3d:sha256:{digest}"));
        delivery.idempotency_key()
    };
    let [uploaded, deleted] = ["file.uploaded", "file.deleted"]
        .map(|event| key(&format!(r#"{{"event":"{event}","id":"job_1","data":{{}}}}"#)));
    assert_ne!(uploaded, deleted);
    // It is a member like any other: of any type, and not repeated.
    for id in ["7", "null", "[]", "{}", r#""\ud800""#] {
        key(&format!(r#"{{"event":"file.deleted","id":{id}}}"#));
    }
    let twice = br#"{"event":"file.deleted","id":"1","id":"2"}"#;
    assert_eq!(verdict(webhook.verify(&signed(&webhook, twice), twice)), "malformed_payload");
}

/// A provider that names its events' ids otherwise.
#[derive(Default)]
struct ByDelivery;

impl countersign::Provider for ByDelivery {
    type Event = countersign::UnknownEvent;
    const NAME: &'static str = "by-delivery";
    const SCHEME: countersign::Scheme<'static> =
        countersign::Scheme::new("x-signature").with_prefix("sha256=");
    const ENVELOPE: countersign::Envelope<'static> = countersign::Envelope::new().with_id("delivery_id");
}

#[test]
fn a_provider_says_which_member_identifies_its_events() {
    let webhook = webhook::<ByDelivery>();
    let body = br#"{"event":"a","id":7,"delivery_id":"d_1"}"#;
    let delivery = webhook.verify(&signed(&webhook, body), body).unwrap();
    assert_eq!((delivery.id(), delivery.idempotency_key().as_str()), (Some("d_1"), "by-delivery:d_1"));
    let body = br#"{"event":"a","id":"1","delivery_id":7}"#;
    assert_eq!(verdict(webhook.verify(&signed(&webhook, body), body)), "malformed_payload");
}

#[test]
fn a_webhook_tells_its_settings() {
    let webhook = webhook::<ThreeQpr>();
    assert_eq!((webhook.max_age(), webhook.body_limit(), webhook.tenant()), (None, 1 << 20, None));
    let age = Duration::from_secs(300);
    let webhook = webhook.with_max_age(age).with_body_limit(7).with_tenant("acme");
    assert_eq!((webhook.max_age(), webhook.body_limit(), webhook.tenant()), (Some(age), 7, Some("acme")));
}
