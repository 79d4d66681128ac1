//! The vectors of this scheme that are published for every language: `tests/data/sha256_hex_vectors.json`,
//! whose form `tests/data/README.md` describes. Here they judge this crate, and the references too.

use std::collections::{BTreeMap, HashSet};

use crate::common::{oracle, signed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::{
    Delivery, Error, Headers, Provider, Secret, SecretError, Secrets, Signature, UnknownEvent, Verifier,
    Webhook,
};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    id: usize,
    about: String,
    secret: Option<String>,
    secret_base64: Option<String>,
    body: Option<String>,
    body_base64: Option<String>,
    header: Vec<String>,
    verdict: String,
    reason: Option<String>,
    #[serde(default)]
    deviations: BTreeMap<String, String>,
}

impl Vector {
    fn secret(&self) -> Vec<u8> {
        bytes(self.secret.as_deref(), self.secret_base64.as_deref())
    }

    fn body(&self) -> Vec<u8> {
        bytes(self.body.as_deref(), self.body_base64.as_deref())
    }

    /// The header's occurrences, as bytes.
    fn header(&self) -> Vec<Vec<u8>> {
        let latin1 = |value: &String| value.chars().map(|byte| u8::try_from(byte).unwrap()).collect();
        self.header.iter().map(latin1).collect()
    }

    fn name(&self) -> String {
        format!("vector {}: {}", self.id, self.about)
    }

    /// What this crate says where it agrees.
    fn expected(&self) -> &str {
        match (&*self.verdict, self.reason.as_deref()) {
            ("accepted", None) => "accepted",
            ("refused", Some("missing")) => "missing_signature",
            ("refused", Some("repeated")) => "duplicate_signature",
            ("refused", Some("malformed")) => "malformed_signature",
            ("refused", Some("mismatch")) => "signature_mismatch",
            ("refused", Some("empty_secret")) => "secret_too_short",
            other => panic!("{}: {other:?}", self.name()),
        }
    }
}

fn bytes(text: Option<&str>, base64: Option<&str>) -> Vec<u8> {
    match (text, base64) {
        (Some(text), None) => text.into(),
        (None, Some(base64)) => STANDARD.decode(base64).unwrap(),
        _ => panic!("either as text or in Base64"),
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../data/sha256_hex_vectors.json")).unwrap()
}

/// The scheme and nothing else.
#[derive(Default)]
struct Scheme;

impl Provider for Scheme {
    type Event = UnknownEvent;
    const NAME: &'static str = "scheme";

    const SCHEME: countersign::Scheme<'static> =
        countersign::Scheme::new("x-signature").with_prefix("sha256=");
}

/// A body need not be an envelope here, which is looked at only once the signature has matched.
fn told(result: Result<Delivery<'_, Scheme>, Error>) -> &'static str {
    match result {
        Ok(_) | Err(Error::MalformedPayload { .. }) => "accepted",
        Err(error) => error.code(),
    }
}

/// What each way to verify says.
fn verdicts(vector: &Vector, secrets: &Secrets) -> Vec<&'static str> {
    let (body, header) = (vector.body(), vector.header());
    let webhook = Webhook::<Scheme>::new(secrets.clone()).unwrap();
    let verifier = Verifier::new(secrets.clone());
    let mut told_by = Vec::new();

    for name in ["x-signature", "X-Signature"] {
        let pairs: Vec<_> = header.iter().map(|value| (name, value)).collect();
        told_by.push(told(webhook.verify(&pairs, &body)));
        let matched = webhook.verify_signature(&pairs, &body);
        told_by.push(matched.map_or_else(|error| error.code(), |_| "accepted"));
        told_by.push(in_pieces(&webhook, &pairs, &body));
    }

    // A header map holds no control characters, so that a server never hands them over.
    let values: Result<Vec<_>, _> = header.iter().map(|value| HeaderValue::from_bytes(value)).collect();
    if let Ok(values) = values {
        let name = || webhook.signature_header().clone();
        let map: HeaderMap = values.into_iter().map(|value| (name(), value)).collect();
        told_by.push(told(webhook.verify(&map, &body)));
        let matched = webhook.verify_signature(&map, &body);
        told_by.push(matched.map_or_else(|error| error.code(), |_| "accepted"));
        told_by.push(in_pieces(&webhook, &map, &body));
    }

    // The layer below has one header, which it reads apart.
    if let [value] = &*header {
        let matched = Signature::parse(value).map_err(Error::from).and_then(|signature| {
            let mut verification = verifier.begin(signature);
            body.chunks(7).for_each(|piece| verification.update(piece));
            let (whole, pieces) = (verifier.verify(&body, &signature), verification.finish());
            assert_eq!(whole.as_ref().ok(), pieces.as_ref().ok());
            whole.map_err(Error::from)
        });
        told_by.push(matched.map_or_else(|error| error.code(), |_| "accepted"));
    }
    told_by
}

fn in_pieces(webhook: &Webhook<Scheme>, headers: &impl Headers, body: &[u8]) -> &'static str {
    let mut partial = match webhook.begin(headers) {
        Ok(partial) => partial,
        Err(error) => return error.code(),
    };
    body.chunks(7).for_each(|piece| partial.update(piece).unwrap());
    told(partial.finish())
}

#[test]
fn each_vector_has_its_verdict_by_every_way_to_verify() {
    for vector in vectors() {
        let secret = match Secret::dangerously_allow_short(vector.secret()) {
            Ok(secret) => secret,
            Err(error) => {
                assert!(matches!(error, SecretError::TooShort { .. }));
                assert_eq!(vector.expected(), error.code(), "{}", vector.name());
                continue;
            }
        };
        let newest = Secret::new("whsec_that-signed-none-of-the-vectors").unwrap();
        let rotating = Secrets::new(newest).with_older(secret.clone()).unwrap();
        for secrets in [Secrets::new(secret), rotating] {
            for verdict in verdicts(&vector, &secrets) {
                assert_eq!(verdict, vector.expected(), "{}", vector.name());
            }
        }
    }
}

#[test]
fn what_is_accepted_is_what_this_crate_signs() {
    for vector in vectors().iter().filter(|vector| vector.verdict == "accepted") {
        let secret = Secret::dangerously_allow_short(vector.secret()).unwrap();
        let webhook = Webhook::<Scheme>::new(secret).unwrap();
        assert_eq!(signed(&webhook, &vector.body())["x-signature"], vector.header[0], "{}", vector.name());
    }
}

#[test]
fn the_vectors_are_of_every_kind_and_none_is_there_twice() {
    let vectors = vectors();
    let mut kinds = BTreeMap::<_, usize>::new();
    let mut seen = HashSet::new();
    for (index, vector) in vectors.iter().enumerate() {
        assert_eq!(vector.id, index + 1);
        *kinds.entry(vector.expected()).or_default() += 1;
        assert!(seen.insert((vector.secret(), vector.body(), vector.header())), "{}", vector.name());
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    let expected = [
        ("accepted", 37),
        ("duplicate_signature", 6),
        ("malformed_signature", 117),
        ("missing_signature", 1),
        ("secret_too_short", 2),
        ("signature_mismatch", 59),
    ];
    assert_eq!(kinds, expected);
}

/// The references by the names that the file has for them, with whose comparison it is.
const REFERENCES: [(&str, &str, &str, &str); 4] = [
    ("node_length_then_timingSafeEqual", "node", "reference.mjs", "quote3d"),
    ("node_strict_equals", "node", "reference.mjs", "nowtoprint"),
    ("node_timingSafeEqual", "node", "reference.mjs", "3qpr"),
    ("python_compare_digest", "python3", "reference.py", "3qpr"),
];

#[test]
fn the_references_deviate_where_the_file_says_so_and_nowhere_else() {
    let vectors = vectors();
    for (reference, program, script, provider) in REFERENCES {
        let lines = vectors.iter().map(|vector| {
            // Node and Python's servers join what is repeated.
            let header = vector.header();
            let joined = (!header.is_empty()).then(|| header.join(&b", "[..]));
            oracle::line(provider, &vector.secret(), &vector.body(), joined.as_deref(), Some("-"))
        });
        let Some(answers) = oracle::answers(program, script, lines.collect()) else { continue };
        for (vector, answer) in vectors.iter().zip(answers) {
            match vector.deviations.get(reference) {
                Some(marked) => assert_eq!(&answer, marked, "{reference}, {}", vector.name()),
                None => assert_eq!(answer, vector.verdict, "{reference}, {}", vector.name()),
            }
        }
    }
}

#[test]
fn a_marked_deviation_is_one_and_of_a_known_reference() {
    for vector in vectors() {
        for (reference, answer) in &vector.deviations {
            assert!(REFERENCES.iter().any(|known| known.0 == reference), "{}", vector.name());
            assert!(["accepted", "refused", "throws"].contains(&&**answer) && *answer != vector.verdict);
            // No reference accepts a signature that is not right; the empty secret is another matter.
            let accepts = answer == "accepted";
            assert_eq!(accepts, vector.reason.as_deref() == Some("empty_secret"), "{}", vector.name());
        }
    }
}
