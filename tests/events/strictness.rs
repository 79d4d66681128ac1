//! What the strict reading of a signed body refuses, and what it lets through: JSONTestSuite's documents,
//! as the envelope and as its data, on a stack that recursion would overflow.

use std::collections::BTreeMap;

use crate::common::{NOWTOPRINT, QUOTE3D, signed, webhook};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::provider::{NowToPrint, Quote3d, ThreeQpr};
use countersign::{Event as _, Json, Number, Provider};
use serde_json::Value;

/// A document, or what it begins with so many times and what it ends in; in Base64.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Document {
    Whole(String),
    Repeated(String, usize, String),
}

impl Document {
    fn bytes(&self) -> Vec<u8> {
        let decode = |base64: &String| STANDARD.decode(base64).unwrap();
        match self {
            Self::Whole(text) => decode(text),
            Self::Repeated(text, times, rest) => [decode(text).repeat(*times), decode(rest)].concat(),
        }
    }
}

/// The documents whose names begin so: `n_` are no JSON, `y_` are, and `i_` may be either.
fn documents(kind: &str) -> Vec<(String, Vec<u8>)> {
    let all: BTreeMap<String, Document> =
        serde_json::from_str(include_str!("../data/json_test_suite.json")).unwrap();
    all.into_iter()
        .filter(|(name, _)| name.starts_with(kind))
        .map(|(name, document)| (name, document.bytes()))
        .collect()
}

/// Runs this where a reader that recurses has room for no more than some hundred levels.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The document between two texts.
fn within(before: &str, document: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), document, after.as_bytes()].concat()
}

/// What the webhook says of this body, which is signed: all that a delivery has is used.
fn told<P: Provider + Default>(body: &[u8]) -> &'static str {
    let webhook = webhook::<P>();
    let headers = signed(&webhook, body);
    let mut incoming = webhook.begin(&headers).unwrap();
    let in_pieces = incoming.update(body).and_then(|()| incoming.finish());
    let delivery = match webhook.verify(&headers, body) {
        Ok(delivery) => delivery,
        Err(error) => {
            assert_eq!(in_pieces.unwrap_err().code(), error.code());
            return error.code();
        }
    };
    assert_eq!(in_pieces.unwrap().data(), delivery.data());
    match delivery.clone().into_owned().event() {
        Ok(event) => {
            // Written back, it is the data that came.
            let written = serde_json::to_string(&event).unwrap();
            if event.variant() == "Unknown" {
                let (name, data) = (serde_json::to_string(event.name()).unwrap(), delivery.data());
                assert_eq!(written, format!(r#"{{"event":{name},"data":{data}}}"#));
            }
            assert_eq!(serde_json::from_str::<P::Event>(&written).unwrap().name(), event.name());
            "accepted"
        }
        Err(error) => error.code(),
    }
}

/// Events by how much of their data is documented: all, nothing, and not even the name.
const EVENTS: [&str; 3] = ["quote.completed", "quote.failed", "quote.unheard-of"];

/// Where in an envelope a document may stand, with its event before it and after it.
fn envelopes(event: &str, document: &[u8]) -> Vec<Vec<u8>> {
    let places = [
        (format!(r#"{{"event":"{event}","data":"#), "}".to_owned()),
        (r#"{"data":"#.to_owned(), format!(r#","event":"{event}"}}"#)),
        (format!(r#"{{"event":"{event}","data":["#), "]}".to_owned()),
        (format!(r#"{{"event":"{event}","data":{{"error":"#), "}}".to_owned()),
        (format!(r#"{{"event":"{event}","data":{{"#), "}}".to_owned()),
        (format!(r#"{{"event":"{event}","ignored":"#), "}".to_owned()),
        (r#"{"ignored":"#.to_owned(), format!(r#","event":"{event}"}}"#)),
    ];
    places.iter().map(|(before, after)| within(before, document, after)).collect()
}

#[test]
fn what_is_no_json_is_no_envelope() {
    on_a_small_stack(|| {
        let documents = documents("n_");
        assert_eq!(documents.len(), 188);
        let mut objects = 0;
        for (name, document) in &documents {
            assert_eq!(told::<ThreeQpr>(document), "malformed_payload", "{name}");
            // An object that is all an envelope is but for its flaw.
            if let Some(rest) = document.strip_prefix(b"{") {
                objects += 1;
                let body = within(r#"{"event":"scan.created","#, rest, "");
                assert_eq!(told::<ThreeQpr>(&body), "malformed_payload", "{name}");
            }
        }
        assert_eq!(objects, 40);
    });
}

#[test]
fn what_is_no_json_is_refused_wherever_it_stands_in_an_envelope() {
    on_a_small_stack(|| {
        let mut bodies = 0;
        for (name, document) in documents("n_") {
            // NowToPrint's: documented, named, and unheard of. It has no event header, which would have to agree.
            for event in ["quote.received", "quote.updated", "quote.unheard-of"] {
                for (place, body) in envelopes(event, &document).iter().enumerate() {
                    // Nothing at all is what an empty array and an empty object consist of.
                    if document.trim_ascii().is_empty() && [2, 4].contains(&place) {
                        continue;
                    }
                    bodies += 1;
                    assert_eq!(
                        told::<NowToPrint>(body),
                        "malformed_payload",
                        "{name} {event}, place {place}"
                    );
                }
            }
            let as_the_event = within(r#"{"event":"#, &document, "}");
            assert_eq!(told::<NowToPrint>(&as_the_event), "malformed_payload", "{name}");
            assert!(serde_json::from_slice::<Json>(&document).is_err(), "{name}");
            assert!(serde_json::from_slice::<Number>(&document).is_err(), "{name}");
        }
        assert_eq!(bodies, (188 * 7 - 2 * 2) * 3);
    });
}

#[test]
fn what_is_json_is_the_data_of_any_event_but_a_documented_one() {
    on_a_small_stack(|| {
        let documents = documents("y_");
        assert_eq!(documents.len(), 95);
        for (name, document) in documents {
            // None of them names an event.
            assert_eq!(told::<NowToPrint>(&document), "malformed_payload", "{name}");
            for (event, expected) in EVENTS.into_iter().zip(["invalid_event", "accepted", "accepted"]) {
                let body = within(&format!(r#"{{"event":"{event}","data":"#), &document, "}");
                assert_eq!(told::<Quote3d>(&body), expected, "{name} {event}");
            }
        }
    });
}

/// What the standard leaves to the reader: text that is not UTF-8 is refused, and escapes and numbers
/// are not judged. `Json` documents it.
#[test]
fn what_may_be_json_is_kept_if_it_is_text() {
    on_a_small_stack(|| {
        let documents = documents("i_");
        assert_eq!(documents.len(), 35);
        let mut kept = 0;
        for (name, document) in documents {
            let is_text = std::str::from_utf8(&document).is_ok_and(|text| !text.contains(['\u{feff}', '\0']));
            let expected = if is_text { "accepted" } else { "malformed_payload" };
            for (place, body) in envelopes("quote.unheard-of", &document).iter().enumerate() {
                // Without a name, it is no field of an object.
                let expected = if place == 4 { "malformed_payload" } else { expected };
                assert_eq!(told::<NowToPrint>(body), expected, "{name}, place {place}");
            }
            kept += usize::from(is_text);
        }
        assert_eq!(kept, 21);
    });
}

#[test]
fn nesting_of_any_depth_overflows_no_stack_wherever_it_stands() {
    const DEPTH: usize = 100_000;
    on_a_small_stack(|| {
        for (open, close) in [("[", "]"), (r#"{"data":"#, "}"), (r#"[{"":"#, "}]")] {
            let deep = format!("{}0{}", open.repeat(DEPTH), close.repeat(DEPTH));
            for event in EVENTS {
                for (place, body) in envelopes(event, deep.as_bytes()).iter().enumerate() {
                    let expected = match place {
                        // Without a name, it is no field of an object.
                        4 => "malformed_payload",
                        0..4 if event == "quote.completed" => "invalid_event",
                        5.. if event == "quote.completed" => "invalid_event",
                        _ => "accepted",
                    };
                    assert_eq!(told::<Quote3d>(body), expected, "{event}, place {place}");
                }
            }
            // And where a documented field is expected.
            for (documented, field) in [(QUOTE3D, "\"result\": "), (NOWTOPRINT, "\"rfqId\": ")] {
                let body = documented.replacen(field, &format!("{field}{deep},\"more\":"), 1);
                assert_ne!(body, documented);
                let told = if field.contains("rfq") { told::<NowToPrint> } else { told::<Quote3d> };
                assert_eq!(told(body.as_bytes()), "invalid_event");
            }
        }
    });
}

/// What `Json` says of the data that it keeps, and what `serde_json::Value` makes of it.
#[test]
fn an_unknown_events_data_may_be_all_that_json_and_delivery_say() {
    let webhook = webhook::<ThreeQpr>();
    let data = |data: &str| {
        let body = format!(r#"{{"event":"unheard.of","data":{data}}}"#);
        let headers = signed(&webhook, body.as_bytes());
        let delivery = webhook.verify(&headers, body.as_bytes()).unwrap();
        assert_eq!(delivery.data(), data);
        let Ok(countersign::provider::threeqpr::Event::Unknown(event)) = delivery.event() else { panic!() };
        assert_eq!(event.data.as_str(), data);
        serde_json::from_str::<Value>(data).map_err(|error| error.to_string())
    };
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(data(&deep(127)).is_ok());
    assert!(data(&deep(128)).unwrap_err().starts_with("recursion limit exceeded"));
    assert!(data(r#""\ud800""#).unwrap_err().starts_with("unexpected end of hex escape"));
    assert!(data("1e400").unwrap_err().starts_with("number out of range"));
    assert_eq!(data(r#"{"a":1,"a":2}"#).unwrap().to_string(), r#"{"a":2}"#);
    assert_eq!(data("9007199254740993.0").unwrap().to_string(), "9007199254740992.0");
    assert_eq!(data(r#""\u0000""#).unwrap(), "\0");
    assert!(matches!(data("null"), Ok(Value::Null)));
}

/// `serde_json` keeps two names for itself, and `Value` reads an object with one as something else.
#[test]
fn a_field_named_as_serde_json_names_its_own_is_refused() {
    let raw = "$serde_json::private::RawValue";
    for name in [raw, "$serde_json::private::Number", "\\u0024serde_json::private::RawValue"] {
        for (place, document) in
            [format!(r#"{{"{name}":"{{\"amount\":1}}"}}"#), format!(r#""{name}""#)].iter().enumerate()
        {
            for event in EVENTS {
                for body in envelopes(event, document.as_bytes()) {
                    let is_refused = told::<NowToPrint>(&body) == "malformed_payload";
                    let is_name = place == 0;
                    // A string without a value is no member of an object.
                    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
                    assert_eq!(is_refused, is_name || !is_json, "{}", String::from_utf8_lossy(&body));
                }
            }
        }
        let as_a_member = format!(r#"{{"event":"quote.unheard-of","{name}":1}}"#);
        assert_eq!(told::<NowToPrint>(as_a_member.as_bytes()), "malformed_payload");
    }
    let webhook = webhook::<ThreeQpr>();
    let body = format!(r#"{{"event":"a","data":{{"{raw}":"1"}}}}"#);
    let error = webhook.verify(&signed(&webhook, body.as_bytes()), body.as_bytes()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "a field's name is one that serde_json keeps for itself");
}
