//! The vectors in `tests/data/vectors`, which are for implementations in any language.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{
    DeclaredProvider, GitHub, Linear, Paddle, Shopify, Slack, Square, StandardWebhooks, Stripe, Zoom,
};
use countersign::{Provider, Secret, Secrets, Webhook};
use serde::Deserialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scheme: String,
    #[allow(dead_code, reason = "for whoever reads the file")]
    source: String,
    declaration: Box<RawValue>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default)]
    is_published: bool,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    now: String,
    verdict: String,
    idempotency_key: Option<String>,
}

fn files() -> Vec<File> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
}

/// The verdict's code, and the key if it is accepted.
fn told<P: Provider>(provider: P, case: &Case) -> (String, Option<String>) {
    let secrets: Vec<_> = case.secrets.iter().map(|secret| Secret::new(secret).unwrap()).collect();
    let now: SystemTime = OffsetDateTime::parse(&case.now, &Rfc3339).unwrap().into();
    let webhook = Webhook::for_provider(provider, Secrets::try_from(secrets).unwrap()).unwrap();
    let webhook = webhook.with_clock(move || now);
    let body = match (&case.body, &case.body_base64) {
        (Some(body), None) => body.clone().into_bytes(),
        (None, Some(body)) => STANDARD.decode(body).unwrap(),
        _ => panic!("{}: one body is needed", case.about),
    };
    let latin1 = |value: &str| value.chars().map(|each| u8::try_from(each).unwrap()).collect::<Vec<u8>>();
    let headers: Vec<_> = case.headers.iter().map(|(name, value)| (name, latin1(value))).collect();
    match webhook.verify(&headers, &body) {
        Ok(delivery) => ("accepted".to_owned(), Some(delivery.idempotency_key().to_string())),
        Err(error) => (error.code().to_owned(), None),
    }
}

/// By the scheme's built-in provider, if it has one.
fn told_by_builtin(scheme: &str, case: &Case) -> Option<(String, Option<String>)> {
    Some(match scheme {
        "standard-webhooks" | "svix" => told(<StandardWebhooks>::default(), case),
        "stripe" => told(<Stripe>::default(), case),
        "github" => told(<GitHub>::default(), case),
        "shopify" => told(<Shopify>::default(), case),
        "slack" => told(<Slack>::default(), case),
        "zoom" => told(<Zoom>::default(), case),
        "paddle" => told(<Paddle>::default(), case),
        "linear" => told(<Linear>::default(), case),
        "square" => told(<Square>::new("https://example.org/webhooks/square?a={b}"), case),
        _ => return None,
    })
}

#[test]
fn each_vector_has_its_verdict_by_its_declaration_and_by_its_builtin() {
    let mut counts: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    for file in files() {
        let count = counts.entry(file.scheme.clone()).or_default();
        for case in &file.cases {
            let declared: DeclaredProvider = serde_json::from_str(file.declaration.get()).unwrap();
            let builtin = told_by_builtin(&file.scheme, case);
            for (code, key) in std::iter::once(told(declared, case)).chain(builtin) {
                assert_eq!(code, case.verdict, "{}: {}", file.scheme, case.about);
                assert!(
                    key.is_none() || key == case.idempotency_key,
                    "{}: {} {key:?}",
                    file.scheme,
                    case.about
                );
            }
            count[0] += usize::from(case.verdict == "accepted");
            count[1] += usize::from(case.verdict != "accepted");
            count[2] += usize::from(case.is_published);
        }
    }
    println!("accepted, refused and published vectors: {counts:?}");
    assert!(counts.len() >= 9, "a file for each scheme");
    assert!(counts.values().all(|[accepted, refused, _]| *accepted >= 2 && *refused >= 10), "{counts:?}");
    let published: usize = counts.values().map(|[_, _, published]| published).sum();
    assert!(published >= 5, "{counts:?}");
}

#[test]
fn every_flipped_bit_of_a_published_vector_is_refused() {
    for file in files() {
        for case in file.cases.iter().filter(|case| case.is_published) {
            for (name, value) in &case.headers {
                for at in 0..value.len() {
                    for bit in 0..7 {
                        let mut flipped = value.clone().into_bytes();
                        flipped[at] ^= 1 << bit;
                        let flipped = String::from_utf8(flipped).unwrap();
                        let headers = case.headers.iter().map(|(other, value)| {
                            (other.clone(), if other == name { flipped.clone() } else { value.clone() })
                        });
                        let spoiled = Case { headers: headers.collect(), ..copy(case) };
                        let declared: DeclaredProvider =
                            serde_json::from_str(file.declaration.get()).unwrap();
                        let (code, _) = told(declared, &spoiled);
                        // The event's name of GitHub's and Shopify's is not signed.
                        let is_unsigned = matches!(&**name, "X-GitHub-Event" | "X-Shopify-Topic");
                        assert!(is_unsigned || code != "accepted", "{}: {name} {at} {bit}", case.about);
                    }
                }
            }
            let body = case.body.clone().unwrap();
            for at in 0..body.len() {
                for bit in 0..8 {
                    let mut flipped = body.clone().into_bytes();
                    flipped[at] ^= 1 << bit;
                    let spoiled =
                        Case { body: None, body_base64: Some(STANDARD.encode(flipped)), ..copy(case) };
                    let declared: DeclaredProvider = serde_json::from_str(file.declaration.get()).unwrap();
                    assert_eq!(told(declared, &spoiled).0, "signature_mismatch", "{} {at} {bit}", case.about);
                }
            }
        }
    }
}

fn copy(case: &Case) -> Case {
    Case {
        about: case.about.clone(),
        secrets: case.secrets.clone(),
        headers: case.headers.clone(),
        body: case.body.clone(),
        body_base64: case.body_base64.clone(),
        now: case.now.clone(),
        verdict: case.verdict.clone(),
        idempotency_key: case.idempotency_key.clone(),
        ..*case
    }
}
