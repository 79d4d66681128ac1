//! Under each scheme, what was done to the headers is named, and what is striking about them is said.

use std::time::{Duration, SystemTime};

use countersign::Webhook;
use countersign::diagnose::Diagnoser;
use countersign::provider::ThreeQpr;

use super::kinds::{BODY, Headers, Kind, SECONDS, Sent, TWO_HEADERS, Time, declared, kinds};
use super::{HEADER, NONE, SECRET, caused, hinted, secret, sign};

#[test]
fn a_time_beyond_the_tolerance_is_told_with_its_distance() {
    let mut judged = 0;
    for kind in kinds().into_iter().filter(Kind::has_time) {
        let at = |now, body: &str| {
            let sent = Sent { now, body: body.into(), ..kind.sent() };
            let diagnosis = kind.diagnosis(&sent);
            (diagnosis.is_verified(), hinted(&diagnosis))
        };
        for now in [SECONDS - 300, SECONDS, SECONDS + 300] {
            assert_eq!(at(now, BODY), (true, Vec::new()), "{}", kind.name);
        }
        // Zoom's has no tolerance.
        let hints = |hints: &[&str]| -> Vec<String> {
            if kind.name == "zoom" { Vec::new() } else { hints.iter().map(ToString::to_string).collect() }
        };
        for (now, hint) in [(SECONDS + 7_201, "time_in_past: 7201"), (SECONDS - 301, "time_in_future: 301")] {
            assert_eq!(at(now, BODY), (true, hints(&["refused_afterwards: stale", hint])), "{}", kind.name);
            // Also where the signature would have to be mended first.
            assert_eq!(at(now, &format!("{BODY}\n")), (false, hints(&[hint])), "{}", kind.name);
            // Nor does it matter what else is wrong with the body.
            let sent = Sent { now, signed_body: b"[]".to_vec(), body: b"[]".to_vec(), ..kind.sent() };
            let told = hinted(&kind.diagnosis(&sent));
            assert!(kind.name == "zoom" || told == hints(&["refused_afterwards: stale", hint]), "{told:?}");
            judged += 1;
        }
    }
    assert_eq!(judged, 16);
}

/// Where the scheme has no time, the maximum age is judged by that of the body that was signed.
#[test]
fn the_age_of_a_body_is_told_when_its_accident_is_undone() {
    let webhook = Webhook::<ThreeQpr>::new(secret(SECRET)).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS);
    let diagnosed = |signed: &str, body: &str, max_age| {
        let diagnoser = Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().with_clock(move || now);
        let diagnoser = if let Some(max_age) = max_age { diagnoser.with_max_age(max_age) } else { diagnoser };
        let signature = webhook.sign(signed.as_bytes());
        let diagnosis = diagnoser.diagnose([(HEADER, signature.as_bytes())], body.as_bytes());
        (diagnosis.is_verified(), caused(&diagnosis), hinted(&diagnosis))
    };
    let signed = r#"{"event":"scan.created","id":"1","timestamp":"2021-02-25T14:02:10Z","data":{}}"#;
    let quoted = serde_json::to_string(signed).unwrap();
    let max_age = |seconds| Some(Duration::from_secs(seconds));
    let stale = vec!["time_in_past: 3600".to_owned()];
    for (max_age, hints) in [(None, vec![]), (max_age(3600), vec![]), (max_age(3599), stale.clone())] {
        let refused: Vec<_> =
            (!hints.is_empty()).then(|| "refused_afterwards: stale".to_owned()).into_iter().collect();
        assert_eq!(diagnosed(signed, signed, max_age), (true, vec![], [&*refused, &*hints].concat()));
        let named = vec!["body_double_encoded".to_owned()];
        assert_eq!(diagnosed(signed, &quoted, max_age), (false, named, hints));
    }
}

/// Each header that is there must hold a signature.
#[test]
fn a_second_signature_header_that_holds_none_is_named() {
    let row = r#"{"name":"a","signature":{"header":["x-one","x-two"],"prefix":"sha256="}}"#;
    let kind = kinds().into_iter().find(|kind| kind.name == "github").unwrap();
    let diagnosed = |sent: &Sent, other: &str| {
        let mut headers = kind.headers(sent);
        headers[1].0 = "x-two".to_owned();
        headers.push(("x-one".to_owned(), other.to_owned()));
        let diagnosis = declared(row, sent, &headers);
        (diagnosis.is_verified(), caused(&diagnosis), hinted(&diagnosis))
    };
    let right = kind.headers(&kind.sent())[1].1.clone();
    assert_eq!(diagnosed(&kind.sent(), &right), (true, vec![], vec![]));
    let named = vec!["signature_beside_malformed".to_owned()];
    assert_eq!(diagnosed(&kind.sent(), "sha256=undefined"), (false, named, vec![]));
    let forged = Sent { tag: Some(vec![7; 32]), ..kind.sent() };
    let hints = vec!["signature_malformed".to_owned()];
    assert_eq!(diagnosed(&forged, "sha256=undefined"), (false, vec![], hints));
}

/// The diagnosis of a delivery with signature headers of two names: whether it verifies, the causes and the hints.
fn of_two_headers(headers: &[(&str, &str)]) -> (bool, Vec<String>, Vec<String>) {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let diagnosis = declared(TWO_HEADERS, &stripe().sent(), &headers);
    (diagnosis.is_verified(), caused(&diagnosis), hinted(&diagnosis))
}

fn stripe() -> Kind {
    kinds().into_iter().find(|kind| kind.name == "stripe").unwrap()
}

/// The value of Stripe's signature header.
fn value(sent: &Sent) -> String {
    stripe().headers(sent)[1].1.clone()
}

fn forged() -> String {
    value(&Sent { tag: Some(vec![7; 32]), ..stripe().sent() })
}

/// The time stands in one of them.
#[test]
fn two_signature_headers_that_bring_a_time_each_are_named() {
    let diagnosed = |one: &str, two: &str| of_two_headers(&[("x-one", one), ("x-two", two)]);
    let time = (SECONDS + 1).to_string();
    let later = value(&Sent { time: time.clone(), signed_time: time, ..stripe().sent() });
    let (right, forged) = (value(&stripe().sent()), forged());
    let without_time = right.split_once(',').unwrap().1;
    let named = vec!["time_repeated".to_owned()];
    assert_eq!(diagnosed(&right, without_time), (true, vec![], vec![]));
    for (one, two) in [(&right, &later), (&right, &right), (&right, &forged), (&forged, &right)] {
        assert_eq!(diagnosed(one, two), (false, named.clone(), vec![]), "{one} {two}");
    }
    assert_eq!(diagnosed(&forged, &forged), (false, vec![], named));
    // A header that has to be left out anyway brings no second time.
    let beside = vec!["signature_beside_malformed".to_owned()];
    assert_eq!(diagnosed(&right, &format!("t={SECONDS},v1=undefined")), (false, beside.clone(), vec![]));
    assert_eq!(diagnosed(&right, &format!("t={SECONDS}")), (false, beside, vec![]));
    // What else happened to the value is undone before.
    let quoted = vec!["time_repeated".to_owned(), "signature_quoted".to_owned()];
    assert_eq!(diagnosed(&format!("\"{right}\""), &forged), (false, quoted, vec![]));
}

/// Only what makes the delivery verify is named.
#[test]
fn a_repeated_signature_header_is_a_hint_beside_two_times() {
    let (right, forged) = (value(&stripe().sent()), forged());
    let diagnosed = of_two_headers(&[("x-one", &right), ("x-two", &forged), ("x-two", &forged)]);
    let hints = ["signature_repeated", "time_repeated"].map(ToOwned::to_owned).to_vec();
    assert_eq!(diagnosed, (false, vec![], hints));
}

#[test]
fn what_was_done_to_the_headers_is_named_under_each_scheme() {
    for kind in kinds() {
        let sent = kind.sent();
        assert!(kind.diagnosis(&sent).is_verified(), "{}", kind.name);
        let right = kind.headers(&sent);
        let with = |value: &dyn Fn(&str) -> String| {
            let mut headers = right.clone();
            headers[1].1 = value(&right[1].1);
            headers
        };
        let named = |headers, causes: &[&str]| {
            let diagnosis = kind.diagnosis_of(&sent, &headers);
            assert_eq!(caused(&diagnosis), causes, "{} {headers:?} {diagnosis}", kind.name);
        };
        named(with(&|value| format!("\"{value}\"")), &["signature_quoted"]);
        if kind.separator != Some(' ') {
            named(with(&|value| format!("{value} ")), &["signature_padded"]);
        }
        named([&right[..], &right[1..2]].concat(), &["signature_repeated"]);
        if kind.separator.is_none() {
            named(with(&|value| format!("{value}, {value}")), &["signature_joined"]);
        }
        if kind.separator == Some(' ') {
            named(with(&|value| format!("{value}, v1,AAAA")), &["signature_joined"]);
        }
        if let (Time::Field(key), Some(separator)) = (kind.time, kind.separator) {
            named(with(&|value| format!("{key}=1614265329{separator}{value}")), &["signature_joined"]);
        }
        let mut renamed = right.clone();
        renamed[1].0 = "x-forwarded-signature".to_owned();
        let twice = [&renamed[..], &renamed[1..2]].concat();
        named(renamed, &["signature_in_other_header: x-forwarded-signature"]);
        named(twice, &["signature_repeated", "signature_in_other_header: x-forwarded-signature"]);
    }
}

#[test]
fn the_headers_of_another_family_are_named() {
    let kinds = kinds();
    let of = |name: &str| kinds.iter().find(|kind| kind.name == name).unwrap();
    let renamed = |at: &[usize]| {
        let mut headers = of("one family").headers(&of("one family").sent());
        for at in at {
            headers[*at].0 = headers[*at].0.replace("webhook-", "svix-");
        }
        headers
    };
    let forwarded = |mut headers: Headers| {
        headers[1].0 = "x-forwarded-signature".to_owned();
        headers
    };
    const FORWARDED: &str = "signature_in_other_header: x-forwarded-signature";
    for (name, headers, causes) in [
        ("standard-webhooks", renamed(&[1, 2, 3]), &[][..]),
        ("one family", renamed(&[1, 2, 3]), &["headers_of_other_family: svix-"]),
        ("one family", renamed(&[2, 3]), &["headers_mixed"]),
        ("standard-webhooks", renamed(&[2, 3]), &["headers_mixed"]),
        ("standard-webhooks", renamed(&[1]), &["headers_mixed"]),
        ("standard-webhooks", [renamed(&[1, 2, 3]), renamed(&[])].concat(), &["headers_mixed"]),
        // The webhook does not read the headers of the other.
        ("one family", [renamed(&[1, 2, 3]), renamed(&[])].concat(), &[]),
        ("standard-webhooks", forwarded(renamed(&[2, 3])), &[FORWARDED]),
        ("one family", forwarded(renamed(&[2, 3])), &[FORWARDED, "headers_of_other_family: svix-"]),
        // What is missing from both families cannot be found.
        ("standard-webhooks", renamed(&[2]), &[]),
    ] {
        let diagnosis = of(name).diagnosis_of(&of(name).sent(), &headers);
        assert_eq!(caused(&diagnosis), causes, "{name} {headers:?} {diagnosis}");
    }
    // The id of the other family is not that of the signature.
    let mut quoted = renamed(&[1, 2, 3]);
    quoted[1].1 = format!("\"{}\"", quoted[1].1);
    let other = [("webhook-id", "msg_0".to_owned()), ("webhook-timestamp", SECONDS.to_string())];
    quoted.extend(other.map(|(name, value)| (name.to_owned(), value)));
    let standard = of("standard-webhooks");
    assert_eq!(caused(&standard.diagnosis_of(&standard.sent(), &quoted)), ["signature_quoted"]);
    // Without an id, the body may still have been signed alone.
    let sent = Sent { template: "{body}".to_owned(), ..standard.sent() };
    let alone = forwarded(standard.headers(&sent))[..2].to_vec();
    assert_eq!(caused(&standard.diagnosis_of(&sent, &alone)), [FORWARDED, "signed_body_alone"]);
}

/// A template names the header that holds the id.
#[test]
fn a_template_is_named_with_the_header_that_it_signs() {
    let named = |kind: &str, more: &[(&str, &str)], row: Option<&str>| {
        let kind = kinds().into_iter().find(|other| other.name == kind).unwrap();
        let sent = Sent { template: "{header:webhook-id}.{timestamp}.{body}".to_owned(), ..kind.sent() };
        let mut headers = kind.headers(&sent);
        headers.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        caused(&row.map_or_else(|| kind.diagnosis_of(&sent, &headers), |row| declared(row, &sent, &headers)))
    };
    let of = |id: &str| [format!("signed_under_other_template: {{header:{id}}}.{{timestamp}}.{{body}}")];
    for kind in ["stripe", "paddle", "slack", "zoom", "milliseconds", "rfc3339"] {
        let (right, wrong) = ("msg_1", "msg_0");
        assert_eq!(named(kind, &[("webhook-id", right)], None), of("webhook-id"), "{kind}");
        assert_eq!(named(kind, &[("svix-id", right)], None), of("svix-id"), "{kind}");
        // With both, that which was signed.
        for (webhook, svix, id) in [(wrong, right, "svix-id"), (right, wrong, "webhook-id")] {
            assert_eq!(named(kind, &[("webhook-id", webhook), ("svix-id", svix)], None), of(id), "{kind}");
        }
    }
    // A scheme that signs a header of its own, in another place.
    let row = r#"{"name":"a","signed":"{timestamp}.{header:x-id}.{body}",
        "signature":{"header":"x-slack-signature","prefix":"v0="},
        "timestamp":{"header":"x-slack-request-timestamp","tolerance_s":300}}"#;
    assert_eq!(named("slack", &[("x-id", "msg_1")], Some(row)), of("x-id"));
}

#[test]
fn a_time_is_also_found_in_a_header_that_the_scheme_does_not_name() {
    let (signature, time) = (sign(format!("{SECONDS}.{BODY}").as_bytes()), SECONDS.to_string());
    let diagnosed = |times: &[&'static str]| {
        let times = times.iter().map(|name| (*name, time.as_bytes()));
        let headers = [(HEADER, signature.as_bytes())].into_iter().chain(times);
        caused(&Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose(headers, BODY.as_bytes()))
    };
    assert_eq!(diagnosed(&["X-Timestamp"]), ["signed_under_other_template: {timestamp}.{body}"]);
    // Of two, nobody could tell which one is meant.
    for times in [&[][..], &["X-Timestamp", "Y-Timestamp"]] {
        assert_eq!(diagnosed(times), NONE);
    }
}

/// What is refused whatever the secret is, is said, and the secret is not suspected.
#[test]
fn headers_that_are_there_twice_are_a_hint_if_no_signature_is_right() {
    for kind in kinds() {
        let forged = Sent { tag: Some(vec![7; 32]), ..kind.sent() };
        let right = kind.headers(&forged);
        let twice = [&right[..], &right[1..2]].concat();
        let diagnosis = kind.diagnosis_of(&forged, &twice);
        assert_eq!((caused(&diagnosis), hinted(&diagnosis)), (vec![], vec!["signature_repeated".into()]));
        assert!(!diagnosis.to_string().contains("most likely"), "{diagnosis}");
        if kind.name == "standard-webhooks" {
            let other =
                right[1..].iter().map(|(name, value)| (name.replace("webhook-", "svix-"), value.clone()));
            let both = right.iter().cloned().chain(other).collect();
            let diagnosis = kind.diagnosis_of(&forged, &both);
            assert_eq!((caused(&diagnosis), hinted(&diagnosis)), (vec![], vec!["headers_mixed".into()]));
        }
    }
}

#[test]
fn a_time_that_is_none_is_a_hint() {
    for kind in kinds().into_iter().filter(Kind::has_time) {
        for time in ["", "abc", "1", "-1614265330", "2021-02-25 15:02:10"] {
            let sent = Sent { time: time.to_owned(), ..kind.sent() };
            let diagnosis = kind.diagnosis(&sent);
            assert_eq!(
                (caused(&diagnosis), hinted(&diagnosis)),
                (vec![], vec!["time_malformed".into()]),
                "{} {time}",
                kind.name
            );
        }
        // Without a signature, nothing is said of the time.
        let mut headers = kind.headers(&kind.sent());
        headers[1].1 = "undefined".to_owned();
        assert_eq!(
            hinted(&kind.diagnosis_of(&kind.sent(), &headers)),
            ["signature_malformed"],
            "{}",
            kind.name
        );
        if let (Time::Field(key), Some(separator)) = (kind.time, kind.separator) {
            let mut headers = kind.headers(&kind.sent());
            headers[1].1 = headers[1].1.replace(&format!("{key}={SECONDS}{separator}"), "");
            assert_eq!(
                hinted(&kind.diagnosis_of(&kind.sent(), &headers)),
                ["time_malformed"],
                "{}",
                kind.name
            );
        }
    }
}

#[test]
fn an_id_that_has_the_separator_is_a_hint() {
    for kind in kinds().into_iter().filter(Kind::has_id) {
        for id in ["msg.1", ""] {
            let mut headers = kind.headers(&kind.sent());
            headers[3].1 = id.to_owned();
            let diagnosis = kind.diagnosis_of(&kind.sent(), &headers);
            assert_eq!(
                (caused(&diagnosis), hinted(&diagnosis)),
                (vec![], vec!["signed_header_ambiguous".into()])
            );
        }
    }
}

#[test]
fn a_header_that_is_missing_is_a_hint_with_its_name() {
    for kind in kinds() {
        let right = kind.headers(&kind.sent());
        for at in 1..right.len() {
            let mut headers = right.clone();
            let (name, _) = headers.remove(at);
            let diagnosis = kind.diagnosis_of(&kind.sent(), &headers);
            let hint = if at == 1 {
                "signature_missing".to_owned()
            } else {
                format!("signed_header_missing: {name}")
            };
            assert_eq!((caused(&diagnosis), hinted(&diagnosis)), (vec![], vec![hint]), "{}", kind.name);
        }
    }
}
