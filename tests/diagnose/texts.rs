//! Each cause has its texts, a diagnosis is read by operators, and neither shows what is secret.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Cause, Diagnoser, Diagnosis};
use countersign::provider::ThreeQpr;

use super::kinds::{Sent, kinds};
use super::{BODY, HEADER, SECRET, check_redacted, diagnose, secret, sign};

#[test]
fn each_accident_has_a_name_an_account_and_a_cure() {
    use Cause::*;
    let (spaced, signature) = (b"{\"a\": 1}", sign(b"{\"a\": 1}"));
    let value = signature.as_bytes();
    let diagnoser =
        Diagnoser::<ThreeQpr>::new(secret("of-x-other")).unwrap().with_other("x-other", secret(SECRET));
    let named = [
        Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose([("x-other-signature", value)], spaced),
        diagnoser.diagnose([(HEADER, value)], spaced),
        diagnose(&signature, b"{\"a\":1}"),
        diagnose(&signature[7..], spaced),
        diagnose(&signature.replace("sha256", "sha"), spaced),
    ];
    let kinds = kinds();
    let of_kinds = kinds.iter().filter(|kind| kind.name == "one family").flat_map(|kind| {
        let template = "{timestamp}.{body}".to_owned();
        let sent = Sent { label: "v2,".to_owned(), ..kind.sent() };
        let headers = kind.headers(&kind.sent()).into_iter();
        let headers = headers.map(|(name, value)| (name.replace("webhook-", "svix-"), value)).collect();
        [
            kind.diagnosis(&Sent { template, ..kind.sent() }),
            kind.diagnosis(&sent),
            kind.diagnosis_of(&kind.sent(), &headers),
        ]
    });
    let named: Vec<_> = named.into_iter().chain(of_kinds).collect();
    let causes = [
        SignatureUpperCase,
        SignaturePrefixAdded,
        SignatureHex,
        SignatureBase64,
        SignatureBase64Other,
        SignatureSha1,
        SignatureSha256,
        SignatureSha512,
        SignatureWithoutSecret,
        SignaturePadded,
        SignatureQuoted,
        SignatureJoined,
        SignatureRepeated,
        SignatureBesideMalformed,
        TooManySignatures,
        SignatureOfStripe,
        SignatureOfStandardWebhooks,
        SignatureOfSlack,
        SignatureOfZoom,
        SignatureOfPaddle,
        HeadersMixed,
        SignedBodyAlone,
        TimeRepeated,
        TimeInSeconds,
        TimeInMilliseconds,
        TimeInRfc3339,
        TimeSignedInSeconds,
        TimeSignedInMilliseconds,
        SecretSignedWithWhitespace,
        SecretPadded,
        SecretSignedWithQuotes,
        SecretQuoted,
        SecretBase64Decoded,
        SecretBase64Encoded,
        SecretHexDecoded,
        SecretHexEncoded,
        SecretUndecoded,
        SecretDecodedTwice,
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
    let tables = [
        include_str!("bodies.rs"),
        include_str!("candidates.rs"),
        include_str!("headers.rs"),
        include_str!("providers.rs"),
        include_str!("schemes.rs"),
        include_str!("signatures.rs"),
    ]
    .concat();
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
    // The table has no other row.
    let source = include_str!("../../src/diagnose/cause.rs");
    let (_, table) = source.split_once("\ncauses! {\n").unwrap();
    let rows = table.split("\n}\n").next().unwrap().lines().filter(|line| line.ends_with("\":"));
    assert_eq!(rows.count(), codes.len());
    assert_eq!(
        causes[2].to_string(),
        "the body was parsed and written again; the provider signed it with a space after each comma and colon"
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
    let untried =
        Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose([(HEADER, value.as_bytes())], BODY);
    assert_eq!((untried.hashes(), &*untried.to_string()), (0, "no known cause"));
}

#[test]
fn no_secret_no_tag_and_no_payload_is_shown() {
    let ours = "0123456789abcdef-of-this-endpoint";
    let diagnoser = Diagnoser::<ThreeQpr>::new(secret(ours)).unwrap().with_other("staging", secret(SECRET));
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
