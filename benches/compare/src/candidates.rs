//! What does the work: this crate, the bare primitives, and other crates, each as its documentation
//! shows. Those that parse put the body into a `serde_json::Value`.

use std::hint::black_box;

use countersign::provider::Quote3d;
use countersign::{Delivery, Error, Signature, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::case::Case;
use crate::rounds::Candidate;

// The names of those that figures and plots ask for.
/// What every other time is held against.
pub const BARE: &str = "hmac";
pub const BARE_VALUE: &str = "hmac, Value";
pub const BARE_AWS_LC: &str = "aws-lc-rs";
pub const VERIFIER: &str = "Verifier::verify";
pub const SIGNATURE: &str = "Webhook::verify_signature";
/// What a service does.
pub const EVENT: &str = "Webhook::verify, event";
/// The same with nothing of the data left unparsed, as the others do it: fields that an event does not know
/// stay text otherwise.
pub const DATA_VALUE: &str = "Webhook::verify, data as Value";
pub const WEBHOOK_VERIFY_VALUE: &str = "webhook-verify, Value";
pub const STANDARDWEBHOOKS_VALUE: &str = "standardwebhooks, Value";
pub const OCTOCRAB_VALUE: &str = "octocrab, Value";

/// Every candidate for this delivery.
pub fn all(case: &Case) -> Vec<Candidate<'_>> {
    let mut candidates = vec![bare(case)];
    #[cfg(feature = "aws-lc-rs")]
    candidates.push(bare_aws_lc(case));
    candidates.extend(countersign(case));
    candidates.push(bare_and_value(case));
    candidates.extend(webhook_verify(case));
    candidates.push(standardwebhooks(case));
    #[cfg(feature = "octocrab")]
    candidates.push(octocrab(case));
    candidates
}

/// A candidate that has to accept what is right and refuse what is not, every time.
fn judged<'a>(name: &str, case: &'a Case, mut accepts: impl FnMut() -> bool + 'a) -> Candidate<'a> {
    let mut judge = move || assert_eq!(accepts(), case.is_accepted, "not the right verdict");
    judge();
    Candidate::new(name, judge)
}

fn value(body: &[u8]) -> bool {
    black_box(serde_json::from_slice::<Value>(black_box(body))).is_ok()
}

fn macs(case: &Case) -> Vec<Hmac<Sha256>> {
    case.secrets.iter().map(|secret| Hmac::new_from_slice(secret.as_bytes()).unwrap()).collect()
}

fn tag(case: &Case) -> [u8; 32] {
    let mut tag = [0; 32];
    hex::decode_to_slice(&case.signature["sha256=".len()..], &mut tag).unwrap();
    tag
}

/// The least that has to be done: keyed beforehand, and compared in constant time. The state is wiped when
/// dropped, by the feature `zeroize` of `hmac`, which this crate turns on; `ct_eq` goes by bytes.
fn is_right(macs: &[Hmac<Sha256>], tag: &[u8; 32], body: &[u8]) -> bool {
    macs.iter().any(|mac| {
        let computed = mac.clone().chain_update(black_box(body)).finalize().into_bytes();
        bool::from(computed.ct_eq(black_box(tag)))
    })
}

fn bare(case: &Case) -> Candidate<'_> {
    let (macs, tag) = (macs(case), tag(case));
    judged(BARE, case, move || is_right(&macs, &tag, &case.body))
}

fn bare_and_value(case: &Case) -> Candidate<'_> {
    let (macs, tag) = (macs(case), tag(case));
    judged(BARE_VALUE, case, move || is_right(&macs, &tag, &case.body) && value(&case.body))
}

#[cfg(feature = "aws-lc-rs")]
fn bare_aws_lc(case: &Case) -> Candidate<'_> {
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify};
    let keys: Vec<_> = case.secrets.iter().map(|secret| Key::new(HMAC_SHA256, secret.as_bytes())).collect();
    let tag = tag(case);
    judged(BARE_AWS_LC, case, move || {
        keys.iter().any(|key| verify(key, black_box(&case.body), black_box(&tag)).is_ok())
    })
}

fn countersign(case: &Case) -> Vec<Candidate<'_>> {
    let verifier = Verifier::new(case.countersign_secrets());
    let signature: Signature = case.signature.parse().unwrap();
    let (webhook, headers) = (case.webhook(), case.headers());
    let reading = |name, read: fn(&Delivery<'_, Quote3d>) -> bool| {
        let (webhook, headers) = (webhook.clone(), headers.clone());
        judged(name, case, move || {
            let delivery = webhook.verify(&headers, black_box(&case.body));
            delivery.is_ok_and(|delivery| read(&delivery))
        })
    };
    vec![
        judged(VERIFIER, case, move || verifier.verify(black_box(&case.body), &signature).is_ok()),
        judged(SIGNATURE, case, {
            let (webhook, headers) = (webhook.clone(), headers.clone());
            move || webhook.verify_signature(&headers, black_box(&case.body)).is_ok()
        }),
        reading("Webhook::verify", |delivery| {
            black_box(delivery);
            true
        }),
        reading(EVENT, |delivery| black_box(delivery.event()).is_ok()),
        reading(DATA_VALUE, |delivery| value(delivery.data().as_bytes())),
    ]
}

/// Its scheme for GitHub is the same as ours, under another header's name.
fn webhook_verify(case: &Case) -> [Candidate<'_>; 2] {
    use webhook_verify::{Provider, Secret, VerifyOptions, verify_any};
    let accepts = || {
        let secrets: Vec<_> = case.secrets.iter().map(|secret| Secret::new(secret.as_str())).collect();
        let headers = case.headers();
        move || {
            let options = VerifyOptions::default();
            verify_any(Provider::GitHub, &headers, black_box(&case.body), &secrets, options).is_ok()
        }
    };
    let (alone, before) = (accepts(), accepts());
    [
        judged("webhook-verify", case, alone),
        judged(WEBHOOK_VERIFY_VALUE, case, move || before() && value(&case.body)),
    ]
}

/// It has one secret, and a scheme of its own, which signs an id and a time as well.
fn standardwebhooks(case: &Case) -> Candidate<'_> {
    use std::time::{SystemTime, UNIX_EPOCH};

    use standardwebhooks::Webhook;
    let webhook = |secret: &String| Webhook::from_bytes(secret.clone().into_bytes()).unwrap();
    let webhooks: Vec<_> = case.secrets.iter().map(webhook).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let signed = if case.is_accepted { &case.body } else { &b"another body"[..] };
    let signature = webhooks.last().unwrap().sign("msg_1", now, signed).unwrap();
    let mut headers: HeaderMap = case.headers();
    headers.insert("webhook-id", "msg_1".parse().unwrap());
    headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
    headers.insert("webhook-signature", signature.parse().unwrap());
    judged(STANDARDWEBHOOKS_VALUE, case, move || {
        webhooks.iter().any(|webhook| webhook.verify(black_box(&case.body), &headers).is_ok())
            && value(&case.body)
    })
}

/// Its verifier can be called apart from its client; its events are GitHub's, so the body goes into a
/// `Value` here as well. It has one secret.
#[cfg(feature = "octocrab")]
fn octocrab(case: &Case) -> Candidate<'_> {
    use octocrab::models::webhook_events::verification::WebhookVerifier;
    let verifiers: Vec<_> = case.secrets.iter().map(WebhookVerifier::new).collect();
    let headers = case.headers();
    judged(OCTOCRAB_VALUE, case, move || {
        let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
        let is_right = |verifier: &WebhookVerifier| {
            signature.is_some_and(|signature| verifier.verify(signature, black_box(&case.body)).is_ok())
        };
        verifiers.iter().any(is_right) && value(&case.body)
    })
}

/// What a refusal costs, beside a verdict that accepts: all by `Webhook::verify_signature`.
pub fn refusals(case: &Case) -> Vec<Candidate<'_>> {
    let webhook = case.webhook();
    let forged = Case::new(case.body.len(), case.secrets.len(), false).signature;
    let mut kinds = vec![("accepted", case.headers()), ("forged", case.headers())];
    kinds[1].1.insert("x-webhook-signature", forged.parse().unwrap());
    // In the digits alone, so that all of them are read.
    let upper = case.signature.to_uppercase().replace("SHA256", "sha256");
    for (name, value) in [("malformed", "sha256=00"), ("upper case", &*upper)] {
        let mut headers = case.headers();
        headers.insert("x-webhook-signature", value.parse().unwrap());
        kinds.push((name, headers));
    }
    let mut missing = case.headers();
    missing.remove("x-webhook-signature");
    kinds.push(("missing", missing));
    let candidate = |(name, headers): (&str, HeaderMap)| {
        let webhook = webhook.clone();
        let code =
            move || webhook.verify_signature(&headers, black_box(&case.body)).err().as_ref().map(Error::code);
        let expected = match name {
            "accepted" => None,
            "forged" => Some("signature_mismatch"),
            "missing" => Some("missing_signature"),
            _ => Some("malformed_signature"),
        };
        assert_eq!(code(), expected);
        Candidate::new(name, code)
    };
    kinds.into_iter().map(candidate).collect()
}

/// The body in one piece, and in pieces of this length.
pub fn pieces(case: &Case, length: usize) -> Vec<Candidate<'_>> {
    let verifier = Verifier::new(case.countersign_secrets());
    let signature: Signature = case.signature.parse().unwrap();
    let whole = verifier.clone();
    vec![
        judged("whole", case, move || whole.verify(black_box(&case.body), &signature).is_ok()),
        judged("pieces", case, move || {
            let mut verification = verifier.begin(signature);
            case.body.chunks(length).for_each(|piece| verification.update(black_box(piece)));
            verification.finish().is_ok()
        }),
    ]
}
