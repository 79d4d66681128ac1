//! What a delivery has to be to be verified, and what it tells then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{NEWEST, NOWTOPRINT, OLDER, QUOTE3D, THREEQPR, headers, rotating, signed, webhook};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Error, Provider, Secret, SecretError, Secrets, Signature, Verifier, Webhook};
use http::HeaderName;

/// The code of the error, or `accepted`.
fn verdict<P: Provider>(result: Result<Delivery<'_, P>, countersign::Error>) -> &'static str {
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
        let webhook = Webhook::<Quote3d>::new(Secret::new(secret).unwrap());
        webhook.verify(&signed(&webhook, body), body).unwrap().idempotency_key()
    });
    assert_eq!(old, new);
}

#[test]
fn nowtoprint_takes_its_signature_from_the_header_one_names() {
    let provider = NowToPrint::with_signature_header(HeaderName::from_static("x-ntp-signature"));
    let webhook = Webhook::for_provider(provider, Secret::new(NEWEST).unwrap());
    let signature = &webhook.sign(NOWTOPRINT.as_bytes()).to_string();
    let verdict = |name| verdict(webhook.verify(&headers(&[(name, signature)]), NOWTOPRINT.as_bytes()));
    assert_eq!(verdict("x-ntp-signature"), "accepted");
    assert_eq!(verdict("x-webhook-signature"), "missing_signature");
}

#[test]
fn a_delivery_says_which_secret_it_was_signed_with() {
    let webhook = rotating::<ThreeQpr>();
    let body = br#"{"event":"scan.created"}"#;
    let secret = |secret: &str| {
        let signature = Signature::sign(&Secret::new(secret).unwrap(), body).to_string();
        let headers = headers(&[("x-3qpr-signature", &signature)]);
        webhook.verify(&headers, body).map(|delivery| delivery.matched_secret().clone())
    };
    let newest = secret(NEWEST).unwrap();
    assert_eq!((newest.position(), newest.label(), newest.is_newest()), (0, None, true));
    let older = secret(OLDER).unwrap();
    assert_eq!((older.position(), older.label(), older.is_newest()), (1, Some("2025"), false));
    assert!(secret("whsec_another-secret-altogether").is_err());
}

#[test]
fn one_to_eight_secrets_are_valid_at_once() {
    let secret = |n: usize| Secret::new(format!("whsec_secret-number-{n}")).unwrap();
    for count in [0, 1, 2, 8, 9] {
        let secrets = Secrets::try_from((0..count).map(secret).collect::<Vec<_>>());
        match count {
            0 => assert_eq!(secrets.unwrap_err(), SecretError::NoSecret),
            9 => assert_eq!(secrets.unwrap_err(), SecretError::TooMany),
            _ => {
                let verifier = Verifier::new(secrets.unwrap());
                for n in 0..count {
                    let signature = Signature::sign(&secret(n), b"body");
                    assert_eq!(verifier.verify(b"body", &signature).unwrap().position(), n);
                }
                assert!(verifier.verify(b"body", &Signature::sign(&secret(count), b"body")).is_err());
            }
        }
    }
    let mut secrets = Secrets::new(secret(0));
    for n in 1..8 {
        secrets = secrets.with_older(secret(n)).unwrap();
    }
    assert_eq!(secrets.with_older(secret(8)).unwrap_err(), SecretError::TooMany);
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
fn a_maximum_age_is_enforced_only_where_asked_for() {
    let body = |timestamp: &str| format!(r#"{{"event":"quote.updated","timestamp":{timestamp}}}"#);
    let signed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_153_000);
    let later = |millis: u64| signed_at + Duration::from_millis(millis);
    let earlier = |millis: u64| signed_at - Duration::from_millis(millis);
    let anytime = webhook::<NowToPrint>();
    let recent = webhook::<NowToPrint>().with_max_age(Duration::from_secs(300));
    let exact = r#""2026-03-10T14:30:00.000Z""#;
    let cases = [
        (exact, signed_at, "accepted"),
        (exact, later(300_000), "accepted"),
        (exact, later(300_001), "stale"),
        (exact, later(86_400_000), "stale"),
        (exact, SystemTime::UNIX_EPOCH, "stale"),
        (exact, earlier(300_000), "accepted"),
        (exact, earlier(300_001), "stale"),
        (r#""2026-03-10T14:30:00Z""#, later(300_000), "accepted"),
        (r#""2026-03-10T16:30:00+02:00""#, later(300_000), "accepted"),
        (r#""2026-03-10T16:30:00+02:00""#, later(300_001), "stale"),
        (r#""2026-03-10T14:30:00.000000001Z""#, later(300_000), "accepted"),
        ("null", signed_at, "stale"),
        (r#""2026-03-10""#, signed_at, "stale"),
        (r#""yesterday""#, signed_at, "stale"),
        (r#""1773153000""#, signed_at, "stale"),
        (r#""""#, signed_at, "stale"),
    ];
    for (timestamp, now, expected) in cases {
        let body = body(timestamp);
        let headers = signed(&anytime, body.as_bytes());
        let verdict = |webhook: &Webhook<NowToPrint>| {
            verdict(webhook.clone().with_clock(move || now).verify(&headers, body.as_bytes()))
        };
        assert_eq!(verdict(&anytime), "accepted", "{timestamp}");
        assert_eq!(verdict(&recent), expected, "{timestamp} {now:?}");
    }
    let absent = br#"{"event":"quote.updated"}"#;
    let headers = signed(&recent, absent);
    assert_eq!(verdict(recent.verify(&headers, absent)), "stale");
    assert_eq!(verdict(anytime.verify(&headers, absent)), "accepted");
}

#[test]
fn the_clock_is_read_once_a_verdict_and_only_for_a_maximum_age() {
    let readings = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&readings);
    let anytime = webhook::<NowToPrint>().with_clock(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_153_000)
    });
    let body = br#"{"event":"quote.updated","timestamp":"2026-03-10T14:30:00.000Z"}"#;
    let headers = signed(&anytime, body);
    assert_eq!(verdict(anytime.verify(&headers, body)), "accepted");
    assert_eq!(readings.load(Ordering::Relaxed), 0);
    // A clone has the same clock, and the order of the settings says nothing.
    let recent = anytime.clone().with_max_age(Duration::ZERO);
    assert_eq!(verdict(recent.verify(&headers, body)), "accepted");
    assert_eq!(readings.load(Ordering::Relaxed), 1);
    let mut partial = recent.begin(&headers).unwrap();
    partial.update(body).unwrap();
    assert_eq!(readings.load(Ordering::Relaxed), 1);
    assert_eq!(verdict(partial.finish()), "accepted");
    assert_eq!(readings.load(Ordering::Relaxed), 2);
    // Not before the signature has matched, and not to show it.
    assert_eq!(verdict(recent.verify(&headers, b"{}")), "signature_mismatch");
    assert!(recent.verify_signature(&headers, body).is_ok());
    assert!(!format!("{recent:?}").is_empty());
    assert_eq!(readings.load(Ordering::Relaxed), 2);
    // Without one, it is the system's, by which that day is long past.
    let system = webhook::<NowToPrint>().with_max_age(Duration::from_secs(300));
    let long_ago = br#"{"event":"quote.updated","timestamp":"2020-03-10T14:30:00.000Z"}"#;
    assert_eq!(verdict(system.verify(&signed(&system, long_ago), long_ago)), "stale");
    let now = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339);
    let now = format!(r#"{{"event":"quote.updated","timestamp":"{}"}}"#, now.unwrap());
    assert_eq!(verdict(system.verify(&signed(&system, now.as_bytes()), now.as_bytes())), "accepted");
    let stopped = system.with_clock(|| SystemTime::UNIX_EPOCH);
    assert_eq!(verdict(stopped.verify(&signed(&stopped, now.as_bytes()), now.as_bytes())), "stale");
}

#[test]
fn a_timestamp_is_a_time_if_it_is_rfc_3339_and_text_in_any_case() {
    let webhook = webhook::<NowToPrint>();
    let cases = [
        ("1970-01-01T00:00:01Z", Some(1)),
        ("1970-01-01t00:00:01z", Some(1)),
        ("1970-01-01T01:00:01+01:00", Some(1)),
        ("1969-12-31T23:59:59Z", Some(-1)),
        ("1970-01-01 00:00:01", None),
        ("1970-01-01T00:00:01", None),
        ("1970-01-01T00:00Z", None),
        ("1970-02-30T00:00:00Z", None),
        ("1970-01-01T24:00:00Z", None),
        ("Thu, 01 Jan 1970 00:00:01 GMT", None),
        ("1", None),
    ];
    for (text, seconds) in cases {
        let body = format!(r#"{{"event":"quote.updated","timestamp":"{text}"}}"#);
        let headers = signed(&webhook, body.as_bytes());
        let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
        assert_eq!(delivery.timestamp_text(), Some(text));
        let expected = seconds.map(|seconds: i64| {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            let epoch = SystemTime::UNIX_EPOCH;
            if seconds < 0 { epoch - distance } else { epoch + distance }
        });
        assert_eq!(delivery.timestamp(), expected, "{text}");
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
fn a_secret_is_checked_when_it_comes_in() {
    let refused = [
        ("", "secret_too_short"),
        ("undefined", "secret_too_short"),
        ("null", "secret_too_short"),
        ("changeme", "secret_too_short"),
        ("whsec_123456789", "secret_too_short"),
        ("               ", "secret_too_short"),
        ("whsec_0123456789abcdef\n", "secret_padded"),
        ("whsec_0123456789abcdef\r\n", "secret_padded"),
        ("whsec_0123456789abcdef ", "secret_padded"),
        (" whsec_0123456789abcdef", "secret_padded"),
        ("\twhsec_0123456789abcdef", "secret_padded"),
        ("                        ", "secret_padded"),
        ("whsec_0123456789abcdef\u{a0}", "secret_padded"),
        ("\u{2003}whsec_0123456789abcdef", "secret_padded"),
        ("\u{feff}whsec_0123456789abcdef", "secret_padded"),
        ("\"whsec_0123456789abcdef\"", "secret_quoted"),
        ("'whsec_0123456789abcdef'", "secret_quoted"),
        ("`whsec_0123456789abcdef`", "secret_quoted"),
        ("\u{201c}whsec_0123456789abcdef\u{201d}", "secret_quoted"),
        ("your_secret_here", "secret_placeholder"),
        ("your_webhook_secret_here", "secret_placeholder"),
        ("YOUR-WEBHOOK-SECRET", "secret_placeholder"),
        ("<your-secret-key>", "secret_placeholder"),
        ("<webhook secret>", "secret_placeholder"),
        ("${WEBHOOK_SECRET}", "secret_placeholder"),
        ("${WEBHOOK_SECRET:-}", "secret_placeholder"),
        ("$(WEBHOOK_SECRET)", "secret_placeholder"),
        ("{{ webhook.secret }}", "secret_placeholder"),
        ("{{webhookSecret}}", "secret_placeholder"),
        ("[WEBHOOK_SECRET]", "secret_placeholder"),
        ("%WEBHOOK_SECRET%", "secret_placeholder"),
        ("changemechangeme", "secret_placeholder"),
        ("whsec_change_me_please", "secret_placeholder"),
        ("please-replace-me", "secret_placeholder"),
        ("this.is.a.placeholder", "secret_placeholder"),
        ("put the secret here", "secret_placeholder"),
        ("0000000000000000", "secret_placeholder"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "secret_placeholder"),
        ("whsec_................", "secret_placeholder"),
        ("****************", "secret_placeholder"),
    ];
    for (value, code) in refused {
        assert_eq!(Secret::new(value).unwrap_err().code(), code, "{value:?}");
    }
    for value in [
        "whsec_ 0123 456789\tabcdef",
        "0123456789abcdef",
        "It's a Secret to Everybody",
        "shown-once-in-the-dashboard",
        "000000000000000f",
        "'0123456789abcdef",
        "<$%0123456789abc>",
        "\u{e9}\u{1f980} as any text is",
    ] {
        assert!(Secret::new(value).is_ok(), "{value:?}");
    }
    // A binary key is any bytes.
    let keys: [&[u8]; 7] = [
        b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1\xf0",
        b" 123456789abcde\n",
        b"\xff\xfe whsec_0123456789abcdef\n",
        b"                ",
        &[0x0b; 20],
        &[0xaa; 131],
        &[7; 100_000],
    ];
    for key in keys {
        assert!(Secret::from_bytes(key).is_ok(), "{key:?}");
    }
    assert_eq!(Secret::from_bytes(b"\xff\xfe\xff\xfe").unwrap_err().code(), "secret_too_short");
    assert_eq!(Secret::from_bytes([0; 32]).unwrap_err().code(), "secret_placeholder");
    assert!(Secret::dangerously_allow_short("short").is_ok());
    assert_eq!(Secret::dangerously_allow_short("").unwrap_err().code(), "secret_too_short");
    assert_eq!(Secret::dangerously_allow_short("short\n").unwrap_err().code(), "secret_padded");
}

/// As providers make them: 100,000 random ones in hex, in Base64, as passwords and as bytes.
#[test]
fn no_random_secret_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let mut random = fastrand::Rng::with_seed(0x5ec2e7);
    for length in [16, 24, 32].into_iter().cycle().take(100_000 / 7) {
        let mut key = vec![0; length];
        random.fill(&mut key);
        for text in [hex::encode(&key), STANDARD.encode(&key), URL_SAFE_NO_PAD.encode(&key)] {
            for prefix in ["", "whsec_"] {
                let text = format!("{prefix}{text}");
                assert!(Secret::new(text.as_str()).is_ok(), "{text}");
            }
        }
        let password: String = (0..length).map(|_| char::from(random.u8(b'!'..=b'~'))).collect();
        assert!(Secret::new(password.as_str()).is_ok(), "{password}");
        assert!(Secret::from_bytes(key.as_slice()).is_ok(), "{key:?}");
    }
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
fn no_debug_shows_a_secret_or_a_tag() {
    let webhook = rotating::<Quote3d>();
    let body = QUOTE3D.as_bytes();
    let signature = webhook.sign(body);
    let tag = signature.to_string().split_off(7);
    let headers = signed(&webhook, body);
    let secrets = Secrets::new(Secret::new(NEWEST).unwrap()).with_older(Secret::new(OLDER).unwrap()).unwrap();
    let verifier = Verifier::new(secrets.clone());
    let receiver = countersign::Receiver::new(webhook.clone(), countersign::MemoryStore::new());
    let shown = [
        format!("{:?}", Secret::new(NEWEST).unwrap()),
        format!("{secrets:?}"),
        format!("{signature:?}"),
        format!("{verifier:?}"),
        format!("{:?}", verifier.begin(signature)),
        format!("{:?}", webhook.begin(&headers).unwrap()),
        format!("{webhook:?}"),
        format!("{receiver:?}"),
        format!("{:?}", webhook.verify(&headers, body).unwrap()),
        format!("{:?}", webhook.verify(&headers, body).unwrap().matched_secret()),
        format!("{:?}", webhook.verify(&headers, b"{}").unwrap_err()),
        format!("{:?}", Secret::new(format!("{NEWEST}\n")).unwrap_err()),
        format!("{:#?}", (Secret::new("not-long-enough").unwrap_err(), &webhook, &receiver)),
    ];
    let shown = shown.into_iter().chain([
        webhook.verify(&headers, b"{}").unwrap_err().to_string(),
        Secret::new(format!("{NEWEST}\n")).unwrap_err().to_string(),
        Secret::new("not-long-enough").unwrap_err().to_string(),
    ]);
    let bytes = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    for text in shown {
        for secret in [NEWEST, OLDER, "not-long-enough", &tag] {
            assert!(!text.contains(secret), "{text}");
            assert!(!text.contains(&bytes(secret)), "{text}");
        }
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
    const EVENT_ID: Option<&'static str> = Some("delivery_id");

    fn signature_header(&self) -> http::HeaderName {
        http::HeaderName::from_static("x-signature")
    }
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
