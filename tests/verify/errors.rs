//! Every error's code, status and message, pinned: they are what operators and callers see.

use std::error::Error as _;

use countersign::provider::NowToPrint;
use countersign::store::MemoryStoreError;
use countersign::{
    Error, MalformedSignature, MemoryStore, Outcome, PolicyError, Provider, Receiver, Secret, SecretError,
    Signature, SignatureMismatch, Verifier, Webhook,
};
use http::HeaderMap;

use crate::common::{headers, signed, webhook};

#[track_caller]
fn pinned(error: &Error, code: &str, status: u16, message: &str) {
    assert_eq!((error.code(), error.status(), &*error.to_string()), (code, status, message));
}

fn refused<P: Provider>(webhook: &Webhook<P>, headers: &HeaderMap, body: &str) -> Error {
    webhook.verify(headers, body.as_bytes()).unwrap_err()
}

#[test]
fn errors_of_a_delivery() {
    pinned(&Error::MissingSignature, "missing_signature", 401, "the signature header is missing");
    pinned(
        &Error::DuplicateSignature,
        "duplicate_signature",
        401,
        "the signature header occurs more than once",
    );
    pinned(
        &Error::MalformedSignature,
        "malformed_signature",
        401,
        "the signature is not in the form that the provider writes",
    );
    pinned(&Error::SignatureMismatch, "signature_mismatch", 401, "the signature does not match the body");
    pinned(&Error::MissingEventHeader, "missing_event_header", 400, "the event header is missing");
    pinned(
        &Error::DuplicateEventHeader,
        "duplicate_event_header",
        400,
        "the event header occurs more than once",
    );
    pinned(
        &Error::EventMismatch,
        "event_mismatch",
        400,
        "the event header names another event than the signed body",
    );
    pinned(&Error::Stale, "stale", 400, "the signed timestamp is not within the maximum age");

    let webhook = webhook::<NowToPrint>();
    let error = refused(&webhook, &signed(&webhook, b"{}"), "{}");
    pinned(&error, "malformed_payload", 400, "the body is signed, but is not an event envelope");
    assert_eq!(error.source().unwrap().to_string(), "missing field `event` at line 1 column 2");

    let body = br#"{"event":"quote.received","data":{"rfqId":"rfq_1"}}"#;
    let error = webhook.verify(&signed(&webhook, body), body).unwrap().event().unwrap_err();
    pinned(&error, "invalid_event", 422, "the data of `quote.received` is not as documented");
    assert_eq!(error.source().unwrap().to_string(), "missing field `quoteId` at line 1 column 17");
}

#[test]
fn errors_of_a_signature_are_those_of_a_delivery() {
    let malformed: MalformedSignature = Signature::parse(b"sha256=").unwrap_err();
    let signature = Signature::sign(&Secret::new(crate::common::NEWEST).unwrap(), b"{}");
    let verifier = Verifier::new(Secret::new(crate::common::OLDER).unwrap());
    let mismatch: SignatureMismatch = verifier.verify(b"{}", &signature).unwrap_err();
    let of_text = "sha256=".parse::<Signature>().unwrap_err();
    let of_pieces = verifier.begin(signature).finish().unwrap_err();
    assert_eq!((of_text, of_pieces), (malformed, mismatch));
    assert!(malformed.source().is_none() && mismatch.source().is_none());
    // A signature of its own has one form, and a webhook's has that of its scheme.
    assert_eq!(malformed.to_string(), "the signature is not `sha256=` and 64 lower-case hex digits");
    let message = "the signature is not in the form that the provider writes";
    pinned(&Error::from(malformed), "malformed_signature", 401, message);
    assert_eq!(format!("{malformed:?}"), format!("{:?}", Error::from(malformed)));
    assert_eq!(mismatch.to_string(), "the signature does not match the body");
    pinned(&Error::from(mismatch), "signature_mismatch", 401, "the signature does not match the body");
    assert_eq!(format!("{mismatch:?}"), format!("{:?}", Error::from(mismatch)));
}

#[test]
fn errors_that_you_make() {
    let error = Error::incomplete_body("the connection broke");
    pinned(&error, "incomplete_body", 400, "the body did not arrive whole");
    assert_eq!(error.source().unwrap().to_string(), "the connection broke");
    let error = Error::secret_unavailable("the database is away");
    pinned(&error, "secret_unavailable", 503, "the signing secrets could not be loaded");
    assert_eq!(error.source().unwrap().to_string(), "the database is away");
    let headers = signed(&webhook::<NowToPrint>(), b"{}");
    let mut partial = webhook::<NowToPrint>().with_body_limit(1).begin(&headers).unwrap();
    let error = partial.update(b"{}").unwrap_err();
    pinned(&error, "body_too_large", 413, "the body is longer than 1 bytes");
}

#[test]
fn errors_of_a_secret() {
    #[track_caller]
    fn pinned(error: SecretError, code: &str, message: &str) {
        assert_eq!((error.code(), &*error.to_string()), (code, message));
        assert!(error.source().is_none());
    }

    pinned(
        Secret::from_env("COUNTERSIGN_UNSET").unwrap_err(),
        "secret_unset",
        "COUNTERSIGN_UNSET is not set",
    );
    pinned(Secret::new("short").unwrap_err(), "secret_too_short", "the secret is shorter than 16 bytes");
    pinned(
        Secret::new("0123456789abcdef\n").unwrap_err(),
        "secret_padded",
        "the secret begins or ends with white space or a byte order mark",
    );
    pinned(
        Secret::new("\"0123456789abcdef\"").unwrap_err(),
        "secret_quoted",
        "the secret is in quotation marks",
    );
    pinned(
        Secret::new("your_secret_here").unwrap_err(),
        "secret_placeholder",
        "the secret is a placeholder, not one that a provider issued",
    );
    pinned(SecretError::NoSecret, "no_secret", "at least one secret is needed");
    pinned(SecretError::TooMany, "too_many_secrets", "at most 8 secrets can be valid at once");
}

#[test]
fn errors_of_a_store_and_of_a_policy() {
    let pinned = |code, message: String, expected| assert_eq!((code, &*message), expected);
    for (error, code, message) in [
        (PolicyError::ZeroLease, "zero_lease", "a lease must be longer than zero"),
        (PolicyError::ZeroRetention, "zero_retention", "a retention must be longer than zero"),
        (
            PolicyError::RetentionShorterThanLease,
            "retention_shorter_than_lease",
            "a retention must not be shorter than the lease",
        ),
        (
            PolicyError::RetentionShorterThanReplayWindow,
            "retention_shorter_than_replay_window",
            "a retention must be at least twice the maximum age, or without one the sum of the scheme's tolerances",
        ),
        (
            PolicyError::RenewalShorterThanLease,
            "renewal_shorter_than_lease",
            "the ceiling of a renewal must not be shorter than the lease",
        ),
    ] {
        pinned(error.code(), error.to_string(), (code, message));
        let error = MemoryStoreError::from(error);
        pinned(error.code(), error.to_string(), (code, message));
    }
}

#[tokio::test]
async fn errors_of_a_full_store_reach_the_outcome() {
    let receiver = Receiver::new(webhook::<NowToPrint>(), MemoryStore::new().with_capacity(0));
    let body = br#"{"event":"quote.updated","id":"evt_1"}"#;
    let headers = signed(receiver.webhook(), body);
    let outcome = receiver.receive(&headers, body, async |_| Ok::<_, Error>(())).await;
    assert_eq!((outcome.status(), outcome.code()), (503, "store_unavailable"));
    assert_eq!(outcome.error().unwrap().to_string(), "the store is full with 0 keys");
}

#[test]
fn no_message_ends_in_a_period_or_begins_with_a_capital() {
    let webhook = webhook::<NowToPrint>();
    let errors = [
        Error::MissingSignature,
        Error::DuplicateSignature,
        Error::MalformedSignature,
        Error::SignatureMismatch,
        Error::MissingEventHeader,
        Error::DuplicateEventHeader,
        Error::EventMismatch,
        Error::Stale,
        refused(&webhook, &headers(&[]), "{}"),
        refused(&webhook, &signed(&webhook, b"{"), "{"),
    ];
    for error in errors {
        let message = error.to_string();
        assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
        assert!(error.code().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        let outcome = Outcome::Rejected(error);
        assert!(!outcome.is_acknowledged());
        assert_eq!(outcome.error().unwrap().to_string(), message);
    }
}
