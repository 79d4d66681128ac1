//! The same for every algorithm, every encoding of a tag, and every form of a signature header.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use countersign::Webhook;
use countersign::provider::DeclaredProvider;
use hmac::digest::{FixedOutput, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use crate::valgrind::make_secret;
use crate::{BODY, Check, NEWEST, OLDER, differs_early, followed, rotating};

/// The time of the deliveries, in seconds.
const TIME: u64 = 1_614_265_330;

const ALGORITHMS: [(&str, usize); 3] = [("hmac-sha256", 32), ("hmac-sha1", 20), ("hmac-sha512", 64)];
const ENCODINGS: [&str; 3] = ["hex", "base64", "base64url"];

fn mac<M: Mac + FixedOutput + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length");
    mac.chain_update(message).finalize_fixed().to_vec()
}

fn tag(algorithm: &str, key: &[u8], message: &[u8]) -> Vec<u8> {
    match algorithm {
        "hmac-sha1" => mac::<Hmac<Sha1>>(key, message),
        "hmac-sha512" => mac::<Hmac<Sha512>>(key, message),
        _ => mac::<Hmac<Sha256>>(key, message),
    }
}

fn text(encoding: &str, tag: &[u8]) -> String {
    match encoding {
        "base64" => STANDARD.encode(tag),
        "base64url" => URL_SAFE.encode(tag),
        _ => tag.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The right tag with so many right bytes at its start, and the others wrong.
fn nearly(algorithm: &str, key: &str, message: &[u8], right: usize) -> Vec<u8> {
    let mut tag = tag(algorithm, key.as_bytes(), message);
    tag[right..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    tag
}

fn webhook(declaration: &str, secrets: impl Into<countersign::Secrets>) -> Webhook<DeclaredProvider> {
    let provider = serde_json::from_str(declaration).expect("a declaration that makes sense");
    let webhook = Webhook::for_provider(provider, secrets).expect("a key in any encoding");
    webhook.with_clock(|| SystemTime::UNIX_EPOCH + Duration::from_secs(TIME))
}

/// A delivery, on each way to a verdict.
fn everywhere(check: &mut Check, name: &str, accepted: bool, declaration: &str, headers: &[(&str, String)]) {
    check.silent(&format!("Webhook::verify, {name}"), accepted, || {
        webhook(declaration, followed(NEWEST)).verify(headers, BODY).is_ok()
    });
    check.silent(&format!("Webhook::verify_signature, {name}"), accepted, || {
        webhook(declaration, followed(NEWEST)).verify_signature(headers, BODY).is_ok()
    });
    check.silent(
        &format!("Webhook::verify_signature of the second of two secrets, {name}"),
        accepted,
        || {
            let secrets = countersign::Secrets::new(followed(OLDER)).with_older(followed(NEWEST));
            webhook(declaration, secrets.expect("two are not too many"))
                .verify_signature(headers, BODY)
                .is_ok()
        },
    );
    check.silent(&format!("PartialDelivery, {name}"), accepted, || {
        let webhook = webhook(declaration, rotating());
        let Ok(mut partial) = webhook.begin(headers) else { return false };
        BODY.chunks(7).for_each(|piece| partial.update(piece).expect("within the limit"));
        partial.finish().is_ok()
    });
}

/// What must not be reported.
pub fn library(check: &mut Check) {
    for (algorithm, length) in ALGORITHMS {
        for encoding in ENCODINGS {
            tags(check, algorithm, length, encoding);
        }
        several(check, algorithm, length);
        times(check, algorithm, length);
    }
}

/// One tag: of which some bytes are right, in its canonical spelling and in others.
fn tags(check: &mut Check, algorithm: &str, length: usize, encoding: &str) {
    let declaration = format!(
        r#"{{"name":"a","algorithm":"{algorithm}","signature":{{"header":"x-s","encoding":"{encoding}","prefix":"p="}}}}"#
    );
    for right in [0, 1, length - 1, length] {
        let value = text(encoding, &nearly(algorithm, NEWEST, BODY, right));
        let name = format!("{algorithm}, {encoding}, {right} right bytes");
        everywhere(check, &name, right == length, &declaration, &[("x-s", format!("p={value}"))]);
    }
    let right = text(encoding, &tag(algorithm, NEWEST.as_bytes(), BODY));
    let others = [
        ("upper case", right.to_uppercase()),
        ("cut short", right[..right.len() - 1].to_owned()),
        (
            "without padding",
            right.trim_end_matches('=').to_owned() + if encoding == "hex" { "=" } else { "" },
        ),
    ];
    for (name, value) in others {
        // A tag of SHA-512 or SHA-256 always has padding, and one of SHA-1 too.
        let name = format!("{algorithm}, {encoding}, the right tag in {name}");
        everywhere(check, &name, false, &declaration, &[("x-s", format!("p={value}"))]);
    }
}

/// Several candidates, with versions, of which any or none is right.
fn several(check: &mut Check, algorithm: &str, length: usize) {
    for (form, before, foreign) in [
        (r#""separator":" ","each":"v1,""#, "v1,", "v1a,"),
        (r#""separator":" ","field":"v1""#, "v1=", "v0="),
    ] {
        let declaration = format!(
            r#"{{"name":"a","algorithm":"{algorithm}","signature":{{"header":"x-s","encoding":"base64",{form}}}}}"#
        );
        let item = |before: &str, right: usize| {
            format!("{before}{}", STANDARD.encode(nearly(algorithm, NEWEST, BODY, right)))
        };
        let wrong = |count: usize| vec![item(before, length - 1); count];
        let cases = [
            ("the first of two", true, vec![item(before, length), item(before, 0)]),
            ("the last of two", true, vec![item(before, 0), item(before, length)]),
            ("the last of 16", true, [wrong(15), vec![item(before, length)]].concat()),
            ("none of 16", false, wrong(16)),
            (
                "beside other versions",
                true,
                vec![item(foreign, 0), item(before, length), item(foreign, length)],
            ),
            ("another version alone", false, vec![item(foreign, length)]),
        ];
        for (name, accepted, items) in cases {
            let name = format!("{algorithm}, candidates after `{before}`, {name}");
            everywhere(check, &name, accepted, &declaration, &[("x-s", items.join(" "))]);
        }
    }
}

/// A time and a header in the signed bytes.
fn times(check: &mut Check, algorithm: &str, length: usize) {
    let cases = [
        (r#""field":"t","unit":"s""#, TIME.to_string()),
        (r#""header":"x-time","unit":"ms""#, format!("{TIME}000")),
        (r#""header":"x-time","unit":"rfc3339""#, "2021-02-25T15:02:10Z".to_owned()),
    ];
    for (place, time) in cases {
        let declaration = format!(
            r#"{{"name":"a","algorithm":"{algorithm}","signature":{{"header":"x-s","separator":",","field":"v1"}},
                "signed":"{{header:x-id}}.{{timestamp}}.{{body}}","timestamp":{{{place},"tolerance_s":300}}}}"#
        );
        for right in [0, length - 1, length] {
            let message = [b"msg_1.", time.as_bytes(), b".", BODY].concat();
            let value = text("hex", &nearly(algorithm, NEWEST, &message, right));
            let headers = [
                ("x-s", format!("t={time},v1={value}")),
                ("x-time", time.clone()),
                ("x-id", "msg_1".to_owned()),
            ];
            let name = format!("{algorithm}, a template with a time ({place}), {right} right bytes");
            everywhere(check, &name, right == length, &declaration, &headers);
        }
    }
}

/// Comparisons that leak, of the tags of every algorithm in every encoding. Each must be reported.
pub fn controls(check: &mut Check) {
    for (algorithm, length) in ALGORITHMS {
        // A tag that memcheck follows, and one that is right but for its last byte.
        let followed_tag = || {
            let mut key = NEWEST.as_bytes().to_vec();
            make_secret(key.as_mut_ptr() as u64, key.len());
            let given = nearly(algorithm, NEWEST, BODY, length - 1);
            (black_box(tag(algorithm, &key, BODY)), black_box(given))
        };
        check.control(&format!("control: {algorithm}, `==` on slices"), || {
            let (tag, given) = followed_tag();
            black_box(black_box(&tag[..]) == black_box(&given[..]));
        });
        check.control(&format!("control: {algorithm}, a loop that ends at the first difference"), || {
            let (tag, given) = followed_tag();
            black_box(differs_early(&tag, &given));
        });
        check.control(&format!("control: {algorithm}, a list of candidates that contains the tag"), || {
            let (tag, given) = followed_tag();
            black_box(black_box(&[given.clone(), given][..]).contains(black_box(&tag)));
        });
        for encoding in ENCODINGS {
            check.control(&format!("control: {algorithm}, `==` on texts in {encoding}"), || {
                let (tag, given) = followed_tag();
                black_box(black_box(text(encoding, &tag)) == black_box(text(encoding, &given)));
            });
        }
    }
}
