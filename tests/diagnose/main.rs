//! A refused delivery is diagnosed: the accident that made it so is named, and never another.

mod bodies;
mod bounds;
mod candidates;
mod forgeries;
mod headers;
mod hints;
mod keys;
mod kinds;
mod providers;
mod random;
mod schemes;
mod server;
mod signatures;
mod texts;
mod tools;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::diagnose::{Cause, Diagnoser, Diagnosis, Hint};
use countersign::provider::ThreeQpr;
use countersign::{Secret, Secrets, Signature};

const SECRET: &str = "whsec_dGhlLW5ld2VzdC1zZWNyZXQtb2YtMjAyNg==";
const HEADER: &str = "X-3QPR-Signature";
const BODY: &[u8] = br#"{"event":"scan.created","id":"evt_1","data":{"price":12,"note":"a/b"}}"#;

/// A secret of any bytes: a sender's may begin with a byte order mark, which no text may.
fn secret(bytes: impl Into<Vec<u8>>) -> Secret {
    let bytes = bytes.into();
    Secret::dangerously_allow_short(bytes.clone()).or_else(|_| Secret::from_bytes(bytes)).unwrap()
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
    Diagnoser::<ThreeQpr>::new(secret(SECRET)).unwrap().diagnose([(HEADER, signature.as_bytes())], body)
}

const NONE: [&str; 0] = [];

/// The causes by their codes, with what goes with them.
fn caused(diagnosis: &Diagnosis) -> Vec<String> {
    let causes = diagnosis.causes().iter().map(|cause| match cause {
        Cause::SignatureInOtherHeader { name, .. } | Cause::SecretOfOther { name, .. } => {
            format!("{}: {name}", cause.code())
        }
        Cause::HeadersOfOtherFamily { beginning, .. } => format!("{}: {beginning}", cause.code()),
        Cause::SignedUnderOtherTemplate { template, .. } => format!("{}: {template}", cause.code()),
        Cause::BodyReserialised { signed, .. } => format!("{}: {signed:?}", cause.code()),
        _ => cause.code().to_owned(),
    });
    causes.collect()
}

/// The hints likewise. The text of each ends with what goes with it.
fn hinted(diagnosis: &Diagnosis) -> Vec<String> {
    let hints = diagnosis.hints().iter().map(|hint| {
        let (with, end) = match hint {
            Hint::RefusedAfterwards { code, .. } => (format!(": {code}"), format!(" {code}")),
            Hint::OtherSignatureHeader { name, .. } | Hint::SignedHeaderMissing { name, .. } => {
                (format!(": {name}"), format!(" {name}"))
            }
            Hint::TimeInPast { by, .. } | Hint::TimeInFuture { by, .. } => {
                (format!(": {}", by.as_secs()), format!(" {} s", by.as_secs()))
            }
            _ => Default::default(),
        };
        assert!(hint.to_string().ends_with(&end), "{hint}");
        format!("{}{with}", hint.code())
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
fn nothing_else_in_the_library_knows_of_it() {
    let src = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut folders = vec![std::path::PathBuf::from(src)];
    // But for the attribute of the compiler's own messages.
    let knows = |text: &str| text.to_lowercase().replace("diagnostic::", "").contains("diagnos");
    let mut knowing = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if knows(&std::fs::read_to_string(&path).unwrap()) {
                knowing.insert(path.strip_prefix(src).unwrap().to_owned());
            }
        }
    }
    knowing.retain(|path| !path.starts_with("diagnose") && !path.starts_with("guide"));
    let knowing: Vec<_> = knowing.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(knowing, ["lib.rs"]);
}

#[test]
fn sha_256_is_by_the_mac_that_was_chosen() {
    let source = include_str!("../../src/diagnose/hash.rs");
    assert!(source.contains("use crate::mac::{self, WipedStack, sha256};"));
    for past_it in ["sha2::Sha256", "sha2::{", "Hmac<Sha256>", "Sha256::d"] {
        assert!(!source.contains(past_it), "{past_it}");
    }
}
