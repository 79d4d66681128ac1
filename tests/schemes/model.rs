//! Generated declarations and deliveries agree with the independent model in `tests/oracle/schemes.py`.

use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::DeclaredProvider;
use countersign::{Error, Secret, Secrets, Webhook};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Line {
    declaration: Box<RawValue>,
    makes_sense: bool,
    #[serde(default)]
    secrets: Vec<String>,
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    headers: Vec<(String, String)>,
    body_base64: String,
    now: u64,
    code: String,
    secret: Option<usize>,
}

/// The verdict of each way to verify.
fn verdict(webhook: &Webhook<DeclaredProvider>, delivery: &Delivery) -> Vec<(String, Option<usize>)> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(delivery.now);
    let webhook = webhook.clone().with_clock(move || now);
    let body = STANDARD.decode(&delivery.body_base64).unwrap();
    let latin1 = |value: &str| value.chars().map(|each| u8::try_from(each).unwrap()).collect::<Vec<u8>>();
    let headers: Vec<_> = delivery.headers.iter().map(|(name, value)| (name, latin1(value))).collect();
    let told = |error: &Error| (error.code().to_owned(), None);
    let whole = webhook.verify(&headers, &body);
    let in_pieces = webhook.begin(&headers).and_then(|mut partial| {
        for piece in body.chunks(7) {
            partial.update(piece)?;
        }
        partial.finish()
    });
    let matched = |position: usize| ("accepted".to_owned(), Some(position));
    vec![
        whole.map_or_else(|error| told(&error), |delivery| matched(delivery.matched_secret().position())),
        in_pieces.map_or_else(|error| told(&error), |delivery| matched(delivery.matched_secret().position())),
        webhook
            .verify_signature(&headers, &body)
            .map_or_else(|error| told(&error), |secret| matched(secret.position())),
    ]
}

/// `COUNTERSIGN_DECLARATIONS=100000` tries as many.
#[test]
fn generated_declarations_agree_with_the_model() {
    let count = std::env::var("COUNTERSIGN_DECLARATIONS").map_or(2_000, |text| text.parse().unwrap());
    let seed = std::env::var("COUNTERSIGN_SEED").unwrap_or_else(|_| fastrand::u32(..).to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/schemes.py");
    let output = Command::new("python3").args([script, &seed, &count.to_string()]).output();
    let Ok(output) = output else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing: nothing was compared with it");
        eprintln!("python3 is missing: nothing was compared with it");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), count);
    let (mut accepted, mut refused, mut senseless) = (0, 0, 0);
    for text in lines.lines() {
        let line: Line = serde_json::from_str(text).unwrap();
        let provider = serde_json::from_str::<DeclaredProvider>(line.declaration.get());
        assert_eq!(provider.is_ok(), line.makes_sense, "seed {seed}: {provider:?} {text}");
        senseless += usize::from(!line.makes_sense);
        let Ok(provider) = provider else { continue };
        let secrets: Vec<_> = line.secrets.iter().map(|secret| Secret::new(secret).unwrap()).collect();
        let webhook = Webhook::for_provider(provider, Secrets::try_from(secrets).unwrap()).unwrap();
        for (at, delivery) in line.deliveries.iter().enumerate() {
            for (code, secret) in verdict(&webhook, delivery) {
                assert_eq!(code, delivery.code, "seed {seed}, delivery {at}: {text}");
                assert!(secret.is_none() || secret == delivery.secret, "seed {seed}, delivery {at}: {text}");
            }
            *(if delivery.code == "accepted" { &mut accepted } else { &mut refused }) += 1;
        }
    }
    println!(
        "{count} declarations, {senseless} without sense; {accepted} deliveries accepted, {refused} refused"
    );
    assert!(accepted > count / 2 && refused > count / 2 && senseless > count / 20);
}
