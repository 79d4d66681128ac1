//! Headers of every type have one verdict: each name in any case, each occurrence counted.

use crate::common::{QUOTE3D, webhook};
use countersign::provider::Quote3d;
use countersign::{Delivery, Error, Headers, Webhook};
use http::{HeaderMap, HeaderName, HeaderValue};

type Pairs<'a> = [(&'a str, &'a str)];

/// What each entrance says of these headers and [`QUOTE3D`]: `verify`, `verify_signature`, and `begin` with the
/// rest of a body that arrives.
fn told(webhook: &Webhook<Quote3d>, headers: &(impl Headers + ?Sized)) -> [&'static str; 3] {
    let body = QUOTE3D.as_bytes();
    let code =
        |verdict: Result<Delivery<'_, _>, Error>| verdict.map_or_else(|error| error.code(), |_| "accepted");
    let in_pieces = webhook.begin(headers).and_then(|mut partial| {
        body.chunks(100).try_for_each(|piece| partial.update(piece))?;
        partial.finish()
    });
    let matched = webhook.verify_signature(headers, body);
    let signature = matched.map_or_else(|error| error.code(), |_| "accepted");
    [code(webhook.verify(headers, body)), signature, code(in_pieces)]
}

fn header_map(pairs: &Pairs<'_>) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// Those of each type, which all have to say the same.
#[track_caller]
fn told_by_every_type(webhook: &Webhook<Quote3d>, pairs: &Pairs<'_>) -> [&'static str; 3] {
    let expected = told(webhook, &header_map(pairs));
    assert_eq!(told(webhook, pairs), expected, "a slice: {pairs:?}");
    assert_eq!(told(webhook, &pairs.to_vec()), expected, "a vector: {pairs:?}");
    let owned: Vec<(String, Vec<u8>)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    assert_eq!(told(webhook, &owned), expected, "a vector of what is owned: {pairs:?}");
    assert_eq!(told(webhook, &*owned), expected, "a slice of what is owned: {pairs:?}");
    let map = header_map(pairs);
    let of_http: Vec<(&HeaderName, &HeaderValue)> = map.iter().collect();
    assert_eq!(told(webhook, &of_http), expected, "http's names and values: {pairs:?}");
    // Arrays have their length in their type.
    let of_an_array = match *pairs {
        [] => told(webhook, &[] as &[(&str, &str); 0]),
        [a] => told(webhook, &[a]),
        [a, b] => told(webhook, &[a, b]),
        [a, b, c] => told(webhook, &[a, b, c]),
        [a, b, c, d] => told(webhook, &[a, b, c, d]),
        _ => panic!("one more length"),
    };
    assert_eq!(of_an_array, expected, "an array: {pairs:?}");
    #[cfg(feature = "actix-web")]
    {
        let mut map = actix_web::http::header::HeaderMap::new();
        for (name, value) in pairs {
            let name = actix_web::http::header::HeaderName::try_from(name.to_ascii_lowercase()).unwrap();
            map.append(name, actix_web::http::header::HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(told(webhook, &map), expected, "actix-web's header map: {pairs:?}");
    }
    expected
}

#[test]
fn headers_of_every_type_have_one_verdict() {
    let webhook = webhook::<Quote3d>();
    let right = &*webhook.sign(QUOTE3D.as_bytes()).to_string();
    let other = &*webhook.sign(b"another body").to_string();
    let (name, event) = ("x-webhook-signature", ("x-webhook-event", "quote.completed"));
    let all = |code| [code, code, code];
    let after_the_signature = |code| [code, "accepted", code];
    let cases: [(&Pairs<'_>, [&str; 3]); 19] = [
        (&[(name, right), event], all("accepted")),
        (&[event, ("host", "example.org"), (name, right)], all("accepted")),
        // In any case.
        (&[("X-Webhook-Signature", right), ("X-WEBHOOK-EVENT", "quote.completed")], all("accepted")),
        (&[("X-WEBHOOK-SIGNATURE", right), ("X-Webhook-Event", "quote.completed")], all("accepted")),
        (&[("x-wEBHOOK-sIGNATURE", right), ("x-wEBHOOK-eVENT", "quote.completed")], all("accepted")),
        // Absent, or under a name that only begins or ends like it.
        (&[], all("missing_signature")),
        (&[event], all("missing_signature")),
        (&[("x-webhook-signature-256", right), event], all("missing_signature")),
        (&[("webhook-signature", right), event], all("missing_signature")),
        (&[(name, right)], after_the_signature("missing_event_header")),
        // Repeated, alike or not, next to each other or not, in one case or in two.
        (&[(name, right), (name, right), event], all("duplicate_signature")),
        (&[(name, right), event, ("X-Webhook-Signature", right)], all("duplicate_signature")),
        (&[("X-WEBHOOK-SIGNATURE", other), (name, right), event], all("duplicate_signature")),
        (&[(name, right), (name, ""), (name, right), event], all("duplicate_signature")),
        (&[event, event, (name, right)], after_the_signature("duplicate_event_header")),
        (
            &[event, (name, right), ("X-Webhook-Event", "quote.failed")],
            after_the_signature("duplicate_event_header"),
        ),
        // Wrong.
        (&[(name, other), event], all("signature_mismatch")),
        (&[(name, "sha256="), event], all("malformed_signature")),
        (&[(name, right), ("x-webhook-event", "quote.failed")], after_the_signature("event_mismatch")),
    ];
    for (pairs, expected) in cases {
        assert_eq!(told_by_every_type(&webhook, pairs), expected, "{pairs:?}");
    }
    // An announced length is read before the body, and by nothing that has the body.
    for (pairs, expected) in [
        (&[(name, right), event, ("Content-Length", "1048577")][..], "body_too_large"),
        (&[(name, right), event, ("content-length", "1048576")], "accepted"),
        (&[(name, right), ("CONTENT-LENGTH", "1048577"), ("content-length", "7"), event], "body_too_large"),
        (&[(name, right), ("content-length", "7"), ("CONTENT-LENGTH", "1048577"), event], "body_too_large"),
    ] {
        assert_eq!(told_by_every_type(&webhook, pairs), ["accepted", "accepted", expected], "{pairs:?}");
    }
}

/// The header type of another framework.
struct Lines(&'static str, String);

impl Headers for Lines {
    fn each_value<'h>(&'h self, name: &HeaderName, each: &mut dyn FnMut(&'h [u8])) {
        for line in self.0.lines().chain(self.1.lines()) {
            if let Some((other, value)) = line.split_once(": ")
                && name.as_str().eq_ignore_ascii_case(other)
            {
                each(value.as_bytes());
            }
        }
    }
}

#[test]
fn headers_may_be_of_a_type_of_your_own() {
    let webhook = webhook::<Quote3d>();
    let right = format!("X-Webhook-Signature: {}", webhook.sign(QUOTE3D.as_bytes()));
    let event = "Host: example.org\nX-Webhook-Event: quote.completed\n";
    let lines = Lines(event, right.clone());
    assert_eq!(told(&webhook, &lines), ["accepted"; 3]);
    let of_any_type: &dyn Headers = &lines;
    assert_eq!(told(&webhook, of_any_type), ["accepted"; 3]);
    assert_eq!(told(&webhook, &Lines(event, format!("{right}\n{right}"))), ["duplicate_signature"; 3]);
    assert_eq!(told(&webhook, &Lines(event, String::new())), ["missing_signature"; 3]);
}

/// What no `HeaderMap` holds, which a server of another kind may hand over all the same.
#[test]
fn values_may_be_any_bytes() {
    let webhook = webhook::<Quote3d>();
    let right = webhook.sign(QUOTE3D.as_bytes()).to_string();
    let right = right.as_bytes();
    let (name, event) = ("x-webhook-signature", "x-webhook-event");
    for (signature, named, expected) in [
        (right, &b"quote.completed"[..], ["accepted"; 3]),
        (b"sha256=\xff\n\0", b"quote.completed", ["malformed_signature"; 3]),
        (right, b"quote.completed\0", ["event_mismatch", "accepted", "event_mismatch"]),
        (right, b"quote.\xff", ["event_mismatch", "accepted", "event_mismatch"]),
    ] {
        assert_eq!(told(&webhook, &[(name, signature), (event, named)]), expected);
    }
}
