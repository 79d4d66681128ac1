//! A refused delivery is diagnosed: the accident that made it so is named, and never another.

mod bodies;
mod server;
mod signatures;
mod tools;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Cause, Diagnoser, Diagnosis, Hint};
use countersign::provider::{Quote3d, ThreeQpr};
use countersign::{Secret, Secrets, Signature};
use fastrand::Rng;
use proptest::prelude::*;
use tools::Tool::Node;

const SECRET: &str = "whsec_dGhlLW5ld2VzdC1zZWNyZXQtb2YtMjAyNg==";
const HEADER: &str = "X-3QPR-Signature";
const BODY: &[u8] = br#"{"event":"scan.created","id":"evt_1","data":{"price":12,"note":"a/b"}}"#;

fn secret(text: impl Into<Vec<u8>>) -> Secret {
    Secret::dangerously_allow_short(text).unwrap()
}

fn sign(body: &[u8]) -> String {
    Signature::sign(&secret(SECRET), body).to_string()
}

/// As many secrets as there can be, of which the last is [`SECRET`].
fn eight() -> Secrets {
    let mut secrets: Vec<_> =
        (1..8).map(|number| secret(format!("whsec_of-another-year-{number}"))).collect();
    secrets.push(secret(SECRET));
    secrets.try_into().unwrap()
}

fn diagnose(signature: &str, body: &[u8]) -> Diagnosis {
    Diagnoser::<ThreeQpr>::new(secret(SECRET)).diagnose([(HEADER, signature.as_bytes())], body)
}

const NONE: [&str; 0] = [];

/// The causes by their codes, with what goes with them.
fn caused(diagnosis: &Diagnosis) -> Vec<String> {
    let causes = diagnosis.causes().iter().map(|cause| match cause {
        Cause::SignatureInOtherHeader { name, .. } | Cause::SecretOfOther { name, .. } => {
            format!("{}: {name}", cause.code())
        }
        Cause::BodyReserialised { signed, .. } => format!("{}: {signed:?}", cause.code()),
        _ => cause.code().to_owned(),
    });
    causes.collect()
}

/// The hints likewise.
fn hinted(diagnosis: &Diagnosis) -> Vec<String> {
    let hints = diagnosis.hints().iter().map(|hint| match hint {
        Hint::RefusedAfterwards { code, .. } => format!("{}: {code}", hint.code()),
        Hint::OtherSignatureHeader { name, .. } => format!("{}: {name}", hint.code()),
        _ => hint.code().to_owned(),
    });
    hints.collect()
}

/// Nothing that is shown has a secret, a tag or a piece of the body.
#[track_caller]
fn check_redacted(shown: &[String], secrets: &[&[u8]], signature: &str, body: &[u8]) {
    let right = sign(body);
    let mut hidden = vec![signature.to_owned(), String::from_utf8_lossy(body).into(), right[7..].to_owned()];
    hidden.push(STANDARD.encode(hex::decode(&right[7..]).unwrap()));
    hidden.extend(["evt_1".to_owned(), "rich".to_owned(), SECRET[6..].to_owned()]);
    hidden.extend(signature.split_once('=').map(|(_, tag)| tag.to_owned()));
    for secret in secrets.iter().copied().chain([SECRET.as_bytes()]) {
        hidden.extend([String::from_utf8_lossy(secret).into(), hex::encode(secret), STANDARD.encode(secret)]);
    }
    for shown in shown {
        for hidden in hidden.iter().filter(|hidden| hidden.len() > 3) {
            assert!(!shown.to_lowercase().contains(&hidden.to_lowercase()), "{hidden} in {shown}");
        }
    }
}

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
    let diagnosis =
        Diagnoser::<ThreeQpr>::new(labelled.unwrap()).diagnose([(HEADER, signature.as_bytes())], BODY);
    assert!(diagnosis.is_verified());
    assert_eq!((diagnosis.secret_label(), diagnosis.hashes(), diagnosis.hints()), (Some("2025"), 2, &[][..]));
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
        let diagnosis = Diagnoser::<Quote3d>::new(secret(SECRET)).diagnose(headers.iter().copied(), body);
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
    let cases: [(&[(&str, &[u8])], &[u8], Vec<&str>); 18] = [
        (&[wrong], BODY, vec![]),
        (&[], BODY, vec!["signature_missing"]),
        (&[stripe], BODY, vec!["signature_missing", "other_signature_header: stripe-signature"]),
        (&[wrong, stripe], BODY, vec!["other_signature_header: stripe-signature"]),
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
        (&[wrong], br#"{"data":{},"event":"x","id":"1"}"#, vec![]),
        // Names that follow none are in no order.
        (&[wrong], br#"[{"a":1},{"b":1},{"a":1},{"a":1},{"a":1},{"a":1}]"#, vec![]),
        (&[wrong], br#"{"a":1,"b":2,"c":3,"d":4}"#, vec!["body_keys_sorted"]),
    ];
    for (headers, body, hints) in cases {
        let diagnosis = Diagnoser::<ThreeQpr>::new(secret(SECRET)).diagnose(headers.iter().copied(), body);
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
    let nobody = Diagnoser::<ThreeQpr>::new(Secrets::reject_all()).diagnose([wrong], BODY);
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
    let Some(arrived) = tools::Tool::Python("json.dumps(json.loads(body), sort_keys=True)").run(signed)
    else {
        return;
    };
    assert_eq!(diagnose(&sign(signed), &arrived).hints(), [Hint::BodyKeysSorted]);
}

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
        let mut diagnoser = Diagnoser::<ThreeQpr>::new(secret(ours));
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

/// JSON of exactly so many bytes, compact, with all that can happen to it.
fn long_body(len: usize) -> Vec<u8> {
    let item = |at| format!(r#"{{"id":"item-{at}","url":"https://ü/{at}","price":{at}.5,"count":7}},"#);
    let mut body = r#"{"event":"x","data":["#.to_owned();
    for at in 0.. {
        let item = item(at);
        if body.len() + item.len() + 20 > len {
            break;
        }
        body.push_str(&item);
    }
    let padding = "x".repeat(len - body.len() - 4);
    body.push_str(&format!("\"{padding}\"]}}"));
    assert_eq!(body.len(), len);
    body.into_bytes()
}

#[test]
fn the_work_is_bounded() {
    const MIB: usize = 1 << 20;
    assert_eq!((Diagnosis::MAX_HASHES, Diagnosis::MAX_HASHED_BYTES), (65_536, 1 << 29));
    assert_eq!((Diagnosis::MAX_BODY_LEN, Diagnosis::MAX_OTHERS), (MIB, 8));
    let diagnoser = Diagnoser::<ThreeQpr>::new(eight());
    let long = long_body(MIB);

    // One accident alone is found in the longest body, also the last one with the last secret.
    let with_others = (0..8).fold(Diagnoser::<ThreeQpr>::new(eight()), |diagnoser, at| {
        let others = (0..8).map(|year| secret(format!("whsec_of-other-{at}-{year}"))).collect::<Vec<_>>();
        diagnoser.with_other(format!("other {at}"), Secrets::try_from(others).unwrap())
    });
    let signed = String::from_utf8_lossy(&long).replace(".5", ".50").replace(":7}", ":7.00}");
    let diagnosis = with_others.diagnose([(HEADER, sign(signed.as_bytes()).as_bytes())], &long);
    println!("the last: {} hashes, {} bytes", diagnosis.hashes(), diagnosis.hashed_bytes());
    assert_eq!(diagnosis.causes(), [Cause::BodyNumbersRewritten]);

    // Without one, the search ends at the limit of bytes.
    let wrong = sign(b"another");
    let diagnosis = diagnoser.diagnose([(HEADER, wrong.as_bytes())], &long);
    println!("{} hashes, {} bytes", diagnosis.hashes(), diagnosis.hashed_bytes());
    assert_eq!((diagnosis.code(), diagnosis.hints()), ("no_known_cause", &[Hint::Unfinished][..]));
    assert!(diagnosis.hashed_bytes() <= Diagnosis::MAX_HASHED_BYTES);
    assert!(diagnosis.hashed_bytes() > Diagnosis::MAX_HASHED_BYTES - 4 * MIB as u64);
    assert!(diagnosis.hashed_bytes() > diagnosis.hashes() * (MIB - 64) as u64, "each is counted in full");

    // One byte more is not looked into, but whether it verifies is said.
    let longer = long_body(MIB + 1);
    let diagnosis = diagnoser.diagnose([(HEADER, wrong.as_bytes())], &longer);
    assert_eq!((diagnosis.hints(), diagnosis.hashes()), (&[Hint::BodyTooLong][..], 8));
    // Its bytes are counted all the same, and there is no limit but its own length.
    assert_eq!(diagnosis.hashed_bytes(), 8 * longer.len() as u64);
    assert!(diagnoser.diagnose([(HEADER, sign(&longer).as_bytes())], &longer).is_verified());
}

#[test]
fn a_body_that_was_much_longer_is_found() {
    let compact = long_body(50_000);
    let indented = tools::Tool::Python("json.dumps(json.loads(body), ensure_ascii=False, indent=4)");
    let Some(signed) = indented.run(&compact) else { return };
    assert!(signed.len() > compact.len() * 3 / 2, "{}", signed.len());
    assert_eq!(caused(&diagnose(&sign(&signed), &compact)), ["body_reserialised: FourSpaces"]);
}

#[test]
fn the_number_of_hashes_is_bounded_with_any_number_of_secrets_and_headers() {
    let joined = [sign(b"1"), sign(b"2"), sign(b"3"), sign(b"4"), sign(b"5")].join(",");
    let stripes = format!("t=1{}", format!(",v1={}", "ab".repeat(32)).repeat(9));
    let mut headers = vec![(HEADER, joined.as_bytes()); 9];
    headers.extend([("x-hub-signature", joined.as_bytes()), ("stripe-signature", stripes.as_bytes())]);
    let names = (0..50).map(|at| format!("x-signature-{at}")).collect::<Vec<_>>();
    headers.extend(names.iter().map(|name| (&**name, joined.as_bytes())));
    let mut diagnoser = Diagnoser::<ThreeQpr>::new(eight());
    for other in 0..9 {
        diagnoser = diagnoser.with_other(format!("other {other}"), eight());
    }
    let body = String::from_utf8(long_body(500)).unwrap().replace("item", "\\u00fc\\/<") + "\r\n";
    let diagnosis = diagnoser.diagnose(headers, body.as_bytes());
    assert_eq!(diagnosis.hashes(), Diagnosis::MAX_HASHES);
    assert_eq!(diagnosis.hints().len(), 6, "{:?}", diagnosis.hints());
    assert!(diagnosis.hints().ends_with(&[Hint::TooManyOthers, Hint::Unfinished]));
}

#[test]
fn each_accident_has_a_name_an_account_and_a_cure() {
    use Cause::*;
    let (spaced, signature) = (b"{\"a\": 1}", sign(b"{\"a\": 1}"));
    let value = signature.as_bytes();
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret("of-x-other")).with_other("x-other", secret(SECRET));
    let named = [
        Diagnoser::<ThreeQpr>::new(secret(SECRET)).diagnose([("x-other-signature", value)], spaced),
        diagnoser.diagnose([(HEADER, value)], spaced),
        diagnose(&signature, b"{\"a\":1}"),
    ];
    let causes = [
        SignatureUpperCase,
        SignaturePrefixMissing,
        SignaturePrefixOther,
        SignatureBase64,
        SignatureSha1,
        SignatureSha512,
        SignatureWithoutSecret,
        SignaturePadded,
        SignatureQuoted,
        SignatureJoined,
        SignatureRepeated,
        SignatureOfStripe,
        SignatureOfStandardWebhooks,
        SecretSignedWithWhitespace,
        SecretPadded,
        SecretSignedWithQuotes,
        SecretQuoted,
        SecretBase64Decoded,
        SecretBase64Encoded,
        SecretHexDecoded,
        SecretHexEncoded,
        SecretPrefixDropped,
        SecretPrefixMissing,
        BodyBase64,
        BodyDoubleEncoded,
        BodyFormEncoded,
        BodyFormDecoded,
        BodyLatin1,
        BodyLossy,
        BodySignedLossy,
        BodyNewlineAdded,
        BodyNewlineLost,
        BodyPadded,
        BodyTrimmed,
        BodyBomAdded,
        BodyBomLost,
        BodyCrlfAdded,
        BodyCrlfLost,
        BodyEscaped,
        BodyUnescaped,
        BodySlashesEscaped,
        BodySlashesUnescaped,
        BodyNumbersRewritten,
    ];
    let causes: Vec<_> = named.iter().flat_map(Diagnosis::causes).chain(&causes).cloned().collect();
    let tables = [include_str!("bodies.rs"), include_str!("signatures.rs")].concat();
    let mut codes = BTreeSet::new();
    let mut accounts = BTreeSet::new();
    for cause in &causes {
        // The code is the variant's name in snake case, and so is as stable.
        let debug = format!("{cause:?}");
        let variant = debug.split(' ').next().unwrap();
        let words = variant.chars().map(|letter| match letter {
            'A'..='Z' => format!("_{}", letter.to_lowercase()),
            _ => letter.into(),
        });
        assert_eq!(cause.code(), &words.collect::<String>()[1..]);
        for text in [cause.to_string(), cause.cure().to_owned()] {
            assert!(text.len() > 20 && !text.ends_with('.') && !text.contains("  "), "{text}");
        }
        assert!(codes.insert(cause.code()) && accounts.insert(cause.to_string()), "{cause}");
        assert_eq!(cause.to_string().contains(" x-other"), debug.contains("x-other"));
        assert!(tables.contains(&format!("\"{}", cause.code())), "{cause:?} is never made to happen");
    }
    // There is no other.
    let source = include_str!("../../src/diagnose/cause.rs");
    let (_, variants) = source.split_once("pub enum Cause {\n").unwrap();
    let variants = variants.split("\n}\n").next().unwrap().lines();
    let is_variant = |line: &&str| line.starts_with("    ") && line.as_bytes()[4].is_ascii_uppercase();
    assert_eq!(variants.filter(is_variant).count(), codes.len());
    assert_eq!(
        causes[2].to_string(),
        "the body was parsed and written again; what was signed is laid out with a space after each comma and colon"
    );
}

#[test]
fn a_diagnosis_is_a_few_lines_for_an_operator() {
    let diagnosis = diagnose(&sign(b"{\"a\":1}\n").to_uppercase().replace("SHA", "sha"), b"{\"a\":1}");
    let lines: Vec<_> = diagnosis.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "the signature would have verified, but for this:");
    assert_eq!(
        (&*lines[1], &*lines[3]),
        ("- the signature is in upper-case hex", "- a line end after the body was lost")
    );
    assert!(lines[2].starts_with("  cure: ") && lines[4].starts_with("  cure: "));
    let none = diagnose(&sign(b"{}"), BODY);
    assert!(none.to_string().starts_with("no known cause: most likely the secret is "), "{none}");
    // Too much would have had to happen for any of it to be tried.
    let value = format!(" '{}' ", STANDARD.encode([7; 32]));
    let untried = Diagnoser::<ThreeQpr>::new(secret(SECRET)).diagnose([(HEADER, value.as_bytes())], BODY);
    assert_eq!((untried.hashes(), &*untried.to_string()), (0, "no known cause"));
}

#[test]
fn no_secret_no_tag_and_no_payload_is_shown() {
    let ours = "0123456789abcdef-of-this-endpoint";
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(ours)).with_other("staging", secret(SECRET));
    let signed = sign(b"{\"event\": \"evt_1\"}");
    let values = [&*signed, &signed[7..], "sha256=undefined", "evt_1", &signed.to_uppercase(), SECRET, ours];
    for value in values {
        for name in [HEADER, "X-Hub-Signature", "X-Evt_1"] {
            for body in [&b"{\"event\":\"evt_1\"}"[..], b"{\"event\": \"evt_1\"}", b"evt_1\xef\xbf\xbd"] {
                let diagnosis = diagnoser.diagnose([(name, value.as_bytes())], body);
                let shown = [format!("{diagnoser:?}"), format!("{diagnosis:#?}"), diagnosis.to_string()];
                check_redacted(&shown, &[ours.as_bytes()], &signed, body);
            }
        }
    }
    assert!(format!("{diagnoser:?}").contains("staging"));
}

#[test]
fn nothing_else_in_the_library_knows_of_it() {
    let src = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut folders = vec![std::path::PathBuf::from(src)];
    let mut knowing = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap().to_lowercase().contains("diagnos") {
                knowing.insert(path.strip_prefix(src).unwrap().to_owned());
            }
        }
    }
    knowing.retain(|path| !path.starts_with("diagnose"));
    let knowing: Vec<_> = knowing.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(knowing, ["diagnose.rs", "lib.rs", "secret.rs"]);
    // In the secrets, one method.
    let secret = std::fs::read_to_string(format!("{src}/secret.rs")).unwrap();
    assert_eq!(secret.matches("diagnos").count(), 1);
}

#[test]
fn sha_256_is_by_the_mac_that_was_chosen() {
    let source = include_str!("../../src/diagnose/hash.rs");
    assert!(source.contains("use crate::mac::{WipedStack, sha256};"));
    for past_it in ["sha2::Sha256", "sha2::{", "Hmac<Sha256>", "Sha256::d"] {
        assert!(!source.contains(past_it), "{past_it}");
    }
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
        let diagnosis = Diagnoser::<ThreeQpr>::new(ours).diagnose(headers, &body);
        prop_assert_eq!(diagnosis.code(), "no_known_cause");
        prop_assert!(diagnosis.hashes() <= Diagnosis::MAX_HASHES);
    }
}

#[test]
fn deep_nesting_is_borne() {
    for body in ["[".repeat(20_000), "{\"a\":".repeat(5_000), "[".repeat(10_000) + &"]".repeat(10_000)] {
        assert_eq!(diagnose(&sign(b"another"), body.as_bytes()).causes(), []);
    }
}
