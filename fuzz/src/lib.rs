//! What the fuzz targets do: each takes any bytes, and panics if something is not as it has to be.
//!
//! They are here, and not in the targets, so that `cargo test` runs the seeds on any toolchain.

mod bytes;
mod json;
mod model;
mod ours;
mod schemes;

/// The program itself, of which the fuzzer drives the part between its input and its output.
#[path = "../../examples/inspect.rs"]
#[allow(dead_code, reason = "nobody calls its `main`")]
mod inspect_program;

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Delivery, Error, Event, Provider, Secret, Secrets, Signature, Verifier, Webhook};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::bytes::{in_pieces, parts};
use crate::json::{Envelope, is_same};

pub use crate::schemes::{declarations, schemes, templates};

const SECRET: &str = "whsec_the-newest-secret-of-2026";
const OLDER: &str = "whsec_the-older-secret-of-2025";

/// A target's name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("signature", signature),
    ("verify", verify),
    ("pieces", pieces),
    ("headers", headers),
    ("envelope", envelope),
    ("events_quote3d", events_quote3d),
    ("events_nowtoprint", events_nowtoprint),
    ("events_3qpr", events_3qpr),
    ("inspect", inspect),
    ("schemes", schemes),
    ("templates", templates),
    ("declarations", declarations),
];

fn webhook<P: Provider + Default>() -> Webhook<P> {
    Webhook::new(Secret::new(SECRET).expect("long enough")).unwrap()
}

/// The signature header's value, as a second implementation makes it.
fn header(secret: &[u8], body: &[u8]) -> String {
    let digits: String = tag(secret, body).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn tag(secret: &[u8], body: &[u8]) -> [u8; 32] {
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), body);
    tag.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// A value is read exactly where it is `sha256=` and 64 lower-case digits, and written back as it was.
pub fn signature(data: &[u8]) {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_one = data.len() == 71 && data.starts_with(b"sha256=") && data[7..].iter().all(is_digit);
    match Signature::parse(data) {
        Ok(signature) => {
            assert!(is_one);
            assert_eq!(signature.to_string().as_bytes(), data);
            assert_eq!(format!("{signature:?}"), "Signature(sha256=…)");
        }
        Err(error) => {
            assert!(!is_one);
            let error = Error::from(error);
            assert_eq!((error.code(), error.status()), ("malformed_signature", 401));
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(text.parse::<Signature>().is_ok(), is_one);
    }
}

/// Secrets, a body and a signature that is right for one of them, or nearly: the verdict is that of
/// a second HMAC.
pub fn verify(data: &[u8]) {
    let Some(([of, place, flip], data)) = data.split_first_chunk() else { return };
    let [first, second, body] = parts(data);
    let Ok(secrets) = [first, second]
        .into_iter()
        .map(Secret::dangerously_allow_short)
        .collect::<Result<Vec<_>, _>>()
        .and_then(Secrets::try_from)
    else {
        return;
    };
    let mut given = tag([first, second, b"another's"][usize::from(of % 3)], body);
    given[usize::from(place % 32)] ^= flip;
    let digits: String = given.iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = Signature::parse(format!("sha256={digits}").as_bytes()).expect("well formed");

    let expected = [first, second].iter().position(|secret| tag(secret, body) == given);
    let verdict = Verifier::new(secrets.clone()).verify(body, &signature);
    assert_eq!(verdict.as_ref().ok().map(|matched| matched.position()), expected);
    assert!(verdict.is_ok() || verdict.is_err_and(|error| Error::from(error).code() == "signature_mismatch"));
    let signed = Signature::sign(&Secret::dangerously_allow_short(first).expect("it was one"), body);
    assert_eq!(signed.to_string(), header(first, body));
    assert_eq!(signed == signature, tag(first, body) == given);
    let of_the_empty_key = Signature::parse(header(b"", body).as_bytes()).expect("well formed");
    for signature in [signature, of_the_empty_key] {
        assert!(Verifier::new(Secrets::reject_all()).verify(body, &signature).is_err());
    }
}

/// A body in any pieces has the verdict that it has in one.
pub fn pieces(data: &[u8]) {
    let Some(([of, limit], data)) = data.split_first_chunk() else { return };
    let [cuts, body] = parts(data);
    let secrets = || {
        Secrets::new(Secret::new(SECRET).expect("long enough"))
            .with_older(Secret::new(OLDER).expect("long enough"))
            .expect("two are not too many")
    };
    let value = header([SECRET, OLDER, "another's"][usize::from(of % 3)].as_bytes(), body);
    let signature = Signature::parse(value.as_bytes()).expect("well formed");

    let verifier = Verifier::new(secrets());
    let mut verification = verifier.begin(signature);
    in_pieces(cuts, body).for_each(|piece| verification.update(piece));
    let whole = verifier.verify(body, &signature);
    assert_eq!(verification.finish(), whole);

    let webhook = Webhook::<ThreeQpr>::new(secrets()).unwrap().with_body_limit(64 * usize::from(*limit));
    let headers = [("x-3qpr-signature", &value)];
    let mut partial = webhook.begin(&headers).expect("one signature");
    if in_pieces(cuts, body).try_for_each(|piece| partial.update(piece)).is_err() {
        assert!(body.len() > webhook.body_limit());
        return;
    }
    assert!(body.len() <= webhook.body_limit());
    same_answer(&partial.finish(), &webhook.verify(&headers, body));
}

/// Both are the same delivery, or the same error.
fn same_answer<P: Provider>(one: &Result<Delivery<'_, P>, Error>, other: &Result<Delivery<'_, P>, Error>) {
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
            assert_eq!((one.data(), one.body()), (other.data(), other.body()));
            assert_eq!(one.idempotency_key(), other.idempotency_key());
        }
        (one, other) => {
            assert_eq!(one.as_ref().err().map(Error::code), other.as_ref().err().map(Error::code));
        }
    }
}

/// Headers of a request, one a line: its name's number, or a name, and its value. Picked out of a `HeaderMap` or out of
/// pairs, the answer is the one that counting says.
pub fn headers(data: &[u8]) {
    const BODY: &[u8] = br#"{"event":"quote.failed","data":null}"#;
    let right = header(SECRET.as_bytes(), BODY);
    let webhook = webhook::<Quote3d>().with_body_limit(4096);
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Some((number, value)) = line.split_first() else { continue };
        let (name, value) = match number {
            b'0' => ("X-Webhook-Signature", [right.as_bytes(), value].concat()),
            b'1' => ("x-webhook-SIGNATURE", value.to_vec()),
            b'2' => ("x-webhook-event", [b"quote.failed", value].concat()),
            b'3' => ("X-WEBHOOK-EVENT", value.to_vec()),
            b'4' => ("content-length", value.to_vec()),
            _ => match line.iter().position(|byte| *byte == b':') {
                Some(colon) => {
                    (std::str::from_utf8(&line[..colon]).unwrap_or("x"), line[colon + 1..].to_vec())
                }
                None => continue,
            },
        };
        pairs.push((name.to_owned(), value));
    }

    // What counting says of the pairs.
    let all = |wanted: &str| -> Vec<&[u8]> {
        let is_it = |(name, _): &&(String, Vec<u8>)| name.eq_ignore_ascii_case(wanted);
        pairs.iter().filter(is_it).map(|(_, value)| &value[..]).collect()
    };
    let signature = match &all("x-webhook-signature")[..] {
        [] => Err("missing_signature"),
        [value] if *value == right.as_bytes() => Ok(()),
        [value] if Signature::parse(value).is_ok() => Err("signature_mismatch"),
        [_] => Err("malformed_signature"),
        _ => Err("duplicate_signature"),
    };
    let event = match &all("x-webhook-event")[..] {
        [] => Err("missing_event_header"),
        [b"quote.failed"] => Ok(()),
        [_] => Err("event_mismatch"),
        _ => Err("duplicate_event_header"),
    };
    let expected = signature.and(event);

    let answer = webhook.verify(&pairs, BODY);
    assert_eq!(answer.as_ref().map(drop).map_err(Error::code), expected);
    // Before the body has come, only its length is judged, by the greatest that is announced.
    let lengths = all("content-length");
    let lengths = lengths.iter().filter_map(|length| std::str::from_utf8(length).ok()?.parse::<u64>().ok());
    let longest = lengths.max();
    let started = match signature {
        Ok(()) | Err("signature_mismatch") if longest > Some(4096) => Err("body_too_large"),
        Ok(()) | Err("signature_mismatch") => Ok(()),
        refused => refused,
    };
    assert_eq!(webhook.begin(&pairs).map(drop).map_err(|error| error.code()), started);
    let _ = format!("{webhook:?}");

    // The same, of those that a `HeaderMap` can hold.
    let mut map = HeaderMap::new();
    for (name, value) in &pairs {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => drop(map.append(name, value)),
            _ => return,
        }
    }
    same_answer(&webhook.verify(&map, BODY), &answer);
    assert_eq!(webhook.begin(&map).map(drop).map_err(|error| error.code()), started);
    let matched = webhook.verify_signature(&map, BODY).map(drop).map_err(|error| error.code());
    assert_eq!(matched, signature);
}

/// Any bytes, signed: accepted exactly where they are an envelope by a second reading, and then
/// they tell what that reading does.
pub fn envelope(body: &[u8]) {
    let webhook = webhook::<ThreeQpr>();
    let value = header(SECRET.as_bytes(), body);
    let headers = [("x-3qpr-signature", &value)];
    let answer = webhook.verify(&headers, body);
    match (answer, Envelope::read(body)) {
        (Ok(delivery), Some(envelope)) => {
            assert_eq!(delivery.event_name(), envelope.event);
            assert_eq!(delivery.id(), envelope.id.as_deref());
            assert_eq!(delivery.timestamp_text(), envelope.timestamp.as_deref());
            assert_eq!(delivery.data(), envelope.data);
            assert_eq!(delivery.body(), body);
            assert!(delivery.idempotency_key().as_str().len() <= 255);
            let _ = (delivery.timestamp(), delivery.event().is_ok(), format!("{delivery:?}"));
            let stale = webhook.clone().with_max_age(Duration::MAX).with_clock(|| SystemTime::UNIX_EPOCH);
            let dated = delivery.timestamp().is_some();
            assert_eq!(stale.verify(&headers, body).is_ok(), dated);
            same_answer::<ThreeQpr>(&Ok(delivery.clone()), &Ok(delivery.into_owned()));
        }
        (Err(error), None) => {
            assert_eq!((error.code(), error.status()), ("malformed_payload", 400));
            let _ = format!("{error} {error:?}");
        }
        (Ok(delivery), None) => panic!("accepted, but no envelope: {delivery:?}"),
        (Err(error), Some(_)) => panic!("an envelope, but {error:?}"),
    }
}

/// An event's number and its data: what is read is written back as it came.
pub fn events_quote3d(data: &[u8]) {
    const NAMES: &[&str] = &[
        "quote.completed",
        "quote.failed",
        "file.uploaded",
        "file.deleted",
        "job.status_changed",
        "widget.added_to_cart",
        "quote.unheard_of",
    ];
    events::<Quote3d>(NAMES, data);
}

/// As [`events_quote3d`].
pub fn events_nowtoprint(data: &[u8]) {
    const NAMES: &[&str] = &[
        "quote.received",
        "quote.updated",
        "order.created",
        "order.confirmed",
        "order.shipped",
        "order.unheard_of",
    ];
    events::<NowToPrint>(NAMES, data);
}

/// As [`events_quote3d`].
pub fn events_3qpr(data: &[u8]) {
    const NAMES: &[&str] = &[
        "scan.created",
        "conversation.completed",
        "qpr_code.created",
        "subscription.upgraded",
        "subscription.cancelled",
        "scan.unheard_of",
    ];
    events::<ThreeQpr>(NAMES, data);
}

fn events<P: Provider + Default>(names: &[&str], data: &[u8])
where
    P::Event: PartialEq + std::fmt::Debug,
{
    let Some((number, data)) = data.split_first() else { return };
    let name = names[usize::from(number.wrapping_sub(b'0')) % names.len()];
    let body = [br#"{"event":""#, name.as_bytes(), br#"","data":"#, data, b"}"].concat();
    let value = header(SECRET.as_bytes(), &body);
    let webhook = webhook::<P>();
    let headers = [(webhook.signature_header().as_str(), &*value), ("x-webhook-event", name)];
    let Ok(delivery) = webhook.verify(&headers, &body) else {
        assert!(Envelope::read(&body).is_none(), "an envelope was refused");
        return;
    };
    // These alone have a documented field, for want of which they are refused.
    let documented = ["quote.completed", "quote.received"].contains(&name);
    let event = match delivery.event() {
        Ok(event) => event,
        Err(error) => {
            assert_eq!((error.code(), error.status()), ("invalid_event", 422));
            assert!(documented, "{name} was refused: {error:?}");
            return;
        }
    };
    assert_eq!(event.name(), name);
    assert_eq!(event.variant() == "Unknown", name.ends_with("unheard_of"));

    let written = serde_json::to_string(&event).expect("an event is written");
    let data = written
        .strip_prefix(&format!(r#"{{"event":"{name}","data":"#))
        .and_then(|rest| rest.strip_suffix('}'));
    assert!(
        is_same(data.expect("an event and its data"), delivery.data(), 4),
        "{written}\n{}",
        delivery.data()
    );
    let read: P::Event = serde_json::from_str(&written).expect("what was written is read");
    assert_eq!(read, event);
    assert_eq!(serde_json::to_string(&read).expect("an event is written"), written);
}

/// Lines for the program, and one that it accepts or nearly: one verdict each, whatever they are.
pub fn inspect(data: &[u8]) {
    let Some(([flags, place, flip], rest)) = data.split_first_chunk() else { return };
    let mut input = rest.to_vec();
    // A line that bytes by chance would not make, since it is signed.
    let [event, now, body] = parts(rest);
    let mut signature = header(SECRET.as_bytes(), body).into_bytes();
    signature[usize::from(place % 71)] ^= flip & 0x7f;
    let event: String = event.iter().map(|byte| char::from(*byte)).collect();
    let signature: String = signature.into_iter().map(char::from).collect();
    let provider = ["quote3d", "nowtoprint", "3qpr", "nobody"][usize::from(flags & 3)];
    let name = if provider == "3qpr" { "X-3QPR-Signature" } else { "X-Webhook-Signature" };
    let mut line = json!({
        "provider": provider,
        "secrets": [OLDER, SECRET],
        "headers": [[name, signature], ["X-Webhook-Event", event]],
    });
    match std::str::from_utf8(body) {
        Ok(body) if flags & 4 == 0 => line["body"] = body.into(),
        _ => line["body_base64"] = STANDARD.encode(body).into(),
    }
    if flags & 8 != 0 {
        line["max_age_s"] = u64::from(*place).into();
        line["now"] = String::from_utf8_lossy(now).into();
    }
    if !input.is_empty() && !input.ends_with(b"\n") {
        input.push(b'\n');
    }
    let lines = input.iter().filter(|byte| **byte == b'\n').count() + 1;
    input.extend(line.to_string().into_bytes());

    let mut output = Vec::new();
    inspect_program::run(&input[..], &mut output).expect("memory takes what is written");
    let output = String::from_utf8(output).expect("JSON is text");
    assert!(output.ends_with('\n'));
    assert_eq!(output.lines().count(), lines);
    for verdict in output.lines() {
        let verdict: Value = serde_json::from_str(verdict).unwrap_or_else(|error| match verdict {
            // As exact as the event, which may hold what `Value` does not.
            accepted if accepted.starts_with(r#"{"verdict":"accepted""#) => json!({"verdict": "accepted"}),
            other => panic!("{error}: {other}"),
        });
        assert!(["accepted", "rejected", "unreadable"].map(Value::from).contains(&verdict["verdict"]));
    }
    let last = output.lines().last().unwrap_or_default();
    assert!(flip & 0x7f == 0 || !last.starts_with(r#"{"verdict":"accepted""#), "a changed signature");
}
