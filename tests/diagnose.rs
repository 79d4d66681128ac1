//! A refused delivery is diagnosed: the accident that made it so, and never another.

use countersign::provider::ThreeQpr;
use countersign::{Cause, Diagnoser, Diagnosis, JsonLayout, Secret, Signature};

const SECRET: &str = "whsec_the-newest-secret-of-2026";
const HEADER: &str = "X-3QPR-Signature";

fn secret(text: impl Into<Vec<u8>>) -> Secret {
    Secret::dangerously_allow_short(text).unwrap()
}

fn sign(body: &[u8]) -> String {
    Signature::sign(&secret(SECRET), body).to_string()
}

fn diagnose(signature: &str, body: &[u8]) -> Diagnosis {
    Diagnoser::<ThreeQpr>::new(secret(SECRET)).diagnose([(HEADER, signature.as_bytes())], body)
}

#[test]
fn a_first_look() {
    let d = diagnose(&sign(b"{\"a\": 1}"), b"{\"a\":1}");
    assert_eq!(d.causes(), [Cause::BodyReserialised { signed: JsonLayout::Spaced }]);
    let d = diagnose(&sign(b"{\"a\":1}\n"), b"{\"a\":1}");
    assert_eq!(d.causes(), [Cause::BodyNewlineLost]);
    let d = diagnose(&sign(b"{\"a\":1}"), b"{\"a\":1}");
    assert!(d.is_verified());
    let d = diagnose(&sign(b"{\"a\":1}"), b"{\"a\":2}");
    assert_eq!(d.code(), "no_known_cause");
    println!("{d:?}\n{d}");
}
