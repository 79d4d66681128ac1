//! The time of a delivery, and its maximum age.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use countersign::Webhook;
use countersign::provider::NowToPrint;

use crate::common::{signed, webhook};
use crate::webhook::verdict;

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
