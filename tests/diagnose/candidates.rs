//! A delivery with more signatures than a webhook compares is refused for that, and as many as it compares are read.

use countersign::Secret;
use countersign::diagnose::Diagnoser;
use countersign::provider::Stripe;

use super::kinds::{BODY, Headers, Kind, SECONDS, Sent, TWO_HEADERS, declared, kinds};
use super::{caused, hinted};

/// The headers of a delivery whose right signature stands behind so many wrong ones, and before others.
fn among(kind: &Kind, sent: &Sent, before: usize, after: usize) -> Headers {
    let separator = kind.separator.unwrap();
    let wrong = |number: usize| {
        let tag = Some([b'0' + (number % 64) as u8; 32].to_vec());
        let headers = kind.headers(&Sent { tag, ..sent.clone() });
        headers[1].1.rsplit(separator).next().unwrap().to_owned()
    };
    let mut headers = kind.headers(sent);
    let at = headers[1].1.rfind(separator).map_or(0, |at| at + 1);
    let right = headers[1].1.split_off(at);
    let items = (0..before).map(wrong).chain([right]).chain((before..before + after).map(wrong));
    headers[1].1 += &items.collect::<Vec<_>>().join(&separator.to_string());
    headers
}

fn of_several() -> impl Iterator<Item = Kind> {
    kinds().into_iter().filter(|kind| kind.separator.is_some())
}

#[test]
fn seventeen_signatures_are_named_whether_one_is_right_or_not() {
    for kind in of_several() {
        let sent = kind.sent();
        for at in [0, 7, 15] {
            assert!(
                kind.diagnosis_of(&sent, &among(&kind, &sent, at, 15 - at)).is_verified(),
                "{}",
                kind.name
            );
        }
        for at in [0, 8, 16] {
            let diagnosis = kind.diagnosis_of(&sent, &among(&kind, &sent, at, 16 - at));
            assert_eq!(caused(&diagnosis), ["too_many_signatures"], "{} {at} {diagnosis}", kind.name);
            assert_eq!(diagnosis.hints(), [], "{}", kind.name);
        }
        // None is right: that is no reason to suspect the secret.
        let forged = Sent { tag: Some(vec![7; 32]), ..kind.sent() };
        for more in [16, 500] {
            let diagnosis = kind.diagnosis_of(&forged, &among(&kind, &forged, 0, more));
            let hints = hinted(&diagnosis);
            assert_eq!((caused(&diagnosis), &*hints[0]), (vec![], "too_many_signatures"), "{}", kind.name);
            assert!(!diagnosis.to_string().contains("most likely"), "{diagnosis}");
        }
        // With a body that is too long to search, it is said all the same.
        let long = Sent { body: vec![b' '; (1 << 20) + 1], ..kind.sent() };
        let hints = hinted(&kind.diagnosis_of(&long, &among(&kind, &long, 0, 16)));
        assert_eq!(hints, ["too_many_signatures", "body_too_long"], "{}", kind.name);
    }
}

#[test]
fn signatures_of_other_versions_do_not_count() {
    for kind in of_several() {
        let sent = kind.sent();
        let mut headers = kind.headers(&sent);
        let separator = kind.separator.unwrap();
        headers[1].1 += &format!("{separator}v9=AAAA{separator}{}AAAA", kind.label).repeat(20);
        assert!(kind.diagnosis_of(&sent, &headers).is_verified(), "{}", kind.name);
        let sent = Sent { body: format!("{BODY}\n").into(), ..sent };
        assert_eq!(caused(&kind.diagnosis_of(&sent, &headers)), ["body_newline_added"], "{}", kind.name);
    }
}

#[test]
fn the_sixteenth_signature_is_read() {
    for kind in of_several() {
        let sent = Sent { body: format!("{BODY}\n").into(), ..kind.sent() };
        let diagnosis = kind.diagnosis_of(&sent, &among(&kind, &sent, 15, 0));
        assert_eq!(caused(&diagnosis), ["body_newline_added"], "{} {diagnosis}", kind.name);
    }
}

/// What is undone must verify, so both are named.
#[test]
fn too_many_signatures_are_named_beside_the_secret_of_another() {
    for kind in of_several() {
        let mut sent = kind.sent();
        sent.others = vec![("staging".to_owned(), sent.secret.clone())];
        sent.secret = "whsec_dGhlLXNlY3JldC1vZi1hbm90aGVyLW9uZQ==".to_owned();
        let named = |more| caused(&kind.diagnosis_of(&sent, &among(&kind, &sent, 0, more)));
        assert_eq!(named(15), ["secret_of_other: staging"], "{}", kind.name);
        assert_eq!(named(16), ["too_many_signatures", "secret_of_other: staging"], "{}", kind.name);
    }
}

#[test]
fn the_signatures_of_several_headers_are_counted_together() {
    let stripe = of_several().find(|kind| kind.name == "stripe").unwrap();
    let sent = Sent { now: SECONDS, ..stripe.sent() };
    for (more, causes) in [(6, &[][..]), (7, &["too_many_signatures"])] {
        let mut headers = among(&stripe, &sent, 8, 0);
        headers[1].0 = "x-one".to_owned();
        let others = among(&stripe, &Sent { tag: Some(vec![7; 32]), ..sent.clone() }, 0, more)[1].1.clone();
        headers.push(("x-two".to_owned(), others.split_once(',').unwrap().1.to_owned()));
        let diagnosis = declared(TWO_HEADERS, &sent, &headers);
        assert_eq!(
            (caused(&diagnosis), diagnosis.is_verified()),
            (causes.iter().map(ToString::to_string).collect(), causes.is_empty()),
            "{diagnosis}"
        );
        // Also where none of them is right.
        let other = Sent { secret: "whsec_of-another-endpoint".to_owned(), ..sent.clone() };
        assert_eq!(hinted(&declared(TWO_HEADERS, &other, &headers)), causes);
    }
}

#[test]
fn a_signature_that_the_webhook_compared_is_not_malformed_where_the_diagnosis_reads_less() {
    let wrong = "0".repeat(64);
    for foreign in [",v9=AAAA".repeat(40), format!(",v9={}", "A".repeat(9_000))] {
        let value = format!("t={SECONDS}{foreign},v1={wrong}");
        let diagnoser = Diagnoser::<Stripe>::new(Secret::new("whsec_of-another-endpoint").unwrap()).unwrap();
        let clock = || std::time::UNIX_EPOCH + std::time::Duration::from_secs(SECONDS);
        let diagnosis = diagnoser.with_clock(clock).diagnose([("stripe-signature", value.as_bytes())], b"{}");
        assert_eq!(hinted(&diagnosis), ["unfinished"]);
    }
}
