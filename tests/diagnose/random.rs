//! Random deliveries have no known cause, and nothing panics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Diagnoser, Diagnosis};
use countersign::provider::ThreeQpr;
use countersign::{Secret, Signature};
use fastrand::Rng;
use proptest::prelude::*;

use super::{HEADER, secret};

#[test]
fn a_thousand_random_deliveries_have_no_known_cause() {
    const BODIES: [&str; 4] = [
        r#"{"event":"scan.created","id":"evt_1","data":{"city":"Zürich","price":12.5,"url":"https://a/b"}}"#,
        r#"{"event": "scan.created", "data": {"note": "\u00fc\/ <b>", "count": 3}}"#,
        "{\r\n  \"event\": \"x\",\r\n  \"list\": [1, 2.50, 3]\r\n}\r\n",
        "payload=%7B%22event%22%3A%22x%22%7D",
    ];
    let mut rng = Rng::with_seed(20_261_122);
    let mut hashes = 0;
    for round in 0..1000 {
        let text = |rng: &mut Rng, length| -> String { (0..length).map(|_| rng.alphanumeric()).collect() };
        // As secrets are written: plain, in base64 and hex, and in quotes or after a byte order mark by accident.
        let written = |rng: &mut Rng| match rng.usize(..5) {
            0 => text(rng, 24),
            1 => format!("whsec_{}", STANDARD.encode(text(rng, 24))),
            2 => hex::encode(text(rng, 24)),
            3 => format!("\"{}\"", text(rng, 24)),
            _ => format!("\u{feff}{}", text(rng, 24)),
        };
        let ours = written(&mut rng);
        let mut body = BODIES[rng.usize(..4)].as_bytes().to_vec();
        // A wrong secret, another body by one byte, a signature of nothing, a body of no kind.
        let kind = round % 4;
        let theirs = if kind == 0 { written(&mut rng) } else { ours.clone() };
        let nothing = std::array::from_fn::<_, 32, _>(|_| rng.u8(..));
        let tag = |before: &str| match kind {
            2 => hex::encode(nothing),
            _ => Signature::sign(&secret(&*theirs), &[before.as_bytes(), &body].concat()).to_string()[7..]
                .to_owned(),
        };
        let headers = match rng.usize(..5) {
            0 => vec![(HEADER, format!("sha256={}", tag("")))],
            1 => vec![(HEADER, tag("").to_uppercase())],
            2 => vec![(HEADER, format!("sha256={0}, sha256={0}", tag("")))],
            3 => vec![("Stripe-Signature", format!("t=1492774577,v1={}", tag("1492774577.")))],
            _ => vec![
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", "1614265330".to_owned()),
                ("webhook-signature", {
                    format!("v1,{}", STANDARD.encode(hex::decode(tag("msg_1.1614265330.")).unwrap()))
                }),
            ],
        };
        match kind {
            1 => {
                let at = rng.usize(..body.len());
                let was = body[at];
                while body[at] == was {
                    // A plus for a space would be an accident.
                    body[at] = rng.alphanumeric() as u8;
                }
            }
            3 => body = (0..rng.usize(..200)).map(|_| rng.u8(..)).collect(),
            _ => {}
        }
        let mut diagnoser = Diagnoser::<ThreeQpr>::new(secret(ours)).unwrap();
        if rng.bool() {
            diagnoser = diagnoser.with_other("other", secret(written(&mut rng)));
        }
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let diagnosis = diagnoser.diagnose(headers, &body);
        let body = String::from_utf8_lossy(&body);
        assert_eq!(diagnosis.code(), "no_known_cause", "{round}: {body} {diagnosis:?}");
        hashes += diagnosis.hashes();
    }
    println!("{hashes} hashes");
    assert!(hashes > 500_000, "{hashes}: the search has shrunk");
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        Just(HEADER.to_owned()),
        Just("webhook-signature".to_owned()),
        Just("webhook-id".to_owned()),
        Just("webhook-timestamp".to_owned()),
        Just("Content-Length".to_owned()),
        ".{0,20}(signature)?",
    ];
    let value = prop_oneof![
        any::<Vec<u8>>(),
        "(sha256=|v1,|t=1,v1=)?[0-9a-fA-F]{64}([, ]+sha1=[0-9a-f]{40})?".prop_map(String::into_bytes),
        "[\"' ]?[=,:\"' a-z0-9+/-]{0,90}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec((name, value), 0..6)
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        ".{0,60}".prop_map(String::into_bytes),
        "[\\[{][\\[\\]{}:,\"\\\\u/0-9a-f. \r\n<é😀-]{0,80}".prop_map(String::into_bytes),
        "[%+=&0-9A-Fa-z]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_panics_and_nothing_is_named(headers in headers(), body in bodies(), ours in proptest::collection::vec(any::<u8>(), 1..40)) {
        let Ok(ours) = Secret::dangerously_allow_short(ours) else { return Ok(()) };
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        let diagnosis = Diagnoser::<ThreeQpr>::new(ours).unwrap().diagnose(headers, &body);
        prop_assert_eq!(diagnosis.code(), "no_known_cause");
        prop_assert!(diagnosis.hashes() <= Diagnosis::MAX_HASHES);
    }
}
