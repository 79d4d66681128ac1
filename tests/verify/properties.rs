//! What has to hold for every input: no panic, and nothing lost.

use std::time::SystemTime;

use crate::common::{NEWEST, QUOTE3D, webhook};
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Event, Json, Number, Provider, Secret, Secrets, Signature, Verifier};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Any JSON, of any shape, with the names that the payloads know among others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["completed", "COMPLETED", "retail", "2026-03-20T15:30:00Z", "25.50"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..8)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 30] = [
        "jobId",
        "quoteId",
        "status",
        "fileName",
        "fileId",
        "processingTimeMs",
        "result",
        "error",
        "totalPrice",
        "currency",
        "material",
        "technology",
        "quantity",
        "thumbnailUrl",
        "weight",
        "filamentWeight",
        "rfqId",
        "id",
        "qpr_code_id",
        "short_id",
        "scanned_at",
        "country",
        "device",
        "conversation_started",
        "metadata",
        "name",
        "template",
        "scans_total",
        "created_at",
        "event",
    ];
    prop_oneof![3 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Data that a documented event takes: its example, with whatever else, and other values where the
/// type allows.
fn quote(extra: &Value, number: f64, text: &str) -> Value {
    let mut data = serde_json::from_str::<Value>(QUOTE3D).unwrap()["data"].take();
    data["extra"] = extra.clone();
    data["error"] = extra.clone();
    data["fileName"] = text.into();
    data["status"] = text.into();
    data["result"]["total_price"] = number.into();
    data["result"][format!("x{text}")] = extra.clone();
    data["result"]["printInfo"]["extra"] = extra.clone();
    data
}

/// The event of a signed body with this data, written back and read back, equals what came in.
fn comes_back<P: Provider + Default>(event: &str, data: &Value) -> Result<(), TestCaseError> {
    let webhook = webhook::<P>();
    let body = json!({"event": event, "data": data}).to_string();
    let headers = crate::common::signed(&webhook, body.as_bytes());
    let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
    let typed = delivery.event().unwrap();
    prop_assert_eq!(typed.name(), event);
    let expected = json!({"event": event, "data": data});
    let text = serde_json::to_string(&typed).unwrap();
    prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &expected);
    let value = serde_json::to_value(&typed).unwrap();
    prop_assert_eq!(&value, &expected);
    let of_text: P::Event = serde_json::from_str(&text).unwrap();
    prop_assert_eq!(&serde_json::to_string(&of_text).unwrap(), &text);
    let of_value: P::Event = serde_json::from_value(value).unwrap();
    prop_assert_eq!(&serde_json::to_value(&of_value).unwrap(), &expected);
    Ok(())
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

/// Text that is nearly JSON: a valid envelope, of which a piece was replaced by anything.
fn nearly_an_envelope() -> impl Strategy<Value = Vec<u8>> {
    (any_json(), any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..4)).prop_map(
        |(data, at, removed, inserted)| {
            let event = "quote.completed";
            let mut body = json!({"event": event, "id": "evt_1", "timestamp": null, "data": data})
                .to_string()
                .into_bytes();
            let at = at.index(body.len());
            let end = body.len().min(at + removed);
            body.splice(at..end, inserted);
            body
        },
    )
}

/// Calls everything that a delivery offers.
fn use_all<P: Provider + Default>(signature: Option<&[u8]>, event: &[u8], body: &[u8]) {
    let webhook = webhook::<P>().with_max_age(std::time::Duration::MAX);
    let valid = webhook.sign(body).to_string();
    let signature = (webhook.signature_header().as_str(), signature.unwrap_or(valid.as_bytes()));
    let headers = [signature, ("x-webhook-event", event)];
    for time in [SystemTime::UNIX_EPOCH, SystemTime::now()] {
        match webhook.clone().with_clock(move || time).verify(&headers, body) {
            Ok(delivery) => {
                let owned = delivery.clone().into_owned();
                let _ = format!("{delivery:?} {owned:?} {:?}", delivery.timestamp());
                assert!(delivery.idempotency_key().as_str().len() <= 255);
                assert_eq!(owned.data(), delivery.data());
                match owned.event() {
                    Ok(event) => drop(serde_json::to_string(&event).unwrap()),
                    Err(error) => drop(format!("{error} {error:?}")),
                }
            }
            Err(error) => drop(format!("{error} {error:?} {} {}", error.code(), error.status())),
        }
    }
}

fn cases(cases: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(4_000))]

    #[test]
    fn any_data_of_an_undocumented_or_unknown_event_comes_back(data in any_json(), name in any_name()) {
        for event in ["quote.failed", "file.uploaded", "file.deleted", "job.status_changed", "widget.added_to_cart"] {
            comes_back::<Quote3d>(event, &data)?;
        }
        for event in ["quote.updated", "order.created", "order.confirmed", "order.shipped", &format!("x{name}")] {
            comes_back::<NowToPrint>(event, &data)?;
        }
        for event in ["scan.created", "conversation.completed", "qpr_code.created", "subscription.upgraded", "subscription.cancelled"] {
            comes_back::<ThreeQpr>(event, &data)?;
        }
    }

    #[test]
    fn any_data_that_a_documented_event_takes_comes_back(extra in any_json(), number in any::<f64>(), text in any::<String>()) {
        prop_assume!(number.is_finite());
        comes_back::<Quote3d>("quote.completed", &quote(&extra, number, &text))?;
        comes_back::<NowToPrint>("quote.received", &json!({"rfqId": text, "quoteId": text, "extra": extra}))?;
    }
}

proptest! {
    #![proptest_config(cases(25_000))]

    #[test]
    fn no_bytes_make_a_webhook_panic(
        body in prop_oneof![any_bytes(), nearly_an_envelope()],
        signature in any_bytes(),
        event in prop_oneof![Just(b"quote.completed".to_vec()), any_bytes()],
    ) {
        use_all::<Quote3d>(Some(&signature), &event, &body);
        use_all::<Quote3d>(None, &event, &body);
        use_all::<NowToPrint>(None, &event, &body);
        use_all::<ThreeQpr>(None, &event, &body);
    }

    #[test]
    fn no_bytes_make_a_signature_or_a_secret_panic(bytes in any_bytes(), text in any::<String>()) {
        if let Ok(signature) = Signature::parse(&bytes) {
            prop_assert_eq!(signature.to_string().into_bytes(), bytes.clone());
        }
        let _ = text.parse::<Signature>();
        for secret in [Secret::from_bytes(bytes.clone()), Secret::new(text.as_str()), Secret::dangerously_allow_short(bytes.clone())] {
            match secret {
                Ok(secret) => drop(format!("{:?}", Signature::sign(&secret, &bytes))),
                Err(error) => drop(format!("{error} {error:?}")),
            }
        }
    }

    #[test]
    fn a_body_in_any_pieces_has_the_verdict_of_the_whole(
        body in any_bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        forged in any::<bool>(),
    ) {
        let verifier = Verifier::new(Secrets::new(Secret::new(NEWEST).unwrap()));
        let secret = Secret::new(if forged { "whsec_another-secret" } else { NEWEST }).unwrap();
        let signature = Signature::sign(&secret, &body);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        let mut verification = verifier.begin(signature);
        cuts.windows(2).for_each(|cut| verification.update(&body[cut[0]..cut[1]]));
        prop_assert_eq!(verification.finish().is_ok(), !forged);
        prop_assert_eq!(verifier.verify(&body, &signature).is_ok(), !forged);
    }

    #[test]
    fn no_text_makes_reading_back_panic(bytes in prop_oneof![any_bytes(), nearly_an_envelope()], json in any_json()) {
        let queued = json!({"event": "quote.completed", "data": json.clone()});
        let _ = serde_json::from_slice::<<Quote3d as Provider>::Event>(&bytes);
        let _ = serde_json::from_value::<<Quote3d as Provider>::Event>(queued);
        let _ = serde_json::from_slice::<Json>(&bytes);
        let _ = serde_json::from_slice::<Number>(&bytes).map(|number| (number.parse::<f64>(), number.parse::<u64>()));
        let _ = serde_json::from_value::<Number>(json);
    }
}
