//! The rules of a candidate, bit by bit and spelling by spelling.

use std::time::{Duration, SystemTime};

use countersign::provider::StandardWebhooks;
use countersign::{Algorithm, Provider, Secret, SigningOptions, TagEncoding, Webhook};

use super::declared;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY: &[u8] = br#"{"event":"a","id":"evt_1"}"#;

fn code<P: Provider>(webhook: &Webhook<P>, headers: &[(&str, &[u8])], body: &[u8]) -> &'static str {
    webhook.verify(headers, body).map_or_else(|error| error.code(), |_| "accepted")
}

const FORMS: [(&str, TagEncoding); 3] =
    [("hex", TagEncoding::Hex), ("base64", TagEncoding::Base64), ("base64url", TagEncoding::Base64Url)];
const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("hmac-sha256", Algorithm::HmacSha256),
    ("hmac-sha1", Algorithm::HmacSha1),
    ("hmac-sha512", Algorithm::HmacSha512),
];

#[test]
fn a_tag_has_one_spelling_under_every_algorithm_and_encoding() {
    for (algorithm, _) in ALGORITHMS {
        for (encoding, _) in FORMS {
            let webhook = declared(&format!(
                r#"{{"name":"a","algorithm":"{algorithm}","signature":{{"header":"x-s","encoding":"{encoding}"}}}}"#
            ));
            let right = webhook.sign(BODY);
            let told = |value: &[u8]| code(&webhook, &[("x-s", value)], BODY);
            assert_eq!(told(right.as_bytes()), "accepted");
            let mut refused = vec![
                right.to_uppercase(),
                right.trim_end_matches('=').to_owned() + if right.ends_with('=') { "" } else { "=" },
                format!("{right}="),
                format!("{right}A"),
                format!(" {right}"),
                format!("{right} "),
                format!("{right},{right}"),
                format!("\"{right}\""),
            ];
            refused.extend((0..right.len()).map(|length| right[..length].to_owned()));
            refused.extend((1..right.len()).map(|at| right[at..].to_owned()));
            let swapped = right.replace('+', "-").replace('/', "_");
            let swapped =
                if encoding == "base64url" { right.replace('-', "+").replace('_', "/") } else { swapped };
            refused.push(swapped);
            for value in refused.iter().filter(|value| **value != right) {
                let code = told(value.as_bytes());
                assert!(matches!(code, "malformed_signature" | "signature_mismatch"), "{code} {value}");
                assert!(value.len() == right.len() || code == "malformed_signature", "{code} {value}");
            }
            for at in 0..right.len() {
                for bit in 0..8 {
                    let mut value = right.clone().into_bytes();
                    value[at] ^= 1 << bit;
                    assert_ne!(told(&value), "accepted", "{algorithm} {encoding} {at} {bit}");
                }
            }
            // Stray bits in the last character before the padding.
            if let Some(last) = right.find('=').map(|end| end - 1) {
                for other in (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z') {
                    let mut value = right.clone().into_bytes();
                    let is_it = std::mem::replace(&mut value[last], other) == other;
                    assert_eq!(told(&value) == "accepted", is_it, "{encoding} {}", char::from(other));
                }
            }
        }
    }
}

fn standard() -> (Webhook<StandardWebhooks>, String) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330);
    let webhook = Webhook::new(Secret::new(SECRET).unwrap()).unwrap().with_clock(move || now);
    let headers = Webhook::signed_headers_with(&webhook, BODY, &SigningOptions::new().with_id("msg_1"));
    (webhook, headers["webhook-signature"].to_str().unwrap().to_owned())
}

fn told(webhook: &Webhook<StandardWebhooks>, signature: &str) -> &'static str {
    let headers: &[(&str, &[u8])] = &[
        ("webhook-id", b"msg_1"),
        ("webhook-timestamp", b"1614265330"),
        ("webhook-signature", signature.as_bytes()),
    ];
    code(webhook, headers, BODY)
}

#[test]
fn sixteen_candidates_are_compared_and_seventeen_are_refused() {
    let (webhook, right) = standard();
    let other = format!("v1,{}=", "A".repeat(43));
    for place in 0..16 {
        let mut items = vec![other.as_str(); 16];
        items[place] = &right;
        assert_eq!(told(&webhook, &items.join(" ")), "accepted", "{place}");
        items.push(&other);
        assert_eq!(told(&webhook, &items.join(" ")), "malformed_signature");
    }
    assert_eq!(told(&webhook, &[other.as_str(); 16].join(" ")), "signature_mismatch");
    assert_eq!(told(&webhook, &[right.as_str(); 16].join(" ")), "accepted");
    let many = [other.as_str(); 1_400].join(" ");
    assert!(many.len() > 64 << 10);
    assert_eq!(told(&webhook, &many), "malformed_signature");
}

#[test]
fn items_of_other_versions_neither_help_nor_harm() {
    let (webhook, right) = standard();
    let tag = right.strip_prefix("v1,").unwrap();
    let foreign = [
        format!("v2,{tag}"),
        format!("v1a,{tag}"),
        format!("V1,{tag}"),
        format!("v1{tag}"),
        format!("v0,{tag}"),
        format!(",{tag}"),
        tag.to_owned(),
        "v1,".to_owned(),
        "v1,AAAA".to_owned(),
        String::new(),
        ",".to_owned(),
    ];
    for item in &foreign {
        assert_eq!(told(&webhook, item), "malformed_signature", "{item}");
        assert_eq!(told(&webhook, &format!("{item} {right}")), "accepted", "{item}");
        assert_eq!(told(&webhook, &format!("{right} {item}")), "accepted", "{item}");
        let wrong = format!("v1,{}=", "A".repeat(43));
        assert_eq!(told(&webhook, &format!("{item} {wrong}")), "signature_mismatch", "{item}");
    }
    let many = foreign.join(" ").repeat(200) + " " + &right;
    assert_eq!(told(&webhook, &many), "accepted");
}

#[test]
fn the_headers_of_one_family_are_read_and_two_are_refused() {
    let (webhook, right) = standard();
    let of = |family: &str| {
        [("id", "msg_1"), ("timestamp", "1614265330"), ("signature", &*right)]
            .map(|(name, value)| (format!("{family}-{name}"), value.to_owned()))
    };
    let told = |headers: &[(String, String)]| {
        webhook.verify(headers, BODY).map_or_else(|error| error.code(), |_| "accepted")
    };
    assert_eq!((told(&of("webhook")), told(&of("svix"))), ("accepted", "accepted"));
    assert_eq!(told(&[of("webhook"), of("svix")].concat()), "malformed_signature");
    // A signature of one family with the id and the time of the other.
    let mixed = [&of("webhook")[..2], &of("svix")[2..]].concat();
    assert_eq!(told(&mixed), "malformed_signature");
    for (at, expected) in [(0, "malformed_signature"), (1, "malformed_signature"), (2, "missing_signature")] {
        let mut headers = of("webhook").to_vec();
        let removed = headers.remove(at);
        assert_eq!(told(&headers), expected);
        headers.extend([removed.clone(), removed]);
        assert_eq!(told(&headers), "duplicate_signature");
    }
}

#[test]
fn beside_an_open_value_only_an_object_is_a_body_so_no_two_deliveries_share_their_bytes() {
    const TIME: &str = "1614265330";
    const NO_OBJECT: &[u8] = b"1111111111{}";
    let webhook = declared(
        r#"{"name":"a","signature":{"header":"x-s"},"signed":"{header:x-id}{timestamp}{body}",
            "timestamp":{"header":"x-t"},"event":{"name":null,"id":null,"timestamp":null,"data":null}}"#,
    );
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME.parse().unwrap());
    let signed = webhook.signed_headers_with(NO_OBJECT, &SigningOptions::new().with_id("a").with_time(at));
    let signature = signed["x-s"].to_str().unwrap();
    let moved = format!("a{TIME}");
    for (id, time, body, expected) in [
        ("a", TIME, NO_OBJECT, "malformed_payload"),
        // The same bytes, taken apart in another place.
        (&moved, "1111111111", b"{}", "accepted"),
    ] {
        let headers = [("x-id", id), ("x-t", time), ("x-s", signature)];
        let in_pieces = webhook.begin(&headers).and_then(|mut partial| {
            body.chunks(3).try_for_each(|piece| partial.update(piece))?;
            partial.finish()
        });
        for verdict in [
            webhook.verify(&headers, body).map(drop),
            webhook.verify_signature(&headers, body).map(drop),
            in_pieces.map(drop),
        ] {
            assert_eq!(verdict.map_or_else(|error| error.code(), |()| "accepted"), expected, "{id}");
        }
    }
}

#[test]
fn a_time_has_its_fixed_length_and_is_judged_after_the_signature() {
    let (webhook, _) = standard();
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (seconds, expected) in [
        (1_614_265_330, "accepted"),
        (1_614_265_030, "accepted"),
        (1_614_265_630, "accepted"),
        (1_614_265_029, "stale"),
        (1_614_265_631, "stale"),
    ] {
        let headers = webhook.signed_headers_with(BODY, &SigningOptions::new().with_time(at(seconds)));
        assert_eq!(
            webhook.verify(&headers, BODY).map_or_else(|error| error.code(), |_| "accepted"),
            expected
        );
        let signature = webhook.verify_signature(&headers, BODY);
        assert_eq!(signature.map_or_else(|error| error.code(), |_| "accepted"), expected);
        let other = webhook.verify(&headers, b"{}").unwrap_err().code();
        assert_eq!(other, "signature_mismatch", "a stale delivery that is forged is forged");
        // A maximum age replaces the tolerance.
        let lenient = webhook.clone().with_max_age(Duration::from_secs(301));
        assert!(lenient.verify(&headers, BODY).is_ok());
    }
    let (webhook, right) = standard();
    for text in
        ["", "161426533", "01614265330", "+614265330", "1614265330 ", "18446744073709551616", "1e9", "١"]
    {
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", text), ("webhook-signature", &right)];
        assert_eq!(webhook.verify(&headers, BODY).unwrap_err().code(), "malformed_signature", "{text}");
    }
}
