//! Both directions: what one signs the other accepts, and neither accepts it once a bit is flipped.

use http::{HeaderMap, HeaderValue};

use crate::deliveries::{bodies, event, secrets};
use crate::ours::{now, ours};
use crate::sdks::{SDKS, Sdk, parsed};

#[test]
fn what_an_sdk_signs_is_accepted() {
    for sdk in SDKS.iter().filter(|sdk| sdk.signs) {
        each_delivery(sdk, |what, secret, body| {
            let headers = sdk.sign(secret, body, now());
            let ours = ours(sdk.provider, secret);
            assert!(ours.proves(&headers, body).is_ok(), "{what}: {headers:?}");
            if body != "{}" {
                let mut headers = headers;
                // The event's name, which GitHub's SDK does not sign.
                headers.insert("x-github-event", HeaderValue::from_static("push"));
                let verdict = ours.verifies(&headers, body);
                assert!(verdict.is_ok(), "{what}: {verdict:?}");
            }
        });
    }
}

#[test]
fn what_is_signed_here_an_sdk_accepts() {
    for sdk in &SDKS {
        each_delivery(sdk, |what, secret, body| {
            let headers = ours(sdk.provider, secret).sign(body, now());
            for headers in families(sdk, headers) {
                let verdict = sdk.verify(secret, &headers, body);
                assert_eq!(verdict, Ok(()), "{what}: {headers:?}");
            }
        });
    }
}

#[test]
fn a_flipped_bit_is_refused_by_both() {
    for sdk in &SDKS {
        let (secret, body) = (&secrets(sdk.provider)[0], event(sdk.provider, r#"{"a":1}"#));
        let ours = ours(sdk.provider, secret);
        let mut refused = 0;
        let mut is_refused_by_both = |what: &str, headers: &HeaderMap, body: &str| {
            assert!(ours.proves(headers, body).is_err(), "{}: {what}", sdk.label());
            assert!(sdk.verify(secret, headers, body).is_err(), "{}: {what}", sdk.label());
            refused += 1;
        };
        let signed = ours.sign(&body, now());
        for (name, value) in &signed {
            // Every bit of every header that is signed, but for bits that make it no text.
            if name == "x-github-event" || name == "x-shopify-topic" {
                continue;
            }
            for (at, bit) in bits(value.as_bytes()) {
                let mut flipped = value.as_bytes().to_vec();
                flipped[at] ^= bit;
                let mut headers = signed.clone();
                headers.insert(name, HeaderValue::from_bytes(&flipped).unwrap());
                if flipped.is_ascii() && !is_another_spelling(sdk, value.as_bytes(), &flipped) {
                    is_refused_by_both(&format!("{name} {:?}", headers[name]), &headers, &body);
                }
            }
        }
        for (at, bit) in bits(body.as_bytes()) {
            let mut flipped = body.clone().into_bytes();
            flipped[at] ^= bit;
            is_refused_by_both(&format!("body {at} {bit}"), &signed, &String::from_utf8(flipped).unwrap());
        }
        let (beginning, last) = secret.split_at(secret.len() - 1);
        let other = format!("{beginning}{}", if last == "w" { "x" } else { "w" });
        assert!(sdk.verify(&other, &signed, &body).is_err());
        assert!(refused > 500, "{}: {refused}", sdk.label());
    }
}

/// The bits of printable bytes that leave them printable.
fn bits(bytes: &[u8]) -> Vec<(usize, u8)> {
    let all = bytes.iter().enumerate().flat_map(|(at, byte)| (0..7).map(move |bit| (at, *byte, 1 << bit)));
    all.filter(|(_, byte, bit)| (b' '..=b'~').contains(&(byte ^ bit))).map(|(at, _, bit)| (at, bit)).collect()
}

/// Whether a flipped bit changes how a value is written and not what an SDK reads: `malformed` has such cases.
fn is_another_spelling(sdk: &Sdk, signed: &[u8], flipped: &[u8]) -> bool {
    // Python ignores a base64 tag's two stray bits, and characters of no alphabet.
    let is_lenient = sdk.registry == "PyPI" && sdk.provider == "standard-webhooks";
    is_lenient && signed.starts_with(b"v1,") && flipped.starts_with(b"v1,") && {
        let at = signed.iter().zip(flipped).position(|(one, other)| one != other).unwrap();
        at == signed.len() - 2
    }
}

fn each_delivery(sdk: &Sdk, check: impl Fn(&str, &str, &str)) {
    for (kind, body) in bodies(sdk.provider) {
        for (at, secret) in secrets(sdk.provider).iter().enumerate() {
            check(&format!("{}: {kind}, secret {at}", sdk.label()), secret, &body);
        }
    }
}

/// The headers by the names that an SDK reads: Svix's read either family.
pub fn families(sdk: &Sdk, headers: HeaderMap) -> Vec<HeaderMap> {
    let svix = |headers: &HeaderMap| {
        let name = |name: &str| parsed(&name.replacen("webhook-", "svix-", 1));
        headers.iter().map(|(key, value)| (name(key.as_str()), value.clone())).collect()
    };
    if sdk.is_svix { vec![svix(&headers), headers] } else { vec![headers] }
}
