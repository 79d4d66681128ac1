//! Without a proof, a diagnosis says what is striking, and nothing else.

use countersign::Secrets;
use countersign::diagnose::{Diagnoser, Hint};
use countersign::provider::{Quote3d, ThreeQpr};

use super::tools::Tool::{Node, Python};
use super::{BODY, HEADER, SECRET, diagnose, hinted, secret, sign};

#[test]
fn a_delivery_that_verifies_is_said_to() {
    for body in [BODY, b"{}", b"", b"\xff\xfe"] {
        let diagnosis = diagnose(&sign(body), body);
        assert!(diagnosis.is_verified());
        assert_eq!((diagnosis.code(), diagnosis.causes()), ("verified", &[][..]));
        assert_eq!(diagnosis.hashes(), 1);
    }
    let labelled =
        Secrets::new(secret("whsec_of-another-year")).with_older(secret(SECRET).with_label("2025"));
    let signature = sign(BODY);
    let diagnosis = Diagnoser::<ThreeQpr>::new(labelled.unwrap())
        .unwrap()
        .diagnose([(HEADER, signature.as_bytes())], BODY);
    assert!(diagnosis.is_verified());
    assert_eq!((diagnosis.secret_label(), diagnosis.hints()), (Some("2025"), &[][..]));
    assert_eq!((diagnosis.hashes(), diagnosis.hashed_bytes()), (2, 2 * BODY.len() as u64));
    assert_eq!(diagnosis.to_string(), "the signature verifies as it is\nwith the secret labelled 2025");
}

#[test]
fn a_delivery_that_is_refused_for_another_reason_is_said_to() {
    let signature = sign(BODY);
    let event = ("X-Webhook-Event", &b"quote.failed"[..]);
    let signature = ("X-Webhook-Signature", signature.as_bytes());
    let cases: [(&[(&str, &[u8])], &[u8], &'static str); 3] = [
        (&[signature], BODY, "missing_event_header"),
        (&[signature, event], BODY, "event_mismatch"),
        (&[signature, event, event], BODY, "duplicate_event_header"),
    ];
    for (headers, body, code) in cases {
        let diagnosis =
            Diagnoser::<Quote3d>::new(secret(SECRET)).unwrap().diagnose(headers.iter().copied(), body);
        assert!(diagnosis.is_verified());
        assert_eq!(hinted(&diagnosis), [format!("refused_afterwards: {code}")]);
        assert_eq!(diagnosis.code(), "verified");
    }
    assert_eq!(hinted(&diagnose(&sign(b"[]"), b"[]")), ["refused_afterwards: malformed_payload"]);
}

#[test]
fn what_is_striking_without_proof_is_a_hint() {
    let wrong = sign(b"something else");
    let wrong = (HEADER, wrong.as_bytes());
    let stripe =
        ("Stripe-Signature", &b"t=1,v1=abababababababababababababababababababababababababababababababab"[..]);
    let [longest, longer] = [54, 55].map(|count| format!("{}-signature", "x".repeat(count)));
    let shown = format!("other_signature_header: {longest}");
    let cases: [(&[(&str, &[u8])], &[u8], Vec<&str>); 25] = [
        (&[wrong], BODY, vec![]),
        (&[], BODY, vec!["signature_missing"]),
        (&[stripe], BODY, vec!["signature_missing", "other_signature_header: stripe-signature"]),
        (&[wrong, stripe], BODY, vec!["other_signature_header: stripe-signature"]),
        (&[wrong, stripe, stripe], BODY, vec!["other_signature_header: stripe-signature"]),
        // A header whose name is long or has other characters is not shown. `Signature-Input` (RFC 9421) holds no
        // signature.
        (&[wrong, (&*longest, b"")], BODY, vec![&*shown]),
        (&[wrong, (&*longer, b"")], BODY, vec![]),
        (&[wrong, ("x-signature\"", b"")], BODY, vec![]),
        (&[wrong, ("signature-input", b"")], BODY, vec![]),
        (&[(HEADER, b"")], BODY, vec!["signature_malformed"]),
        (&[(HEADER, b"sha256=undefined")], BODY, vec!["signature_malformed"]),
        (&[(HEADER, &[b'a'; 5000])], BODY, vec!["signature_malformed"]),
        (&[wrong], b"", vec!["body_empty"]),
        (&[wrong], b"[object Object]", vec!["body_stringified"]),
        (&[wrong, ("content-length", b"70")], BODY, vec![]),
        (&[wrong, ("content-length", b"71")], BODY, vec!["body_length_differs"]),
        (&[wrong, ("Content-Encoding", b"gzip"), ("content-length", b"70")], BODY, vec!["body_compressed"]),
        (&[wrong, ("Content-Encoding", b"identity")], BODY, vec![]),
        (&[wrong], br#"{"data":{"a":1,"b":2},"event":"x","id":"1"}"#, vec!["body_keys_sorted"]),
        (&[wrong], br#"{"data":{"b":1,"a":2},"event":"x","id":"1"}"#, vec![]),
        (&[wrong], br#"{"data":{"x":1,"z":2},"event":"x","id":"1"}"#, vec!["body_keys_sorted"]),
        (&[wrong], br#"{"a":1,"a":2,"b":3,"c":4}"#, vec!["body_keys_sorted"]),
        (&[wrong], br#"{"data":{},"event":"x","id":"1"}"#, vec![]),
        // Names that follow none are in no order.
        (&[wrong], br#"[{"a":1},{"b":1},{"a":1},{"a":1},{"a":1},{"a":1}]"#, vec![]),
        (&[wrong], br#"{"a":1,"b":2,"c":3,"d":4}"#, vec!["body_keys_sorted"]),
    ];
    for (headers, body, hints) in cases {
        let diagnosis =
            Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose(headers.iter().copied(), body);
        assert_eq!(diagnosis.code(), "no_known_cause");
        assert_eq!(hinted(&diagnosis), hints, "{headers:?}");
        let text = diagnosis.to_string();
        for hint in diagnosis.hints() {
            assert!(text.contains(&format!("\nhint: {hint}")), "{text}");
        }
        // Where something says better what happened, or nothing was tried, the secret is not suspected.
        assert_eq!(text.contains("most likely"), hints.is_empty(), "{text}");
        assert!(!text.contains("no secret makes"), "{text}");
    }
    let nobody = Diagnoser::<ThreeQpr>::new(Secrets::reject_all()).unwrap().diagnose([wrong], BODY);
    assert_eq!(nobody.hints(), [Hint::NoSecret]);
}

#[test]
fn bytes_that_were_lost_are_a_hint_and_no_cause() {
    let signed = b"{\"event\":\"scan.created\",\"data\":{\"city\":\"Z\xfcrich, Gen\xe8ve\"}}";
    let Some(arrived) = Node("body.toString('utf8')").run(signed) else { return };
    let diagnosis = diagnose(&sign(signed), &arrived);
    assert_eq!((diagnosis.causes(), diagnosis.hints()), (&[][..], &[Hint::BodyLossy][..]));
    assert!(diagnosis.to_string().contains("U+FFFD"));
    // Nor is one where the body is long.
    let long = [b"{\"city\":\"Z\xfcrich\",\"text\":\"", &[b'x'; 1 << 16][..], b"\"}"].concat();
    let Some(arrived) = Node("body.toString('utf8')").run(&long) else { return };
    assert_eq!(hinted(&diagnose(&sign(&long), &arrived)), ["body_lossy"]);
}

#[test]
fn names_that_were_sorted_are_a_hint_and_no_cause() {
    let signed = br#"{"id":"1","event":"x","data":{"b":1,"a":2}}"#;
    let Some(arrived) = Python("json.dumps(json.loads(body), sort_keys=True)").run(signed) else {
        return;
    };
    assert_eq!(diagnose(&sign(signed), &arrived).hints(), [Hint::BodyKeysSorted]);
}
