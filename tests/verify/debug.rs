//! What `Debug` shows of each type that has its own, pinned: it is what panics and logs are read for, and
//! it holds no secret, no signature and no payload.

use std::fmt::Debug;
use std::time::Duration;

use crate::common::{NEWEST, OLDER, THREEQPR, rotating, signed, webhook};
use countersign::provider::{Quote3d, StandardWebhooks, Stripe, ThreeQpr};
use countersign::{Json, MemoryStore, Number, Receiver, Secret, Secrets, Signature, Verifier};

#[track_caller]
fn shows(value: &dyn Debug, expected: &str) {
    assert_eq!(format!("{value:?}"), expected);
}

#[test]
fn of_secrets_and_signatures_debug_shows_the_labels() {
    let older = Secret::new(OLDER).unwrap().with_label("2025");
    shows(&older, r#"Secret { label: Some("2025"), .. }"#);
    let secrets = Secrets::new(Secret::new(NEWEST).unwrap()).with_older(older).unwrap();
    shows(&secrets, r#"Secrets([Secret { label: None, .. }, Secret { label: Some("2025"), .. }])"#);
    let signature = Signature::sign(&Secret::new(NEWEST).unwrap(), b"{}");
    shows(&signature, "Signature(sha256=…)");
    let verifier = Verifier::new(secrets);
    shows(&verifier, r#"Verifier { labels: [None, Some("2025")], .. }"#);
    shows(&verifier.begin(signature), "Verification { .. }");
    let matched = verifier.verify(b"{}", &signature).unwrap();
    shows(&matched, "MatchedSecret { position: 0, label: None }");
}

/// A stranger chose the values of the headers.
#[test]
fn of_a_partial_delivery_debug_shows_no_header_and_nothing_that_has_come() {
    let webhook = webhook::<Quote3d>();
    let signature = webhook.sign(b"{}").to_string();
    for events in [&[][..], &["quote.completed"], &["quote.completed", "quote.failed"]] {
        let mut headers = vec![("x-webhook-signature", &*signature), ("content-length", "7")];
        headers.extend(events.iter().map(|event| ("x-webhook-event", *event)));
        let mut partial = webhook.begin(&headers).unwrap();
        partial.update(b"{}").unwrap();
        shows(&partial, &format!("PartialDelivery {{ webhook: {webhook:?}, .. }}"));
    }
}

#[test]
fn of_a_webhook_debug_shows_its_settings() {
    let settings = concat!(
        r#"Webhook { provider: "3qpr", signature_header: "x-3qpr-signature", event_header: None, "#,
        r#"secrets: [None, Some("2025")], tenant: Some("acme"), "#,
        r#"max_age: Some(300s), body_limit: 1024, .. }"#,
    );
    let webhook = rotating::<ThreeQpr>()
        .with_tenant("acme")
        .with_max_age(Duration::from_secs(300))
        .with_body_limit(1024);
    shows(&webhook, settings);
    let incoming = webhook.begin(&signed(&webhook, THREEQPR.as_bytes())).unwrap();
    shows(&incoming, &format!("PartialDelivery {{ webhook: {settings}, .. }}"));
}

#[tokio::test]
async fn of_a_receiver_and_its_store_debug_shows_their_settings() {
    let store = MemoryStore::new().with_capacity(1);
    shows(&store, "MemoryStore { len: 0, capacity: 1, .. }");
    let receiver = Receiver::new(webhook::<Quote3d>(), store)
        .with_lease_duration(Duration::from_secs(30))
        .and_then(|receiver| receiver.with_retention(Duration::from_secs(3600)))
        .and_then(|receiver| receiver.with_renewal(Duration::from_secs(600), |_| std::future::ready(())))
        .unwrap();
    let expected = concat!(
        r#"Receiver { webhook: Webhook { provider: "quote3d", signature_header: "x-webhook-signature", "#,
        r#"event_header: Some("x-webhook-event"), secrets: [None], tenant: None, "#,
        r#"max_age: None, body_limit: 1048576, .. }, store: MemoryStore { len: 0, capacity: 1, .. }, "#,
        r#"lease_duration: 30s, retention: 3600s, renewal: Some(Renewal { ceiling: 600s, .. }) }"#,
    );
    shows(&receiver, expected);
}

#[test]
fn of_a_delivery_debug_shows_its_names() {
    let webhook = rotating::<ThreeQpr>().with_tenant("acme");
    let headers = signed(&webhook, THREEQPR.as_bytes());
    let delivery = webhook.verify(&headers, THREEQPR.as_bytes()).unwrap();
    let expected = concat!(
        r#"Delivery { provider: "3qpr", tenant: Some("acme"), event: "scan.created", "#,
        r#"id: Some("evt_01HXYZSCAN"), timestamp: None, "#,
        r#"secret: MatchedSecret { position: 0, label: None }, .. }"#,
    );
    shows(&delivery, expected);
    shows(&delivery.idempotency_key(), r#"IdempotencyKey("3qpr@acme:evt_01HXYZSCAN")"#);
}

/// A payload's own, which whoever prints an event has asked for.
#[test]
fn of_json_debug_shows_the_text() {
    shows(&serde_json::from_str::<Json>(r#" {"a": 1.50} "#).unwrap(), r#"Json({"a": 1.50})"#);
    shows(&serde_json::from_str::<Number>("25.50").unwrap(), "Number(25.50)");
}

/// The name of a sender is in its keys, and so is safe to show.
#[test]
fn of_a_provider_debug_shows_its_name() {
    shows(&<ThreeQpr>::default(), "ThreeQpr");
    shows(&<Stripe>::default(), "Stripe");
    let acme = <StandardWebhooks>::named("acme");
    shows(&acme, r#"StandardWebhooks { name: "acme", .. }"#);
    shows(&acme.clone(), r#"StandardWebhooks { name: "acme", .. }"#);
}
